//! Calls that were denied, as they are kept: a sample, in no chain. It knows no database.

use doorward_engine::id::TenantId;

use super::StoreError;

/// A call that was denied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denial {
    /// The tenant that it was for, as it was asked; none: none was named, or nothing that could be one.
    pub tenant: Option<TenantId>,
    /// The RPC.
    pub operation: &'static str,
    /// The caller as the log names it.
    pub caller: String,
    /// The user on whose behalf it was made, as given.
    pub actor: Option<String>,
    /// The address of the caller's connection.
    pub peer: Option<String>,
    /// The trace that it belonged to.
    pub trace_id: Option<String>,
}

/// Where denials are kept. What is lost is lost: no call waits for it.
pub trait Denials: Send + Sync + 'static {
    /// Keeps some.
    ///
    /// # Errors
    /// [`StoreError`]; some may have been kept.
    fn keep(&self, denials: Vec<Denial>) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Forgets those that are older, and those that are more than the newest so many.
    ///
    /// # Errors
    /// [`StoreError`]; some may have been forgotten.
    fn prune(&self, days: u32, newest: u32) -> impl Future<Output = Result<(), StoreError>> + Send;
}

//! History: who did what to a tenant, as its log has it.

use doorward_engine::id::{Revision, TenantId};

use super::list::{Page, one_more};
use super::{Backend, Error, Operation, Service, authority};
use crate::caller::Caller;
use crate::store::Directory;
use crate::store::act::PLATFORM;
use crate::store::directory::{LogFilter, LogHead, LogRow, Slice};

impl<B: Backend> Service<B> {
    /// A page of the log of a tenant, or of the platform where none is named, and the head as it was before.
    ///
    /// # Errors
    /// [`Error`]; the platform's log is the operator's.
    pub async fn list_audit_events(
        &self,
        caller: &Caller,
        tenant: Option<TenantId>,
        filter: LogFilter,
        slice: Slice<Revision>,
    ) -> Result<(Page<LogRow, Revision>, LogHead), Error> {
        let scope = match tenant {
            Some(tenant) => {
                self.reading_admin(caller, Operation::ListAuditEvents, &tenant).await?;
                tenant.to_string()
            }
            None => {
                authority::operator(caller, Operation::ListAuditEvents, None)?;
                PLATFORM.to_owned()
            }
        };
        let limit = slice.limit;
        // The head first: a row that is written meanwhile is beyond it, and none before it is missing.
        let head = self.directory.log_head(scope.clone()).await?;
        let rows = self.directory.log(scope, filter, one_more(slice)).await?;
        Ok((Page::cut(rows, limit, |row| row.revision), head))
    }
}

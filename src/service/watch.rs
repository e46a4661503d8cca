//! Changes of a tenant as they come: rows of its log in order and without holes, for who administers it at that moment.

use doorward_engine::id::{Revision, TenantId};

use super::authority::TenantAdmin;
use super::{Backend, Error, Operation, Service};
use crate::caller::Caller;
use crate::store::Directory;
use crate::store::audit::{ALL_PARTS, impersonal};
use crate::store::directory::Told;

/// How many changes are read at once.
const ROWS_MAX: u64 = 100;
/// How many parts are told one by one.
const PARTS_MAX: usize = 1_000;

impl<B: Backend> Service<B> {
    /// Mints the proof that the caller may watch a tenant now.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn may_watch(&self, caller: &Caller, tenant: &TenantId) -> Result<TenantAdmin, Error> {
        Ok(self.reading_admin(caller, Operation::WatchChanges, tenant).await?.0)
    }

    /// The changes that follow a revision, as many as are read at once; none: it is the newest.
    ///
    /// # Errors
    /// OUT_OF_RANGE where what follows is not kept any more, and where there is no such revision yet.
    pub async fn changes_after(
        &self,
        _: &TenantAdmin,
        tenant: &TenantId,
        after: Revision,
    ) -> Result<Vec<Told>, Error> {
        // The head first: every row up to it is there, or gone for good.
        let head = self.directory.log_head(tenant.to_string()).await?.revision;
        if after >= head {
            return if after == head { Ok(Vec::new()) } else { Err(Error::RevisionAhead { head }) };
        }
        let rows = self.directory.told(tenant.to_string(), after, ROWS_MAX).await?;
        let first = rows.first().map_or(head, |row| Revision(row.revision.0.saturating_sub(1)));
        if first != after {
            return Err(Error::RevisionPruned { oldest: first });
        }
        let follows = |(at, row): &(u64, Told)| row.revision.0 == after.0.saturating_add(*at);
        Ok((1..).zip(rows).take_while(follows).map(|(_, row)| without_users(row)).collect())
    }
}

/// A watcher learns of members by their ids.
fn without_users(row: Told) -> Told {
    let parts = impersonal(&row.parts);
    Told { parts: if parts.len() > PARTS_MAX { vec![ALL_PARTS.to_owned()] } else { parts }, ..row }
}

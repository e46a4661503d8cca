//! Requests by their caller's id: claimed before the act, answered with it, forgotten after a day.
//!
//! The claim is an insert, so that of two callers with one id the second waits for the first, on whatever tenant
//! ids the two would create. It goes away with its transaction.

use doorward_engine::id::Revision;
use doorward_engine::instant::Instant;
use sea_orm::{ConnectionTrait, DatabaseTransaction, EntityTrait};
use serde::de::DeserializeOwned;

use crate::store::act::PLATFORM;
use crate::store::sql::entity::request;
use crate::store::sql::rows::At;
use crate::store::sql::{Dialect, StoreError};
use crate::store::{Act, Target};

const KEPT_SECONDS: i64 = 24 * 60 * 60;
/// How many forgotten requests one act removes.
const REMOVED_MAX: i64 = 100;

/// An act's request.
pub(super) struct Request<'a> {
    /// What the act changes.
    target: &'a Target,
    /// Of a tenant to be created, the platform: its id may be another one each time.
    tenant: &'a str,
    /// With the actor: what one acting member was answered is not another's to hear.
    caller: String,
    id: &'a str,
    digest: [u8; 32],
}

/// What is known of a request.
pub(super) enum Claim {
    /// Nothing; it is this transaction's now.
    Fresh,
    /// It was made with another body.
    Reused,
    /// It was answered.
    Repeated { answer: String, made: Made },
}

/// What an act has made: a revision, and whose it is.
pub(super) struct Made {
    pub(super) scope: String,
    pub(super) revision: Revision,
}

/// Claims a request, or takes over one that is to be forgotten.
const CLAIM: &str = "\
    INSERT INTO request (tenant_id, caller, request_id, digest, answer, rev, created_us) \
    VALUES ($1, $2, $3, $4, '', 0, $5) \
    ON CONFLICT (tenant_id, caller, request_id) DO UPDATE \
    SET digest = excluded.digest, answer = '', rev = 0, scope = '', created_us = excluded.created_us \
    WHERE request.created_us <= $6";

impl<'a> Request<'a> {
    pub(super) fn of(act: &'a Act) -> Option<Self> {
        let key = act.request.as_ref()?;
        let tenant = match &act.target {
            Target::NewTenant(_) => PLATFORM,
            target @ (Target::Tenant(_) | Target::Platform) => target.as_str(),
        };
        Some(Self { target: &act.target, tenant, caller: caller(act), id: &key.id, digest: key.digest })
    }

    pub(super) async fn claim(
        &self,
        dialect: Dialect,
        transaction: &DatabaseTransaction,
        now: Instant,
    ) -> Result<Claim, StoreError> {
        let values = [
            self.tenant.into(),
            self.caller.as_str().into(),
            self.id.into(),
            self.digest.to_vec().into(),
            now.micros().into(),
            now.plus_seconds(-KEPT_SECONDS).micros().into(),
        ];
        if transaction.execute_raw(dialect.statement(CLAIM, values)).await?.rows_affected() == 1 {
            return Ok(Claim::Fresh);
        }
        // A statement of its own sees what the one that was waited for has committed.
        let key = (self.tenant.to_owned(), self.caller.to_owned(), self.id.to_owned());
        let row = request::Entity::find_by_id(key).one(transaction).await?;
        let row =
            row.ok_or_else(|| StoreError::Unavailable("the request was forgotten just now".to_owned()))?;
        if row.digest != self.digest {
            return Ok(Claim::Reused);
        }
        let at = At { table: "request", key: self.id };
        // One that was kept before scopes were: only of a creation can it be another than asked for now.
        let scope = if row.scope.is_empty() { self.target.as_str().to_owned() } else { row.scope };
        Ok(Claim::Repeated { made: Made { scope, revision: at.revision(row.rev)? }, answer: row.answer })
    }

    /// Keeps the answer, and forgets some that are old.
    pub(super) async fn answer(
        &self,
        dialect: Dialect,
        transaction: &DatabaseTransaction,
        answer: String,
        revision: Revision,
        now: Instant,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE request SET answer = $4, rev = $5, scope = $6 \
                   WHERE tenant_id = $1 AND caller = $2 AND request_id = $3";
        let values = [
            self.tenant.into(),
            self.caller.as_str().into(),
            self.id.into(),
            answer.into(),
            i64::try_from(revision.0).unwrap_or(i64::MAX).into(),
            self.target.as_str().into(),
        ];
        transaction.execute_raw(dialect.statement(sql, values)).await?;
        // Two creations of tenants may do this at once: neither waits for the other.
        let lock = if dialect == Dialect::Postgres { "FOR UPDATE SKIP LOCKED" } else { "" };
        let sql = format!(
            "DELETE FROM request WHERE tenant_id = $1 AND (caller, request_id) IN (\
             SELECT caller, request_id FROM request WHERE tenant_id = $1 AND created_us <= $2 \
             ORDER BY created_us LIMIT $3 {lock})"
        );
        let until = now.plus_seconds(-KEPT_SECONDS).micros();
        let values = [self.tenant.into(), until.into(), REMOVED_MAX.into()];
        transaction.execute_raw(dialect.statement(sql, values)).await?;
        Ok(())
    }
}

/// An answer as it was kept.
pub(super) fn understand<A: DeserializeOwned>(answer: &str) -> Result<A, StoreError> {
    serde_json::from_str(answer).map_err(|error| StoreError::Corrupt(format!("request.answer: {error}")))
}

fn caller(act: &Act) -> String {
    match &act.actor {
        Some(actor) => format!("{}/{actor}", act.caller),
        None => act.caller.clone(),
    }
}

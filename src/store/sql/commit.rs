//! The write door: one act, one transaction. It knows the order of a mutation's steps, and no table but the log's.

mod lock;
mod log;
mod request;

use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_engine::change::Change;
use doorward_engine::id::Revision;
use sea_orm::{
    DatabaseTransaction, IsolationLevel, SqliteTransactionMode, TransactionOptions, TransactionTrait,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::MutexGuard;
use tokio::time::timeout;

use self::lock::Head;
use self::request::{Claim, Made, Request};
use super::apply::{ApplyError, Place, apply};
use super::connect::ONE_WRITER_TIMEOUT;
use super::feed::Telling;
use super::state::{Gatherer, Moment, moment};
use super::{Dialect, Inner, Sql, StoreError, catalogue, epoch, rows};
use crate::store::feed::Changed;
use crate::store::{Act, CommitError, Commits, Effect, Letter, Needs, Planned, Receipt, State, Target};
use crate::telemetry::trace;

impl Commits for Sql {
    async fn commit<A, R, P>(&self, act: Act, needs: Needs, plan: P) -> Result<Receipt<A>, CommitError<R>>
    where
        A: Serialize + DeserializeOwned + Send + 'static,
        R: Send + 'static,
        P: FnOnce(&State) -> Result<Planned<A>, R> + Send + 'static,
    {
        let inner = Arc::clone(&self.inner);
        self.spawn("commit", async move {
            let performed = perform(&inner, &act, &needs, plan).await;
            // Who is refused has had an answer.
            if let Err(CommitError::Store(_)) = &performed {
                trace::failed();
            }
            performed
        })
        .await
    }
}

/// What the steps came to, and whether it is to be kept.
struct Outcome<A> {
    receipt: Receipt<A>,
    keep: bool,
}

async fn perform<A, R, P>(
    inner: &Inner,
    act: &Act,
    needs: &Needs,
    plan: P,
) -> Result<Receipt<A>, CommitError<R>>
where
    A: Serialize + DeserializeOwned,
    P: FnOnce(&State) -> Result<Planned<A>, R>,
{
    // Who is answered later, even that all is as it should be, has been told of by then.
    let _turn = turn(inner).await?;
    let transaction = begin(inner).await?;
    match steps(inner, &transaction, act, needs, plan).await {
        Ok(Outcome { receipt, keep: true }) => {
            let committed = transaction.commit().await;
            tell(inner, &receipt, committed.is_ok());
            committed.map_err(StoreError::from)?;
            if act.target == Target::Platform {
                // The act is done; should this fail, the next statement finds the new catalogue.
                let _ = catalogue::in_force(inner, &inner.writes).await;
            }
            Ok(receipt)
        }
        Ok(Outcome { receipt, keep: false }) => {
            transaction.rollback().await.map_err(StoreError::from)?;
            Ok(receipt)
        }
        Err(error) => {
            // A connection that cannot roll back is broken, and the database rolls back at its end.
            let _ = transaction.rollback().await;
            Err(error)
        }
    }
}

/// On SQLite, after every mutation before it has been told.
async fn turn(inner: &Inner) -> Result<Option<MutexGuard<'_, ()>>, StoreError> {
    match inner.dialect {
        Dialect::Postgres => Ok(None),
        Dialect::Sqlite => match timeout(ONE_WRITER_TIMEOUT, inner.turn.lock()).await {
            Ok(turn) => Ok(Some(turn)),
            Err(_) => Err(StoreError::Unavailable("the pool of one writer was busy too long".to_owned())),
        },
    }
}

/// On SQLite: what was changed. A commit that failed may have been one all the same.
fn tell<A>(inner: &Inner, receipt: &Receipt<A>, is_certain: bool) {
    if let (Telling::Local(local), Effect::Applied) = (&inner.telling, receipt.effect) {
        let parts = is_certain.then(|| receipt.touched.iter().cloned().collect());
        local.tell(Changed { scope: receipt.scope.clone(), revision: receipt.revision, parts });
    }
}

/// Every statement after the lock sees what was committed before it: READ COMMITTED, whatever the server's default.
async fn begin(inner: &Inner) -> Result<DatabaseTransaction, StoreError> {
    let options = match inner.dialect {
        Dialect::Postgres => {
            TransactionOptions { isolation_level: Some(IsolationLevel::ReadCommitted), ..Default::default() }
        }
        Dialect::Sqlite => TransactionOptions {
            sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate),
            ..Default::default()
        },
    };
    match inner.writes.begin_with_options(options).await {
        // Nothing was done yet: another connection may do it.
        Err(error) if epoch::is_broken(&error) => {
            inner.life.renew(&inner.life.known(), &inner.reads).await?;
            Ok(inner.writes.begin_with_options(options).await?)
        }
        begun => Ok(begun?),
    }
}

async fn steps<A, R, P>(
    inner: &Inner,
    transaction: &DatabaseTransaction,
    act: &Act,
    needs: &Needs,
    plan: P,
) -> Result<Outcome<A>, CommitError<R>>
where
    A: Serialize + DeserializeOwned,
    P: FnOnce(&State) -> Result<Planned<A>, R>,
{
    let found = lock::take(inner.dialect, transaction, &act.target).await?;
    let moment = moment(inner, transaction, act.target.as_str(), needs).await?;
    // A tenant that never was has no lock, and answers nothing that could be repeated.
    let lockable = found.is_some() || matches!(act.target, Target::NewTenant(_));
    let request = Request::of(act).filter(|_| lockable);
    if let Some(request) = &request {
        match request.claim(inner.dialect, transaction, moment.now).await? {
            Claim::Fresh => {}
            Claim::Reused => return Err(CommitError::RequestReused),
            Claim::Repeated { answer, made } => {
                let answer = request::understand(&answer)?;
                return Ok(Outcome { receipt: receipt(answer, made, Effect::Replayed, &[]), keep: false });
            }
        }
    }
    let head = match &act.target {
        Target::NewTenant(id) => {
            lock::create(inner.dialect, transaction, id).await?.ok_or(CommitError::TenantIdTaken)?
        }
        Target::Tenant(_) | Target::Platform => found.unwrap_or_default(),
    };
    let state = gather(inner, transaction, act, needs, moment, &head).await?;
    let planned = plan(&state).map_err(CommitError::Refused)?;
    let revision = write(inner, transaction, act, &state, head, &planned.changes, &planned.letters).await?;
    let made = |revision| Made { scope: act.target.as_str().to_owned(), revision };
    if act.validate_only {
        let receipt = receipt(planned.answer, made(state.revision), Effect::Validated, &[]);
        return Ok(Outcome { receipt, keep: false });
    }
    if let Some(request) = &request {
        let answer = rows::json(&planned.answer)?;
        request.answer(inner.dialect, transaction, answer, revision, state.now).await?;
    }
    let effect = if planned.changes.is_empty() { Effect::Unchanged } else { Effect::Applied };
    Ok(Outcome { receipt: receipt(planned.answer, made(revision), effect, &planned.changes), keep: true })
}

/// Without caches above, what is committed is enforced.
fn receipt<A>(answer: A, made: Made, effect: Effect, changes: &[Change]) -> Receipt<A> {
    let mut touched = BTreeSet::new();
    changes.iter().for_each(|change| change.touch(&mut touched));
    let Made { scope, revision } = made;
    Receipt { answer, scope, revision, effect, touched, enforced: effect != Effect::Validated }
}

async fn gather(
    inner: &Inner,
    transaction: &DatabaseTransaction,
    act: &Act,
    needs: &Needs,
    moment: Moment,
    head: &Head,
) -> Result<State, StoreError> {
    let tenant = act.target.as_str();
    let gatherer = Gatherer { transaction, dialect: inner.dialect, tenant, actor: act.actor.as_ref(), needs };
    gatherer.state(moment, head.revision).await
}

/// Writes what was planned; also where only the checks are wanted, for some are the database's own (a slug).
/// Answers the revision then in force.
async fn write<R>(
    inner: &Inner,
    transaction: &DatabaseTransaction,
    act: &Act,
    state: &State,
    head: Head,
    changes: &[Change],
    letters: &[Letter],
) -> Result<Revision, CommitError<R>> {
    let revision = if changes.is_empty() { state.revision } else { state.next() };
    let place = Place {
        transaction,
        dialect: inner.dialect,
        tenant: act.target.as_str(),
        revision: i64::try_from(revision.0).unwrap_or(i64::MAX),
        now: state.now,
        catalogue: state.in_force.version,
    };
    if !changes.is_empty() {
        apply(&place, changes).await.map_err(|error| match error {
            ApplyError::SlugTaken => CommitError::SlugTaken,
            ApplyError::Store(error) => CommitError::Store(error),
        })?;
        log::append(&place, act, state, head, changes).await?;
    }
    log::post(&place, letters).await?;
    Ok(revision)
}

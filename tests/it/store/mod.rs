//! The store's promises, one suite for both databases: a store of its own for each test, on a clock that stands.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that cannot go on must fail"
)]

mod catalogue;
mod changes;
mod deletion;
mod denials;
mod exact;
mod feed;
mod isolation;
mod lives;
mod log;
mod pages;
mod plans;
pub(crate) mod records;
mod request;
mod statements;
pub(crate) mod tables;

use std::fmt::Debug;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use doorward::catalogue::SHIPPED;
use doorward::clock::Clock;
use doorward::store::directory::{Directory, LogFilter, LogRow, Slice};
use doorward::store::sql::{Options, Sql, migrate};
use doorward::store::{Act, CommitError, Commits, Needs, Planned, Receipt, State, StoreError, Target, Wait};
use doorward_engine::change::Change;
use doorward_engine::instant::Instant;
use tempfile::TempDir;
use tokio::runtime::Handle;
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use self::records::{member, tenant, tenant_id};
use crate::postgres;

/// 2026-03-01T12:00:00Z: what a test's clock says until it is set.
pub(super) const NOW: Instant = Instant::from_micros(1_772_366_400_000_000);

/// How many callers at once make a test of concurrency.
pub(super) const CALLERS: usize = 100;

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Database {
    Sqlite,
    Postgres,
}

/// Writes a test for both databases: `on_both!(a_promise, |store| { … });` with an async body.
macro_rules! on_both {
    ($(#[$attribute:meta])* $name:ident, |$store:ident| $body:block) => {
        $(#[$attribute])*
        mod $name {
            use super::*;

            async fn promise($store: $crate::store::Store) $body

            #[test]
            fn sqlite() {
                $crate::store::run($crate::store::Database::Sqlite, promise);
            }

            #[test]
            fn postgres() {
                $crate::store::run($crate::store::Database::Postgres, promise);
            }
        }
    };
}
use on_both;

/// A store of a test's own.
#[derive(Clone)]
pub(super) struct Store {
    pub(super) sql: Sql,
    pub(super) clock: Clock,
    pub(super) url: String,
    pub(super) database: Database,
    _directory: Arc<TempDir>,
}

/// Runs a test's body against a store of its own, on a clock that stands.
fn run<F: Future<Output = ()>>(database: Database, promise: impl FnOnce(Store) -> F) {
    run_on(Clock::manual(NOW), database, promise);
}

fn run_on<F: Future<Output = ()>>(clock: Clock, database: Database, promise: impl FnOnce(Store) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let directory = tempfile::tempdir().unwrap();
        let url = match database {
            Database::Sqlite => format!("sqlite://{}", directory.path().join("doorward.db").display()),
            Database::Postgres => postgres::fresh_database(),
        };
        promise(Store::open(database, url, directory, clock).await).await;
    });
}

fn options(url: &str, clock: &Clock) -> Options {
    Options {
        url: url.to_owned(),
        direct_url: None,
        clock: clock.clone(),
        reads_max: 4,
        writes_max: 20,
        catalogue: SHIPPED.to_owned(),
    }
}

/// What a plan says no with.
type No = &'static str;

impl Store {
    async fn open(database: Database, url: String, directory: TempDir, clock: Clock) -> Self {
        migrate(&url).await.unwrap();
        let sql = Sql::open(options(&url, &clock), Handle::current()).await.unwrap();
        Self { sql, clock, url, database, _directory: Arc::new(directory) }
    }

    /// An act, again for as long as the database says that it was not there: a hundred callers share few connections.
    async fn commit<A, P>(&self, act: Act, needs: Needs, plan: P) -> Result<Receipt<A>, CommitError<No>>
    where
        A: serde::Serialize + serde::de::DeserializeOwned + Send + 'static,
        P: Fn(&State) -> Result<Planned<A>, No> + Clone + Send + 'static,
    {
        let mut said = String::new();
        for _ in 0..10 {
            match self.sql.commit(act.clone(), needs.clone(), plan.clone()).await {
                Err(CommitError::Store(StoreError::Unavailable(why))) if why.contains("pool") => said = why,
                other => return other,
            }
        }
        panic!("the database was not there ten times: {said}")
    }

    /// Writes changes as they are.
    async fn write(&self, tenant: &str, changes: Vec<Change>) -> Receipt<()> {
        self.try_write(on(tenant), changes).await.unwrap()
    }

    async fn try_write(&self, act: Act, changes: Vec<Change>) -> Result<Receipt<()>, CommitError<No>> {
        self.commit(act, Needs::default(), move |_| Ok(planned(changes.clone()))).await
    }

    /// A tenant without members; its slug is its id.
    async fn bare_tenant(&self, id: &str) {
        let change = Change::Tenant { before: None, after: tenant(id) };
        self.try_write(new(id), vec![change]).await.unwrap();
    }

    /// A tenant with the ACTIVE ADMIN `ada`, whose user id is `ada`.
    async fn tenant(&self, id: &str) {
        let tenant = Change::Tenant { before: None, after: tenant(id) };
        let ada = Change::Member { before: None, after: member("ada") };
        self.try_write(new(id), vec![tenant, ada]).await.unwrap();
    }

    /// What a plan with these needs would see.
    async fn state(&self, tenant: &str, needs: Needs) -> State {
        self.state_for(on(tenant), needs).await
    }

    async fn state_for(&self, act: Act, needs: Needs) -> State {
        let plan = |state: &State| Err::<Planned<()>, _>(Box::new(state.clone()));
        match self.sql.commit(act, needs, plan).await {
            Err(CommitError::Refused(state)) => *state,
            other => panic!("no state: {other:?}"),
        }
    }

    /// A tenant's whole log.
    async fn log(&self, tenant: &str) -> Vec<LogRow> {
        self.sql.log(tenant.to_owned(), LogFilter::default(), all()).await.unwrap()
    }
}

/// A page that holds everything.
fn all<K>() -> Slice<K> {
    Slice { after: None, limit: 10_000 }
}

fn act(target: Target) -> Act {
    Act {
        target,
        operation: "TestIt",
        caller: "operator".to_owned(),
        actor: None,
        request: None,
        validate_only: false,
        wait: Wait::Enforced,
        peer: Some("127.0.0.1:9".to_owned()),
        trace_id: None,
    }
}

fn on(tenant: &str) -> Act {
    act(Target::Tenant(tenant_id(tenant)))
}

fn new(tenant: &str) -> Act {
    act(Target::NewTenant(tenant_id(tenant)))
}

fn planned(changes: Vec<Change>) -> Planned<()> {
    Planned { changes, letters: Vec::new(), answer: () }
}

/// Runs so many callers at once and gathers what they got.
async fn at_once<T: Send + 'static, F>(callers: usize, call: impl Fn(usize) -> F) -> Vec<T>
where
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(callers));
    let mut tasks = JoinSet::new();
    for caller in 0..callers {
        let (start, call) = (Arc::clone(&start), call(caller));
        tasks.spawn(async move {
            start.wait().await;
            call.await
        });
    }
    tokio::time::timeout(Duration::from_secs(120), tasks.join_all()).await.unwrap()
}

/// How many answers are a success; every other one must be a refusal that `expected` knows.
#[track_caller]
fn successes<A: Debug>(
    answers: &[Result<Receipt<A>, CommitError<No>>],
    expected: impl Fn(&CommitError<No>) -> bool,
) -> usize {
    for error in answers.iter().filter_map(|answer| answer.as_ref().err()) {
        assert!(expected(error), "{error:?}");
    }
    answers.iter().filter(|answer| answer.is_ok()).count()
}

//! Composes everything and decides nothing: layers, runtimes, listeners, the beginning and the end.
//!
//! gRPC runs on one single-threaded runtime per core, each with a socket of its own on the same port; the database's
//! work runs on a runtime with several threads (see docs/decisions/0003-runtimes.md).

mod breather;
mod caches;
mod callers;
mod connection;
mod direct;
pub mod doctor;
mod door;
mod greeting;
mod health;
mod listen;
mod meter;
mod opening;
mod people;
mod reload;
mod serving;
mod socket;
mod tls;
mod workers;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tonic_health::server::HealthReporter;

use self::caches::{Caches, Composed, Layers, Parts};
use self::callers::Keeping;
use self::door::Door;
use self::health::{Condition, Health, Told};
pub use self::reload::Sources;
use self::reload::{Keepers, Reload};
use self::serving::Served;
use self::tls::Tls;
use self::workers::{Work, Workers};
use crate::cache::far;
use crate::caller::oidc;
use crate::clock::{Clock, Steady};
use crate::http::{self as admin_http, Readiness};
use crate::proto::access_service_server::AccessServiceServer;
use crate::resolver::Resolver;
use crate::service::denied::Denied;
use crate::service::{Policy, Service};
use crate::settings::{self, Settings};
use crate::store::StoreError;
use crate::store::sql::{self, Sql};
use crate::telemetry::{Metrics, Traces};
use crate::wire::{Grpc, Guard, Guarded, Rates, Watching};

/// Why the service did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A setting is wrong or missing.
    #[error(transparent)]
    Settings(#[from] settings::Error),
    /// The configured catalogue cannot be used.
    #[error("the catalogue file {} cannot be used: {problem}", file.display())]
    Catalogue {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The file of services that may call cannot be used.
    #[error("the file of services {} cannot be used: {problem}", file.display())]
    Services {
        /// The file.
        file: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file's schema is another version's.
    #[error(transparent)]
    Schema(#[from] sql::Unfit),
    /// A file of TLS cannot be used.
    #[error(transparent)]
    Tls(#[from] tls::Problem),
    /// The shared cache cannot be what the settings say.
    #[error("redis cannot be used: {0}")]
    Redis(#[from] far::Problem),
    /// People's tokens cannot be verified with what the settings say.
    #[error(transparent)]
    Oidc(#[from] oidc::Problem),
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {cause}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The system gave no thread, socket or signal.
    #[error("the system refused: {0}")]
    System(#[from] io::Error),
}

/// A service that answers, until it is stopped or dropped.
pub struct Running {
    /// Where gRPC, health and reflection answer.
    pub grpc: SocketAddr,
    /// Where metrics and probes answer.
    pub admin: SocketAddr,
    served: Served,
    health: Option<Health>,
    workers: Option<Workers>,
    caches: Option<Caches>,
    keeping: Option<Keeping>,
    recording: Option<JoinHandle<()>>,
    base: Option<Base>,
    signals: Option<Signals>,
    _watches: Vec<AbortOnDropHandle<()>>,
}

/// What the service stands on: the database's runtime, and the admin port from the first moment on.
struct Base {
    database: Runtime,
    stop: CancellationToken,
    /// The probes' own: they answer until the last call has ended.
    admin_stop: CancellationToken,
    grace: Duration,
    readiness: Arc<Readiness>,
    metrics: Arc<Metrics>,
    traces: Traces,
    admin: SocketAddr,
    admin_task: JoinHandle<()>,
}

/// Starts the service, which records no traces; answers once it can be called.
///
/// On SQLite the schema is brought up to date; on Postgres database and schema are waited for.
///
/// # Errors
/// [`StartError`]; nothing runs then.
pub fn start(settings: &Settings, clock: Clock) -> Result<Running, StartError> {
    let base = Base::start(settings, Traces::off())?;
    let store = base.database.block_on(base.open(settings, &clock))?;
    base.serve(settings, clock, store, None)
}

/// The same, with traces, and listening to SIGTERM and SIGINT from the first moment on: none where one came before the
/// start was done.
///
/// SIGHUP reads the settings again from `sources`.
///
/// # Errors
/// As [`start`].
pub fn start_unless_stopped(
    settings: &Settings,
    clock: Clock,
    sources: Sources,
    traces: Traces,
) -> Result<Option<Running>, StartError> {
    let base = Base::start(settings, traces)?;
    let opened = base.database.block_on(async {
        let mut signals = Signals::install()?;
        tokio::select! {
            opened = base.open(settings, &clock) => {
                Ok::<_, StartError>(Some((opened?, signals)))
            }
            () = signals.wait() => Ok(None),
        }
    })?;
    opened.map(|(store, signals)| base.serve(settings, clock, store, Some((signals, sources)))).transpose()
}

impl Base {
    async fn open(&self, settings: &Settings, clock: &Clock) -> Result<Sql, StartError> {
        let runtime = self.database.handle().clone();
        opening::open(settings, clock.clone(), runtime, &self.readiness).await
    }

    fn start(settings: &Settings, traces: Traces) -> Result<Self, StartError> {
        settings.require_for_serving()?;
        #[cfg(feature = "slips")]
        tracing::warn!("this is a build for tests, which can be told to answer wrongly: never serve with it");
        let database = Builder::new_multi_thread().enable_all().thread_name("doorward-database").build()?;
        let (stop, admin_stop) = (CancellationToken::new(), CancellationToken::new());
        let metrics = Arc::new(Metrics::beside(&traces.spans));
        let readiness = Arc::new(Readiness::starting());
        let listener = listen::one(settings.admin.listen)?;
        let admin = listener.local_addr()?;
        let router = admin_http::router(Arc::clone(&metrics), Arc::clone(&readiness));
        let admin_task = database.spawn(listen::serve_admin(listener, router, admin_stop.clone()));
        let grace = Duration::from_millis(settings.server.grace_ms);
        Ok(Self { database, stop, admin_stop, grace, readiness, metrics, traces, admin, admin_task })
    }

    fn serve(
        self,
        settings: &Settings,
        clock: Clock,
        store: Sql,
        told: Option<(Signals, Sources)>,
    ) -> Result<Running, StartError> {
        self.metrics.pools.opened(store.pools());
        let tls = Tls::open(&settings.tls, &self.metrics)?;
        let keys = settings.keys()?;
        let runtime = self.database.handle().clone();
        let parts = Parts { settings, clock: clock.clone(), keys: &keys, metrics: &self.metrics, runtime };
        let Composed { caches, loads_max, memory, leased, enforced, roster } = Caches::start(&store, parts)?;
        let (callers, keeping) =
            callers::start(settings, roster, (clock, &self.metrics, self.database.handle()))?;
        let mut condition = Condition::new(memory, store.clone(), settings.outage_max());
        self.database.block_on(condition.settle());
        let (resolver, policy) = (Resolver::over(leased), policy(&settings.policy));
        let metrics = Arc::clone(&self.metrics);
        let (denied, writer) = Denied::new(Arc::clone(&metrics));
        let recording = self.database.spawn(writer.run(store.clone(), self.stop.clone()));
        let poll = Duration::from_millis(settings.cache.poll_ms);
        let watching = Watching::new(poll, self.stop.clone());
        let service = Service::<Layers>::over(resolver, store, enforced, policy, keys.clone(), metrics);
        let patience = Duration::from_millis(settings.limits.check_deadline_ms);
        let beside = (denied.clone(), watching, Arc::clone(&callers), patience);
        let guard =
            Guard::new(callers, denied, &settings.limits, Arc::clone(&self.metrics), self.traces.clone());
        let rates = Arc::new(Rates::new(&settings.limits, &Steady::real()));
        let keepers = Keepers { guard: guard.clone(), rates: Arc::clone(&rates), loads_max };
        let grpc = Grpc::over(Arc::new(service), rates, keys, Arc::clone(&self.metrics), beside);
        let (served, health) = serving::served(grpc, guard).map_err(io::Error::other)?;
        let mut watches = Vec::from_iter(tls.as_ref().map(|tls| self.watch(tls)).transpose()?);
        let (signals, watch) = self.reload(told, keepers, settings);
        watches.extend(watch);
        let listeners = listen::shared(settings.server.listen, worker_count(&settings.server))?;
        let grpc = listen::address(&listeners, settings.server.listen)?;
        let tls = tls.map(|(tls, _)| tls);
        let door = Arc::new(Door::new(&settings.server, tls, Arc::clone(&self.metrics)));
        let limits = (&settings.server).into();
        let (metrics, stop) = (Arc::clone(&self.metrics), self.stop.clone());
        let work = Work { stop, grace: self.grace, limits, metrics, door, served: served.clone() };
        let health = Some(self.tell(condition, health));
        let workers = Workers::start(listeners, &work)?;
        let (admin, workers, caches, keeping) = (self.admin, Some(workers), Some(caches), Some(keeping));
        let (recording, base, _watches) = (Some(recording), Some(self), watches);
        Ok(Running {
            grpc,
            admin,
            served,
            health,
            workers,
            caches,
            keeping,
            recording,
            base,
            signals,
            _watches,
        })
    }

    /// What the replica's condition is told by.
    fn tell(&self, condition: Condition, reporter: HealthReporter) -> Health {
        let told = Told::of::<AccessServiceServer<Grpc<Layers>>>(Arc::clone(&self.readiness), reporter);
        Health::start(condition, told, self.database.handle())
    }

    /// Looks after the files of TLS.
    fn watch(&self, (tls, seen): &(Arc<Tls>, blake3::Hash)) -> io::Result<AbortOnDropHandle<()>> {
        // On the runtime whose signals they are.
        let _inside = self.database.enter();
        let asked = signal(SignalKind::hangup())?;
        let watch = Arc::clone(tls).watch(*seen, asked, self.stop.clone());
        Ok(AbortOnDropHandle::new(self.database.spawn(watch)))
    }

    /// Reads the settings again when a signal asks for it.
    fn reload(&self, told: Option<(Signals, Sources)>, keepers: Keepers, settings: &Settings) -> Reloading {
        let (mut signals, sources) = told.unzip();
        let metrics = Arc::clone(&self.metrics);
        let reload = sources.map(|sources| Reload::new(sources, keepers, metrics, settings));
        let asked = signals.as_mut().and_then(|signals| signals.hangup.take());
        let watch = asked.zip(reload).map(|(asked, reload)| reload.watch(asked, self.stop.clone()));
        (signals, watch.map(|watch| AbortOnDropHandle::new(self.database.spawn(watch))))
    }
}

/// The signals that are left to others, and what listens to the one that is not.
type Reloading = (Option<Signals>, Option<AbortOnDropHandle<()>>);

/// The signals that end the service, and the one that asks for its settings to be read again.
struct Signals {
    hangup: Option<Signal>,
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    fn install() -> io::Result<Self> {
        Ok(Self {
            hangup: Some(signal(SignalKind::hangup())?),
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

fn worker_count(server: &settings::Server) -> usize {
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    if server.workers == 0 { cores() } else { server.workers }
}

fn policy(settings: &settings::Policy) -> Policy {
    Policy {
        trial_seconds: i64::from(settings.trial_days) * 24 * 60 * 60,
        grace_seconds: i64::from(settings.grace_days) * 24 * 60 * 60,
        invitation_seconds: i64::from(settings.invitation_hours) * 60 * 60,
    }
}

impl Running {
    /// What a connection's calls go through, without a connection: to measure it.
    pub fn calls(
        &self,
    ) -> impl tower::Service<http::Request<Body>, Response = http::Response<Guarded>, Error = Infallible>
    + Clone
    + use<> {
        serving::calls(&self.served)
    }

    /// Waits for SIGTERM or SIGINT, where they are listened to, and stops.
    pub fn wait_for_signal_and_stop(mut self) {
        if let (Some(base), Some(signals)) = (&self.base, &mut self.signals) {
            base.database.block_on(signals.wait());
        }
        tracing::info!("stopping");
        self.end();
    }

    /// Stops: NOT_SERVING, no new connections, calls in flight finish within the grace.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let Some(base) = self.base.take() else { return };
        base.database.block_on(async {
            if let Some(health) = self.health.take() {
                health.drain().await;
            }
            if let Some(caches) = &mut self.caches {
                caches.drain().await;
            }
        });
        base.stop.cancel();
        if let Some(workers) = self.workers.take() {
            workers.join();
        }
        base.admin_stop.cancel();
        if let Some(keeping) = self.keeping.take() {
            base.database.block_on(keeping.end());
        }
        if let Some(caches) = self.caches.take() {
            caches.end();
        }
        if let Some(recording) = self.recording.take() {
            let ended = async { tokio::time::timeout(base.grace, recording).await };
            if !matches!(base.database.block_on(ended), Ok(Ok(()))) {
                tracing::warn!("the last denied calls were not written");
            }
        }
        let ended = async { tokio::time::timeout(base.grace, base.admin_task).await };
        if base.database.block_on(ended).is_err() {
            tracing::warn!("the admin port was cut off at the end of the grace");
        }
        base.database.shutdown_timeout(base.grace);
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

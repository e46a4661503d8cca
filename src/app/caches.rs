//! The caches of a replica: composed, started, and drained before anything else ends.

use std::sync::Arc;
use std::sync::atomic::AtomicUsize;
use std::time::Duration;

use secrecy::ExposeSecret;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::StartError;
use crate::cache::{
    Enforced, Far, Filling, Flight, Follower, Leased, LeasedRoster, Manner, Memory, Options, Timing, far,
};
use crate::clock::{Clock, Steady};
use crate::keys::Keys;
use crate::service::Backend;
use crate::settings::{Coherence, Redis, Settings};
use crate::store::sql::Sql;
use crate::telemetry::Metrics;
use crate::wire::Guard;

const MEGABYTE: u64 = 1024 * 1024;
/// What a single process says of its lease, which does not end.
const FOR_EVER: Duration = Duration::from_secs(u32::MAX as u64);

/// The layers under the service.
pub(super) struct Layers;

/// The door before every call, over these layers.
pub(super) type LayersGuard = Guard<<Layers as Backend>::Credentials>;

impl Backend for Layers {
    type Snapshots = Leased<Flight<Filling<Sql>>>;
    type Directory = Sql;
    type Commits = Enforced<Sql, Sql>;
    type Credentials = LeasedRoster<Sql>;
}

/// What keeps the caches coherent while the service runs.
pub(super) struct Caches {
    following: JoinHandle<()>,
    stop_following: CancellationToken,
    stop_watching: CancellationToken,
}

/// What the caches are made of.
pub(super) struct Parts<'a> {
    pub(super) settings: &'a Settings,
    pub(super) clock: Clock,
    pub(super) keys: &'a Keys,
    pub(super) metrics: &'a Arc<Metrics>,
    pub(super) runtime: Handle,
}

/// The caches with the layers over them.
pub(super) struct Composed {
    pub(super) caches: Caches,
    /// How many loads may be under way.
    pub(super) loads_max: Arc<AtomicUsize>,
    /// What the layers share.
    pub(super) memory: Arc<Memory>,
    pub(super) leased: Leased<Flight<Filling<Sql>>>,
    pub(super) enforced: Enforced<Sql, Sql>,
    pub(super) roster: LeasedRoster<Sql>,
}

impl Caches {
    /// Starts to follow the feed; the layers answer from the database until it is known.
    pub(super) fn start(store: &Sql, parts: Parts<'_>) -> Result<Composed, StartError> {
        let Parts { settings, clock, keys, metrics, runtime } = parts;
        let cache = &settings.cache;
        let (lease, stale) = (Duration::from_millis(cache.lease_ms), Duration::from_millis(cache.stale_ms));
        let alone = !settings.database.is_postgres();
        let memory = Memory::new(Options {
            near_bytes: cache.near_mb.saturating_mul(MEGABYTE),
            lease: (!alone).then_some(lease),
            stale,
            steady: Steady::real(),
            clock,
        });
        let far = open_far(settings, keys, metrics, &runtime)?;
        let lease = if alone { FOR_EVER } else { lease };
        let timing = Timing { poll: Duration::from_millis(cache.poll_ms), lease, stale };
        let follower =
            Follower::new(store.clone(), Arc::clone(&memory), far.clone(), timing, Arc::clone(metrics));
        let (stop_following, stop_watching) = (CancellationToken::new(), CancellationToken::new());
        let following = runtime.spawn(follower.run(stop_following.clone()));
        // One process always has the acknowledgement of the one replica that there is.
        let registry = alone || cache.coherence == Coherence::Registry;
        let suspend = registry.then(|| Duration::from_millis(cache.suspend_ms));
        let enforced = Enforced::over(
            store.clone(),
            store.clone(),
            (Arc::clone(&memory), far.clone()),
            Manner { lease, stale, suspend },
            Arc::clone(metrics),
            (runtime.clone(), stop_watching.clone()),
        );
        let roster = LeasedRoster::over(store.clone(), Arc::clone(&memory));
        let filling = Filling::over(store.clone(), Arc::clone(&memory), far.clone());
        let (loads, metrics) = (settings.limits.loads, Arc::clone(metrics));
        let flight = Flight::over(filling, Arc::clone(&memory), loads, metrics, runtime);
        let loads_max = flight.loads_max();
        let leased = Leased::over(flight, Arc::clone(&memory), far);
        let caches = Self { following, stop_following, stop_watching };
        Ok(Composed { caches, loads_max, memory, leased, enforced, roster })
    }

    /// Uses no cache any more, and lets the other replicas know: no mutation waits for this one from now on.
    pub(super) async fn drain(&mut self) {
        self.stop_following.cancel();
        if let Err(error) = (&mut self.following).await {
            tracing::error!(%error, "the feed was not followed to its end");
        }
    }

    /// Nothing waits for acknowledgements any more.
    pub(super) fn end(self) {
        self.stop_watching.cancel();
    }
}

fn open_far(
    settings: &Settings,
    keys: &Keys,
    metrics: &Arc<Metrics>,
    runtime: &Handle,
) -> Result<Option<Far>, StartError> {
    let Some(options) = far_options(&settings.redis) else { return Ok(None) };
    Ok(Some(Far::open(options, keys.clone(), Arc::clone(metrics), runtime.clone())?))
}

/// What the cache that replicas share is opened with; none: there is none.
pub(super) fn far_options(redis: &Redis) -> Option<far::Options> {
    let is_set = !redis.url.expose_secret().is_empty();
    is_set.then(|| far::Options {
        url: redis.url.clone(),
        ca_file: redis.ca_file.clone(),
        ttl: Duration::from_secs(redis.ttl_s),
    })
}

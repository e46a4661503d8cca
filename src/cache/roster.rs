//! The services that may call, remembered for as long as the lease allows: a layer over Credentials.
//!
//! A page is there before the load that fills it is sent, and the feed turns it: whatever is told while the load is
//! under way makes it fill a page that nobody looks at any more.

use std::sync::Arc;

use doorward_engine::api_key::ApiKey;
use doorward_engine::id::{KeyId, TenantId};
use doorward_engine::member::SecretHash;
use futures::FutureExt;
use futures::future::BoxFuture;
use tokio::sync::OnceCell;

use super::lease::Gate;
use super::memory::Memory;
use super::slip::pause;
use crate::store::StoreError;
use crate::store::credentials::{Credentials, Known, Roster, Use};

/// What one load has told; empty until it has.
#[derive(Debug, Default)]
pub(super) struct Page(OnceCell<Arc<Roster>>);

/// The layer.
#[derive(Clone, Debug)]
pub struct LeasedRoster<C> {
    below: C,
    memory: Arc<Memory>,
}

impl<C: Credentials> LeasedRoster<C> {
    /// A layer over another, with what the replica remembers.
    pub const fn over(below: C, memory: Arc<Memory>) -> Self {
        Self { below, memory }
    }

    async fn load(&self) -> Result<Arc<Roster>, StoreError> {
        let known = self.below.roster().await?;
        if self.memory.epoch().is_some_and(|epoch| epoch != known.epoch) {
            self.memory.poke();
            return Err(StoreError::Unavailable("the database is another one than a moment ago".to_owned()));
        }
        Ok(known.roster)
    }

    /// In a box: it is rare, and the future of every call has this one's room in it.
    fn below_now(&self) -> BoxFuture<'_, Result<Known, StoreError>> {
        self.below.roster().boxed()
    }
}

impl<C: Credentials> Credentials for LeasedRoster<C> {
    async fn roster(&self) -> Result<Known, StoreError> {
        // First the lease, then the page: what was told before the lease has turned it.
        let Some(fresh) = self.memory.lease.read() else { return self.below_now().await };
        pause().await;
        let page = self.memory.roster();
        let roster = Arc::clone(page.0.get_or_try_init(|| Box::pin(self.load())).await?);
        let (gate, now) = self.memory.lease.gate(&fresh);
        let known = Known { roster, now, epoch: fresh.epoch };
        match gate {
            Gate::Open => Ok(known),
            // The operator has allowed answers that may be outdated while the database is away.
            Gate::Degraded if self.memory.away.is(&self.memory.lease.steady) => Ok(known),
            Gate::Degraded => match self.below_now().await {
                Err(StoreError::Unavailable(_)) => {
                    self.memory.away.mark(&self.memory.lease.steady);
                    Ok(known)
                }
                newer => newer,
            },
            Gate::Shut => self.below_now().await,
        }
    }

    async fn key_by_secret(
        &self,
        key: KeyId,
        secret: SecretHash,
    ) -> Result<Option<(TenantId, ApiKey)>, StoreError> {
        self.below.key_by_secret(key, secret).await
    }

    async fn used(&self, uses: Vec<Use>) -> Result<(), StoreError> {
        self.below.used(uses).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
    use std::time::Duration;

    use doorward_engine::change::Part;
    use doorward_engine::credential::ServiceCredential;
    use doorward_engine::id::{CredentialId, Name, Revision};
    use doorward_engine::instant::Instant;
    use tokio::sync::Notify;

    use super::super::lease::Fresh;
    use super::super::memory::Options;
    use super::*;
    use crate::cache::samples::EPOCH;
    use crate::clock::{Clock, Steady};
    use crate::store::Epoch;
    use crate::store::act::PLATFORM;
    use crate::store::feed::Changed;

    const LEASE: Duration = Duration::from_secs(3);

    /// A database whose one service has, as its revision, how often it has changed.
    #[derive(Default)]
    struct Below {
        revision: AtomicU64,
        loads: AtomicUsize,
        is_away: Mutex<bool>,
        epoch: Mutex<Epoch>,
        hold: Notify,
        held: AtomicUsize,
    }

    impl Credentials for Arc<Below> {
        async fn roster(&self) -> Result<Known, StoreError> {
            self.loads.fetch_add(1, Ordering::SeqCst);
            if *self.is_away.lock().unwrap() {
                return Err(StoreError::Unavailable("away".to_owned()));
            }
            let revision = Revision(self.revision.load(Ordering::SeqCst));
            if self.held.load(Ordering::SeqCst) > 0 {
                self.hold.notified().await;
            }
            let service = ServiceCredential {
                id: CredentialId::parse("gateway").unwrap(),
                name: Name::parse("Gateway").unwrap(),
                scopes: Default::default(),
                tenants: Default::default(),
                secrets: Vec::new(),
                created_at: Instant::from_micros(1),
                revoked_at: None,
                revision,
            };
            let services = [(service.id.clone(), Arc::new(service))].into();
            let epoch = *self.epoch.lock().unwrap();
            Ok(Known { roster: Arc::new(Roster { services }), now: Instant::from_micros(1), epoch })
        }

        async fn key_by_secret(
            &self,
            _: KeyId,
            _: SecretHash,
        ) -> Result<Option<(TenantId, ApiKey)>, StoreError> {
            Ok(None)
        }

        async fn used(&self, _: Vec<Use>) -> Result<(), StoreError> {
            Ok(())
        }
    }

    struct Replica {
        below: Arc<Below>,
        memory: Arc<Memory>,
        steady: Steady,
        layer: LeasedRoster<Arc<Below>>,
    }

    impl Replica {
        fn new(stale: Duration) -> Self {
            let (below, steady) = (Arc::<Below>::default(), Steady::manual());
            *below.epoch.lock().unwrap() = EPOCH;
            let memory = Memory::new(Options {
                near_bytes: 1 << 20,
                lease: Some(LEASE),
                stale,
                steady: steady.clone(),
                clock: Clock::manual(Instant::from_micros(1)),
            });
            let layer = LeasedRoster::over(Arc::clone(&below), Arc::clone(&memory));
            let replica = Self { below, memory, steady, layer };
            replica.memory.begin(EPOCH);
            replica.poll(Vec::new());
            replica
        }

        fn poll(&self, changes: Vec<Changed>) {
            self.memory.apply(Some(&changes));
            let now = Instant::from_micros(1);
            self.memory.publish(Fresh { at: self.steady.now(), epoch: EPOCH, now });
        }

        fn tell(&self, part: Part) {
            let revision = Revision(self.below.revision.fetch_add(1, Ordering::SeqCst) + 1);
            self.poll(vec![Changed { scope: PLATFORM.to_owned(), revision, parts: Some(vec![part]) }]);
        }

        /// The revision that is known, and how often the database was asked by now.
        async fn known(&self) -> Result<(u64, usize), StoreError> {
            let known = self.layer.roster().await?;
            let revision = known.roster.services.values().next().map(|service| service.revision.0);
            Ok((revision.unwrap(), self.below.loads.load(Ordering::SeqCst)))
        }
    }

    #[tokio::test]
    async fn the_roster_is_loaded_once_until_the_feed_tells_of_it() {
        let replica = Replica::new(Duration::ZERO);
        assert_eq!(replica.known().await.unwrap(), (0, 1));
        assert_eq!(replica.known().await.unwrap(), (0, 1));
        replica.tell(Part::Credentials);
        assert_eq!(replica.known().await.unwrap(), (1, 2));
        replica.tell(Part::Catalogue);
        assert_eq!(replica.known().await.unwrap().1, 3, "everything is dropped with the catalogue");
    }

    #[tokio::test]
    async fn a_load_that_was_sent_before_a_change_is_never_believed_after_it() {
        let replica = Arc::new(Replica::new(Duration::ZERO));
        replica.below.held.store(1, Ordering::SeqCst);
        let early = replica.known();
        let late = async {
            while replica.below.loads.load(Ordering::SeqCst) == 0 {
                tokio::task::yield_now().await;
            }
            replica.below.held.store(0, Ordering::SeqCst);
            replica.tell(Part::Credentials);
            let late = replica.known().await.unwrap().0;
            replica.below.hold.notify_one();
            late
        };
        let (early, late) = tokio::join!(early, late);
        assert_eq!((early.unwrap().0, late), (0, 1));
        assert_eq!(replica.known().await.unwrap().0, 1, "the early load fills no page that is looked at");
    }

    #[tokio::test]
    async fn after_the_lease_only_the_database_answers() {
        let replica = Replica::new(Duration::ZERO);
        replica.known().await.unwrap();
        replica.steady.advance(LEASE);
        assert_eq!(replica.known().await.unwrap(), (0, 2));
        *replica.below.is_away.lock().unwrap() = true;
        assert!(matches!(replica.known().await, Err(StoreError::Unavailable(_))));
    }

    #[tokio::test]
    async fn what_may_be_outdated_counts_while_the_database_is_away_where_that_is_allowed() {
        let replica = Replica::new(Duration::from_secs(60));
        replica.known().await.unwrap();
        replica.steady.advance(LEASE);
        *replica.below.is_away.lock().unwrap() = true;
        assert_eq!(replica.known().await.unwrap(), (0, 2));
        assert_eq!(replica.known().await.unwrap(), (0, 2), "it is not asked again at once");
        replica.steady.advance(Duration::from_secs(60));
        assert!(replica.known().await.is_err());
    }

    #[tokio::test]
    async fn what_another_database_tells_is_no_answer() {
        let replica = Replica::new(Duration::ZERO);
        *replica.below.epoch.lock().unwrap() = Epoch([9; 16]);
        assert!(matches!(replica.known().await, Err(StoreError::Unavailable(_))));
        *replica.below.epoch.lock().unwrap() = EPOCH;
        assert!(replica.known().await.is_ok(), "and is not remembered");
    }
}

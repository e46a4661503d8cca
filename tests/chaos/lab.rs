//! The machines of a run: three replicas, a Postgres, a Redis, and the links between them.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::Mutex;

use crate::keeper::Keeper;
use crate::postgres::Postgres;
use crate::proxy::Link;
use crate::redis::Redis;
use crate::replica::{Replica, TOKEN};

pub(crate) const REPLICAS: usize = 3;
const ROOT: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
/// Whether the binary has caches, and so the settings of a feed, of Redis, of leases and of slips.
pub(crate) const HAS_CACHES: bool = true;

/// What a link leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    Pool,
    Feed,
    Redis,
}

impl Service {
    pub(crate) const ALL: [Self; 3] = [Self::Pool, Self::Feed, Self::Redis];
}

/// How the replicas are set.
#[derive(Clone, Debug)]
pub(crate) struct Tuning {
    pub(crate) lease_ms: u64,
    pub(crate) poll_ms: u64,
    /// Less than the lease, or nobody waits so long that a replica is found dead.
    pub(crate) suspend_ms: u64,
    /// About one check in 50 that is answered from caches pauses up to so long before its gate. 0: none.
    pub(crate) stall_ms: u64,
    /// The rule that is broken on purpose.
    pub(crate) slip: Option<&'static str>,
    /// Whether the replicas know of Redis.
    pub(crate) redis: bool,
    /// Whether they are linked to Postgres and Redis without a proxy: nothing can be broken then.
    pub(crate) direct: bool,
    /// The binary of the release before, of which the first replica is then.
    pub(crate) before: Option<PathBuf>,
}

impl Default for Tuning {
    fn default() -> Self {
        Self {
            lease_ms: 600,
            poll_ms: 50,
            suspend_ms: 400,
            stall_ms: 0,
            slip: None,
            redis: true,
            direct: false,
            before: None,
        }
    }
}

/// Everything that runs. It all ends when the value is dropped.
pub(crate) struct Lab {
    pub(crate) replicas: Vec<Replica>,
    links: Vec<[Link; 3]>,
    pub(crate) postgres: Mutex<Postgres>,
    pub(crate) redis: Mutex<Redis>,
}

impl Lab {
    /// Starts it all, on an empty database.
    pub(crate) async fn start(tuning: Tuning) -> Arc<Self> {
        let keeper = Keeper::start();
        let (postgres, redis) = tokio::join!(Postgres::start(&keeper), Redis::start(&keeper));
        let mut links = Vec::new();
        let mut replicas = Vec::new();
        for number in 0..REPLICAS {
            let pool = Link::open(postgres.address()).await;
            let feed = Link::open(postgres.address()).await;
            let far = Link::open(redis.address()).await;
            let ports = if tuning.direct {
                [postgres.address().port(), postgres.address().port(), redis.address().port()]
            } else {
                [pool.port(), feed.port(), far.port()]
            };
            let environment = environment(&tuning, ports);
            let binary = tuning.before.as_deref().filter(|_| number == 0);
            replicas.push(Replica::new(&keeper, number, binary, environment));
            links.push([pool, feed, far]);
        }
        // The release before serves on its own schema first, as it does where there is something to upgrade.
        for replica in &replicas {
            replica.run(&["migrate", "up"]).await;
            replica.start().await;
        }
        let (postgres, redis) = (Mutex::new(postgres), Mutex::new(redis));
        Arc::new(Self { replicas, links, postgres, redis })
    }

    /// The link of a replica to a service.
    pub(crate) fn link(&self, replica: usize, service: Service) -> &Link {
        let [pool, feed, redis] = &self.links[replica];
        match service {
            Service::Pool => pool,
            Service::Feed => feed,
            Service::Redis => redis,
        }
    }
}

fn environment(tuning: &Tuning, [pool, feed, far]: [u16; 3]) -> Vec<(String, String)> {
    let database = |port: u16| format!("postgres://postgres@127.0.0.1:{port}/postgres");
    let mut set = vec![
        ("SERVER__LISTEN", "127.0.0.1:0".to_owned()),
        ("SERVER__WORKERS", "2".to_owned()),
        ("SERVER__GRACE_MS", "3000".to_owned()),
        ("ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
        ("DATABASE__URL", database(pool)),
        ("AUTH__OPERATOR_TOKEN", TOKEN.to_owned()),
        ("KEYS__ROOT", ROOT.to_owned()),
        ("LOG__LEVEL", "warn".to_owned()),
    ];
    // The load is one caller's. A release of before this setting would not start with it.
    if tuning.before.is_none() {
        set.push(("LIMITS__TENANT_CALLS_PER_S", "0".to_owned()));
    }
    if HAS_CACHES {
        set.extend([
            ("DATABASE__DIRECT_URL", database(feed)),
            ("CACHE__LEASE_MS", tuning.lease_ms.to_string()),
            ("CACHE__POLL_MS", tuning.poll_ms.to_string()),
            ("CACHE__SUSPEND_MS", tuning.suspend_ms.to_string()),
        ]);
        if tuning.redis {
            set.push(("REDIS__URL", format!("redis://127.0.0.1:{far}")));
        }
        if tuning.stall_ms > 0 {
            set.push(("TEST__STALL_MS", tuning.stall_ms.to_string()));
        }
        if let Some(slip) = tuning.slip {
            set.push(("TEST__SLIP", slip.to_owned()));
        }
    }
    set.into_iter().map(|(name, value)| (format!("DOORWARD_{name}"), value)).collect()
}

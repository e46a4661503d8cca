//! Faults: how each is brought about, and how it is healed.

use std::time::Duration;

use rand::Rng;
use rand::rngs::StdRng;

use crate::lab::{Lab, REPLICAS, Service};
use crate::phase::Phase;
use crate::proxy::Way;

/// How long a replica may drain.
const DRAIN: Duration = Duration::from_secs(10);

/// What is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// kill -9, and a new start as the healing.
    Kill(usize),
    /// SIGSTOP, and SIGCONT as the healing.
    Pause(usize),
    /// SIGTERM, and a new start as the healing.
    Terminate(usize),
    RedisKill,
    RedisFlush,
    /// Killed; as the healing started with the data of earlier.
    RedisRestore,
    RedisPoison,
    RedisSwap,
    /// Answers nobody for so many milliseconds.
    RedisPause(u64),
    /// No replica reaches Redis or is notified by Postgres, and no connection breaks.
    HintsMuted,
    Link(usize, Service, Trouble),
    /// Stopped at once; started as the healing.
    PostgresRestart,
}

/// What is wrong with a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    Cut,
    Hole,
    HoleUp,
    HoleDown,
    DelayUp(u64),
    DelayDown(u64),
}

/// What two faults cannot break at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    Replica(usize),
    Link(usize, Service),
    Redis,
    Postgres,
}

impl Fault {
    /// The kind, for the report.
    pub(crate) fn kind(&self) -> String {
        match self {
            Self::Kill(_) => "kill -9 of a replica".to_owned(),
            Self::Pause(_) => "SIGSTOP of a replica".to_owned(),
            Self::Terminate(_) => "SIGTERM of a replica".to_owned(),
            Self::RedisKill => "Redis killed".to_owned(),
            Self::RedisFlush => "Redis flushed".to_owned(),
            Self::RedisRestore => "Redis restored from old data".to_owned(),
            Self::RedisPoison => "Redis poisoned".to_owned(),
            Self::RedisSwap => "Redis keys swapped".to_owned(),
            Self::RedisPause(_) => "Redis paused".to_owned(),
            Self::HintsMuted => "hints muted".to_owned(),
            Self::Link(_, service, trouble) => {
                let what = match trouble {
                    Trouble::Cut => "cut",
                    Trouble::Hole => "black-holed",
                    Trouble::HoleUp | Trouble::HoleDown => "black-holed one way",
                    Trouble::DelayUp(_) | Trouble::DelayDown(_) => "delayed",
                };
                format!("link to {} {what}", format!("{service:?}").to_lowercase())
            }
            Self::PostgresRestart => "Postgres restarted".to_owned(),
        }
    }

    /// What it breaks.
    pub(crate) fn place(&self) -> Place {
        match *self {
            Self::Kill(replica) | Self::Pause(replica) | Self::Terminate(replica) => Place::Replica(replica),
            Self::Link(replica, service, _) => Place::Link(replica, service),
            Self::PostgresRestart => Place::Postgres,
            _ => Place::Redis,
        }
    }

    /// Whether both can be at once.
    pub(crate) fn goes_with(&self, other: &Self) -> bool {
        let muted = |one: &Self, other: &Self| {
            *one == Self::HintsMuted && matches!(other.place(), Place::Link(_, Service::Redis))
        };
        self.place() != other.place() && !muted(self, other) && !muted(other, self)
    }

    /// Brings it about.
    pub(crate) async fn strike(&self, phase: &Phase, rng: &mut StdRng) {
        let lab = &phase.load.lab;
        match *self {
            Self::Kill(replica) => {
                phase.scrape(replica, true).await;
                lab.replicas[replica].kill().await;
            }
            Self::Pause(replica) => lab.replicas[replica].signal("STOP").await,
            Self::Terminate(replica) => {
                phase.scrape(replica, true).await;
                if !lab.replicas[replica].terminate(DRAIN).await {
                    phase.load.tally.fail(format!("replica {replica} did not drain"));
                }
            }
            Self::RedisKill | Self::RedisRestore => lab.redis.lock().await.kill(),
            Self::RedisFlush => lab.redis.lock().await.flush().await,
            Self::RedisPoison => drop(lab.redis.lock().await.poison(rng).await),
            Self::RedisSwap => drop(lab.redis.lock().await.swap(rng).await),
            Self::RedisPause(milliseconds) => lab.redis.lock().await.pause(milliseconds).await,
            Self::HintsMuted => {
                for replica in 0..REPLICAS {
                    lab.link(replica, Service::Redis).set(Way::Hole, Way::Hole);
                    lab.link(replica, Service::Feed).mute(true);
                }
            }
            Self::Link(replica, service, trouble) => strike_link(lab, replica, service, trouble),
            Self::PostgresRestart => lab.postgres.lock().await.stop().await,
        }
    }

    /// Makes it good again.
    pub(crate) async fn heal(&self, lab: &Lab, rng: &mut StdRng) {
        match *self {
            Self::Kill(replica) | Self::Terminate(replica) => lab.replicas[replica].start().await,
            Self::Pause(replica) => lab.replicas[replica].signal("CONT").await,
            Self::RedisKill => lab.redis.lock().await.serve(false).await,
            Self::RedisRestore => lab.redis.lock().await.serve(true).await,
            Self::RedisFlush | Self::RedisPoison | Self::RedisSwap | Self::RedisPause(_) => {}
            Self::HintsMuted => {
                let reset = rng.random_bool(0.3);
                for replica in 0..REPLICAS {
                    lab.link(replica, Service::Redis).heal(reset);
                    lab.link(replica, Service::Feed).mute(false);
                }
            }
            Self::Link(replica, service, _) => lab.link(replica, service).heal(rng.random_bool(0.3)),
            Self::PostgresRestart => lab.postgres.lock().await.serve().await,
        }
    }
}

fn strike_link(lab: &Lab, replica: usize, service: Service, trouble: Trouble) {
    let link = lab.link(replica, service);
    let delay = |milliseconds| Way::Delay(Duration::from_millis(milliseconds));
    match trouble {
        Trouble::Cut => link.cut(),
        Trouble::Hole => link.set(Way::Hole, Way::Hole),
        Trouble::HoleUp => link.set(Way::Hole, Way::Pass),
        Trouble::HoleDown => link.set(Way::Pass, Way::Hole),
        Trouble::DelayUp(milliseconds) => link.set(delay(milliseconds), Way::Pass),
        Trouble::DelayDown(milliseconds) => link.set(Way::Pass, delay(milliseconds)),
    }
}

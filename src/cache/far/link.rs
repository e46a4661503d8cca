//! The connection for commands and its breaker: knows when Redis is asked and when it is left alone, and not what for.
//!
//! While it is left alone nobody waits for it: one task, with growing pauses, connects again and asks one small
//! question; only when that is answered within the time of any other question is Redis asked again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

use super::connect::{Connector, Wire};
use crate::clock::Stopwatch;

/// How long an answer may take.
pub(super) const ANSWER_MAX: Duration = Duration::from_millis(20);
/// How long connecting may take in all, sentinels and nodes of a cluster included.
const OPEN_MAX: Duration = Duration::from_secs(5);
/// That many failures in a row open the breaker.
const FAILURES_MAX: u32 = 5;
/// How often an idle connection is looked at.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// How many looks pass between two questions to sentinels.
const LOOKS_PER_QUESTION: u32 = 10;
/// After that long a connection is taken to be a good one: the pauses begin from the shortest again.
const STEADY: Duration = Duration::from_secs(5);

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failure {
    /// None came in time.
    Timeout,
    /// The connection is broken, or Redis has answered with an error.
    Error,
}

/// The connection, while there is one.
#[derive(Default)]
pub(super) struct Link {
    live: ArcSwapOption<Live>,
}

/// A connection that answered when it was opened.
pub(super) struct Live {
    wire: Wire,
    /// Failures since the last answer.
    failures: AtomicU32,
    broken: AtomicBool,
    given_up: Notify,
}

impl Link {
    /// The connection to ask; none: Redis is left alone for now.
    pub(super) fn live(&self) -> Option<Arc<Live>> {
        self.live.load_full().filter(|live| !live.broken.load(Ordering::Acquire))
    }

    /// Connects, again and again, for ever.
    pub(super) async fn keep(&self, connector: &Connector) {
        let mut pauses = Pauses::new();
        let mut told = false;
        loop {
            match connect(connector).await {
                Ok((live, leads_to)) => {
                    tracing::info!("redis answers");
                    told = false;
                    let since = Stopwatch::start();
                    self.live.store(Some(Arc::clone(&live)));
                    live.until_given_up(connector, leads_to.as_ref()).await;
                    self.live.store(None);
                    if since.elapsed() > STEADY {
                        pauses = Pauses::new();
                    }
                    tracing::warn!("redis does not answer any more; facts are read from the database");
                }
                Err(reason) if told => tracing::debug!(reason, "redis does not answer"),
                Err(reason) => {
                    told = true;
                    tracing::warn!(reason, "redis does not answer; facts are read from the database");
                }
            }
            sleep(pauses.next()).await;
        }
    }
}

pub(super) type Opened = (Arc<Live>, Option<redis::ConnectionAddr>);

/// A connection that answers, or the reason that there is none, without a host.
pub(super) async fn connect(connector: &Connector) -> Result<Opened, String> {
    let opened = timeout(OPEN_MAX, connector.open()).await.map_err(|_| "timeout".to_owned())?;
    let (wire, leads_to) = opened.map_err(|error| reason(&error))?;
    let live =
        Live { wire, failures: AtomicU32::new(0), broken: AtomicBool::new(false), given_up: Notify::new() };
    match timeout(ANSWER_MAX, live.wire.tell::<Value>(&question())).await {
        Ok(Ok(_)) => Ok((Arc::new(live), leads_to)),
        Ok(Err(error)) => Err(reason(&error)),
        Err(_) => Err("it answers too late".to_owned()),
    }
}

/// The smallest question; in a cluster, of any node.
fn question() -> Cmd {
    let mut command = redis::cmd("EXISTS");
    command.arg(format!("dw1:{{{}}}", random() % 16_384));
    command
}

/// What a failure is called; what it says itself may hold a host.
pub(super) fn reason(error: &RedisError) -> String {
    let code = error.code().filter(|code| code.bytes().all(|b| b.is_ascii_uppercase()));
    match code {
        Some(code) => format!("{} ({code})", error.category()),
        None if error.is_timeout() => "timeout".to_owned(),
        None if error.is_connection_refusal() => "connection refused".to_owned(),
        None => error.category().to_owned(),
    }
}

impl Live {
    /// The answers to commands, in time.
    pub(super) async fn ask(&self, commands: &Pipeline) -> Result<Vec<RedisResult<Value>>, Failure> {
        let answers = self.judged(ANSWER_MAX, self.wire.ask(commands)).await?;
        let answers = answers.map_err(|_| Failure::Error)?;
        if answers.iter().any(Result::is_ok) {
            self.failures.store(0, Ordering::Relaxed);
        } else {
            self.failed();
        }
        Ok(answers)
    }

    /// The answer to one command, within a time; the inner error is Redis's own.
    pub(super) async fn tell<T: FromRedisValue>(
        &self,
        command: &Cmd,
        within: Duration,
    ) -> Result<RedisResult<T>, Failure> {
        let answer = self.judged(within, self.wire.tell(command)).await?;
        if answer.is_ok() {
            self.failures.store(0, Ordering::Relaxed);
        }
        Ok(answer)
    }

    /// An answer, if it comes in time and over a sound connection; Redis's own errors are judged by those who asked.
    async fn judged<T>(
        &self,
        within: Duration,
        asked: impl Future<Output = RedisResult<T>>,
    ) -> Result<RedisResult<T>, Failure> {
        match timeout(within, asked).await {
            Err(_) => {
                self.failed();
                Err(Failure::Timeout)
            }
            Ok(Err(error)) if self.is_broken_by(&error) => {
                self.give_up();
                Err(Failure::Error)
            }
            Ok(Err(error)) if error.is_io_error() => {
                self.failed();
                Err(Failure::Error)
            }
            Ok(answer) => Ok(answer),
        }
    }

    /// A cluster's connection mends itself; one to a single Redis is to be replaced, also where it turns out to lead
    /// to a replica: the master is another one by now.
    fn is_broken_by(&self, error: &RedisError) -> bool {
        let one = matches!(self.wire, Wire::One(_));
        one && (error.is_unrecoverable_error()
            || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly))
    }

    /// Counts a failure; that many in a row end the connection.
    pub(super) fn failed(&self) {
        if self.failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES_MAX {
            self.give_up();
        }
    }

    fn give_up(&self) {
        self.broken.store(true, Ordering::Release);
        self.given_up.notify_one();
    }

    async fn until_given_up(&self, connector: &Connector, leads_to: Option<&redis::ConnectionAddr>) {
        let watched = async {
            for look in 1u32.. {
                sleep(LOOK_EVERY).await;
                // A failure is counted there.
                let _ = self.tell::<Value>(&question(), ANSWER_MAX).await;
                let stands = async { connector.stands(leads_to).await };
                if look.is_multiple_of(LOOKS_PER_QUESTION) && timeout(OPEN_MAX, stands).await == Ok(false) {
                    break;
                }
            }
            self.give_up();
        };
        tokio::select! {
            () = self.given_up.notified() => {}
            () = watched => {}
        }
    }
}

/// Pauses between attempts: from 200 ms to 5 s, each up to twice the one before.
pub(super) struct Pauses(Duration);

impl Pauses {
    const MIN: Duration = Duration::from_millis(200);
    const MAX: Duration = Duration::from_secs(5);

    pub(super) const fn new() -> Self {
        Self(Self::MIN)
    }

    /// The next pause: at least half of what it could be.
    pub(super) fn next(&mut self) -> Duration {
        let pause = self.0;
        self.0 = (self.0 * 2).min(Self::MAX);
        pause / 2 + share(pause / 2)
    }
}

/// A random share of a duration.
pub(super) fn share(of: Duration) -> Duration {
    of * u32::from(random()) / u32::from(u16::MAX)
}

fn random() -> u16 {
    let mut bytes = [0; 2];
    // Without random bytes there is no jitter, which is no reason to fail.
    let _ = getrandom::fill(&mut bytes);
    u16::from_be_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_to_a_bound_and_are_never_the_same_for_all() {
        let mut pauses = Pauses::new();
        let taken: Vec<_> = (0..12).map(|_| pauses.next()).collect();
        assert!(taken[0] >= Pauses::MIN / 2 && taken[0] <= Pauses::MIN);
        assert!(taken.iter().all(|pause| *pause <= Pauses::MAX));
        assert!(taken[11] >= Pauses::MAX / 2);
        let firsts: std::collections::BTreeSet<_> = (0..20).map(|_| Pauses::new().next()).collect();
        assert!(firsts.len() > 1);
    }
}

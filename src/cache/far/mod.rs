//! The cache that replicas share: facts in Redis. It knows keys, values and connections, and not what is usable.
//!
//! Redis only saves work. Whatever it holds or does, the worst is a miss: a value that is not ours, of something else,
//! or that cannot be read counts as none; so does one that does not come within 20 ms. Whether a fact that was found is
//! fresh enough is for the caller to say.

mod address;
mod connect;
mod entry;
mod hints;
mod link;
mod queue;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use doorward_engine::change::Part;
use doorward_engine::id::{TenantId, UserId};
use redis::{Pipeline, RedisError, RedisResult, Value};
use secrecy::{ExposeSecret, SecretString};
use tokio::runtime::Handle;
use tokio::sync::{Notify, Semaphore};
use tokio_util::task::AbortOnDropHandle;

#[cfg(feature = "fuzzing")]
pub(crate) use self::entry::fuzzing;

use self::address::Address;
use self::connect::Connector;
use self::entry::{Entries, VALUE_BYTES_MAX};
use self::link::{ANSWER_MAX, Failure, Link};
use self::queue::{Job, Queue, Writer};
use crate::keys::Keys;
use crate::store::{Epoch, Fact};
use crate::telemetry::{FarOutcome, Metrics, trace};

/// The name that traces use.
const REDIS: &str = "redis";
/// How many questions are under way at once; more are misses.
const QUESTIONS_MAX: usize = 256;
/// The most keys that one command deletes.
const EVICTED_AT_ONCE_MAX: usize = 512;

/// What the cache is opened with.
#[derive(Clone, Debug)]
pub struct Options {
    /// `redis://…`, `rediss://…`, `redis+cluster://h1,h2`, `redis+sentinel://h1,h2/master` and their `rediss+` forms.
    pub url: SecretString,
    /// A PEM file of certificate authorities for `rediss`; none: the system's.
    pub ca_file: Option<PathBuf>,
    /// How long an entry lives, ten percent more or less.
    pub ttl: Duration,
}

/// Why the cache cannot be opened; no host is named.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Problem {
    /// The URL has another form.
    #[error("redis.url is not understood: {0}")]
    Url(&'static str),
    /// The file of certificate authorities is of no use.
    #[error("redis.ca_file `{path}` cannot be used: {cause}")]
    CaFile {
        /// The file.
        path: PathBuf,
        /// Why.
        cause: String,
    },
    /// The URL has the form, and what it says cannot be.
    #[error("redis.url or redis.ca_file says what cannot be")]
    Refused,
}

/// Keys under which there is what is not ours, each with the beginning of what it is.
type Foreign = Vec<(String, Vec<u8>)>;

/// What entries are of: another epoch, tenant or catalogue is another entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Scope {
    /// The database's epoch.
    pub epoch: Epoch,
    /// The tenant.
    pub tenant: TenantId,
    /// The catalogue's version.
    pub catalogue: u64,
}

/// The cache. A clone is the same one.
#[derive(Clone)]
pub struct Far(Arc<Inner>);

impl std::fmt::Debug for Far {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Far").field("is_up", &self.is_up()).finish_non_exhaustive()
    }
}

struct Inner {
    runtime: Handle,
    link: Arc<Link>,
    entries: Arc<Entries>,
    counted: Counted,
    questions: Arc<Semaphore>,
    queue: Queue,
    heard: Arc<Notify>,
    /// They end with the last clone.
    _tasks: [AbortOnDropHandle<()>; 3],
}

impl Far {
    /// Opens the cache; it connects on `runtime`, in the background and for ever: a Redis that does not answer is no
    /// error.
    ///
    /// # Errors
    /// [`Problem`] where the URL or the file of certificate authorities cannot be understood.
    pub fn open(
        options: Options,
        keys: Keys,
        metrics: Arc<Metrics>,
        runtime: Handle,
    ) -> Result<Self, Problem> {
        let address = Address::parse(options.url.expose_secret())?;
        let connector = Arc::new(Connector::over(address, options.ca_file.as_deref())?);
        let (link, entries) = (Arc::new(Link::default()), Arc::new(Entries::over(&keys)));
        let (counted, heard) = (Counted(metrics), Arc::new(Notify::new()));
        let (queue, jobs) = Queue::new();
        let writer = Writer::new(Arc::clone(&link), Arc::clone(&entries), counted.clone(), options.ttl);
        let _tasks = [
            runtime.spawn({
                let (link, connector) = (Arc::clone(&link), Arc::clone(&connector));
                async move { link.keep(&connector).await }
            }),
            runtime.spawn({
                let heard = Arc::clone(&heard);
                async move { hints::listen(&connector, &heard).await }
            }),
            runtime.spawn(async move { writer.run(jobs).await }),
        ]
        .map(AbortOnDropHandle::new);
        let questions = Arc::new(Semaphore::new(QUESTIONS_MAX));
        Ok(Self(Arc::new(Inner { runtime, link, entries, counted, questions, queue, heard, _tasks })))
    }

    /// Whether Redis answers, and in time for a question; if not, why, without a host.
    ///
    /// # Errors
    /// [`Problem`] where the URL or the file of certificate authorities cannot be understood.
    pub async fn probe(options: &Options) -> Result<Result<(), String>, Problem> {
        let address = Address::parse(options.url.expose_secret())?;
        let connector = Connector::over(address, options.ca_file.as_deref())?;
        Ok(link::connect(&connector).await.map(drop))
    }

    /// The facts of parts, in their order; none is a miss, for whatever reason. It takes at most 20 ms.
    pub async fn get(&self, scope: &Scope, parts: &[Part]) -> Vec<Option<Fact>> {
        let keys: Vec<_> = parts.iter().map(|part| entry::key(scope, part)).collect();
        let values = self.values(&keys).await;
        let mut foreign = Vec::new();
        let facts = values.into_iter().zip(keys.iter().zip(parts));
        let facts =
            facts.map(|(value, (key, part))| self.opened((key, part), value?, &mut foreign)).collect();
        self.remove(foreign);
        facts
    }

    /// The facts of parts, the user's among them, as far as they are there, and with them that of the member that the user is
    /// by it: all in one question. It takes at most 20 ms.
    pub async fn get_for(&self, scope: &Scope, parts: &[Part], user: &UserId) -> Vec<(Part, Fact)> {
        let mut keys: Vec<_> = parts.iter().map(|part| entry::key(scope, part)).collect();
        keys.push(entry::member_key(scope, user));
        let mut values = self.values(&keys).await;
        let (member, member_key) = (values.pop().flatten(), keys.pop().unwrap_or_default());
        let mut foreign = Vec::new();
        let found = values.into_iter().zip(keys.iter().zip(parts)).filter_map(|(value, (key, part))| {
            let fact = self.opened((key, part), value?, &mut foreign)?;
            Some((part.clone(), fact))
        });
        let mut found: Vec<_> = found.collect();
        let told = found.iter().find_map(|(_, fact)| fact.value.user().cloned().map(Part::Member));
        if let (Some(value), Some(part)) = (member, told) {
            let fact = self.opened((&member_key, &part), value, &mut foreign);
            found.extend(fact.map(|fact| (part, fact)));
        }
        self.remove(foreign);
        found
    }

    /// What is under the keys, in their order; none: nothing, or no answer.
    async fn values(&self, keys: &[String]) -> Vec<Option<Vec<u8>>> {
        let misses = || vec![None; keys.len()];
        if keys.is_empty() {
            return misses();
        }
        let permit = Arc::clone(&self.0.questions).try_acquire_owned();
        let (Some(live), Ok(permit)) = (self.0.link.live(), permit) else {
            self.0.counted.add(FarOutcome::Open, keys.len());
            return misses();
        };
        self.0.counted.0.caches.far_question();
        let commands = ranges(keys);
        let asked = self.ask("GETRANGE", async move {
            let _permit = permit;
            live.ask(&commands).await
        });
        match asked.await {
            Ok(values) if values.len() == keys.len() => {
                values.into_iter().map(|value| self.value(value)).collect()
            }
            Ok(_) => {
                self.0.counted.failed(keys.len(), Failure::Error);
                misses()
            }
            Err(failure) => {
                self.0.counted.failed(keys.len(), failure);
                misses()
            }
        }
    }

    fn value(&self, found: RedisResult<Value>) -> Option<Vec<u8>> {
        match found {
            Ok(Value::BulkString(value)) if value.is_empty() => {
                self.0.counted.add(FarOutcome::Miss, 1);
                None
            }
            Ok(Value::BulkString(value)) => Some(value),
            Ok(_) => Some(Vec::new()),
            Err(error) => {
                self.0.counted.refused(1, &error);
                None
            }
        }
    }

    /// The fact of a part in the value under a key; what is none is put to the foreign ones.
    fn opened(&self, (key, part): (&str, &Part), value: Vec<u8>, foreign: &mut Foreign) -> Option<Fact> {
        match self.0.entries.open(key, part, &value) {
            Ok(fact) => {
                self.0.counted.add(FarOutcome::Hit, 1);
                Some(fact)
            }
            Err(why) => {
                tracing::debug!(why = why.name(), "an entry in redis is refused");
                self.0.counted.add(FarOutcome::Rejected, 1);
                foreign.push((key.to_owned(), queue::seen(&value)));
                None
            }
        }
    }

    fn remove(&self, foreign: Foreign) {
        if !foreign.is_empty() {
            // Where there is no room, the next one who finds it tries again.
            self.0.queue.push(Job::Remove(foreign));
        }
    }

    /// Stores facts, in the background, where Redis has none that is newer. What finds no room is dropped.
    pub fn put(&self, scope: &Scope, facts: Vec<(Part, Fact)>) {
        self.store(scope, facts, None);
    }

    /// The same for facts that were loaded by a user: [`Self::get_for`] finds them.
    pub fn put_for(&self, scope: &Scope, facts: Vec<(Part, Fact)>, user: &UserId) {
        self.store(scope, facts, Some(user));
    }

    fn store(&self, scope: &Scope, facts: Vec<(Part, Fact)>, user: Option<&UserId>) {
        let count = facts.len();
        let is_kept = self.is_up() && self.0.queue.push(Job::Store(scope.clone(), facts, user.cloned()));
        if !is_kept {
            self.0.counted.dropped(count);
        }
    }

    /// Asks on the runtime of the connection; traces know it by its name.
    async fn ask<T: Send + 'static>(
        &self,
        name: &'static str,
        work: impl Future<Output = Result<T, Failure>> + Send + 'static,
    ) -> Result<T, Failure> {
        let work = trace::at(trace::asking(REDIS, name), async { trace::failing(work.await) });
        self.0.runtime.spawn(work).await.unwrap_or(Err(Failure::Error))
    }

    /// Deletes the entries of parts, within 20 ms or not at all.
    pub async fn evict(&self, scope: &Scope, parts: &[Part]) {
        if parts.is_empty() {
            return;
        }
        let Some(live) = self.0.link.live() else {
            return self.0.counted.add(FarOutcome::Open, parts.len());
        };
        let commands = parts.chunks(EVICTED_AT_ONCE_MAX).map(|parts| {
            let mut command = redis::cmd("UNLINK");
            command.arg(parts.iter().map(|part| entry::key(scope, part)).collect::<Vec<_>>());
            command
        });
        let mut pipeline = Pipeline::new();
        commands.for_each(|command| {
            pipeline.add_command(command);
        });
        pipeline.ignore_errors();
        match self.ask("UNLINK", async move { live.ask(&pipeline).await }).await {
            Ok(answers) => {
                for error in answers.into_iter().filter_map(Result::err) {
                    self.0.counted.refused(parts.len().min(EVICTED_AT_ONCE_MAX), &error);
                }
            }
            Err(failure) => self.0.counted.failed(parts.len(), failure),
        }
    }

    /// Tells every replica, this one too, that something has changed. It takes at most 20 ms and may be lost.
    pub async fn hint(&self) {
        let Some(live) = self.0.link.live() else {
            return;
        };
        let mut command = redis::cmd("PUBLISH");
        command.arg(hints::CHANNEL).arg("");
        let told = async move { live.tell::<Value>(&command, ANSWER_MAX).await };
        match self.ask("PUBLISH", told).await {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => self.0.counted.refused(1, &error),
            Err(failure) => self.0.counted.failed(1, failure),
        }
    }

    /// Waits for a hint since the last call, or for a subscription: hints may have been missed before it. One caller
    /// at a time; many hints are one.
    pub async fn hinted(&self) {
        self.0.heard.notified().await;
    }

    /// Whether Redis is asked now.
    #[must_use]
    pub fn is_up(&self) -> bool {
        self.0.link.live().is_some()
    }
}

/// At most one byte more of each value than one may have.
fn ranges(keys: &[String]) -> Pipeline {
    let mut commands = Pipeline::with_capacity(keys.len());
    for key in keys {
        commands.cmd("GETRANGE").arg(key).arg(0).arg(VALUE_BYTES_MAX);
    }
    commands.ignore_errors();
    commands
}

/// What becomes of entries, counted.
#[derive(Clone)]
struct Counted(Arc<Metrics>);

impl Counted {
    fn add(&self, outcome: FarOutcome, count: usize) {
        self.0.far(outcome, count as u64);
    }

    fn dropped(&self, count: usize) {
        self.add(FarOutcome::Dropped, count);
    }

    fn failed(&self, count: usize, failure: Failure) {
        let outcome = match failure {
            Failure::Timeout => FarOutcome::Timeout,
            Failure::Error => FarOutcome::Error,
        };
        tracing::debug!(outcome = outcome.name(), count, "redis gave no answer");
        self.add(outcome, count);
    }

    fn refused(&self, count: usize, error: &RedisError) {
        tracing::debug!(reason = link::reason(error), count, "redis answered with an error");
        self.add(FarOutcome::Error, count);
    }
}

//! Entries on their way into Redis: knows the queue, the scripts that compare before they write, and how long an entry
//! lives. What does not get there is not missed.

use std::sync::Arc;
use std::time::Duration;

use doorward_engine::change::Part;
use doorward_engine::id::UserId;
use futures::StreamExt;
use redis::{Cmd, ErrorKind, RedisResult, Script, ServerErrorKind, Value};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;

use super::entry::{self, Entries};
use super::link::{Link, share};
use super::{Counted, Foreign, Scope};
use crate::store::Fact;

/// How many jobs wait.
const JOBS_MAX: usize = 1024;
/// How many are under way at once.
const AT_ONCE_MAX: usize = 16;
/// The most entries and bytes of one call of the script: Redis does nothing else meanwhile.
const ENTRIES_MAX: usize = 64;
const BYTES_MAX: usize = 2 * entry::VALUE_BYTES_MAX;
/// How long Redis may take; nobody waits for it.
const STORE_MAX: Duration = Duration::from_millis(250);

/// Keys, and for each a value and its life in milliseconds. Stores what is not older than what is there; what is there
/// and has no revision is no value of ours.
const STORE: &str = r"
local stored = 0
for i, key in ipairs(KEYS) do
  local value = ARGV[2 * i - 1]
  local held = redis.pcall('GETRANGE', key, 0, 19)
  local known = type(held) == 'string' and #held == 20 and not string.find(held, '%D')
  if not known or held <= string.sub(value, 1, 20) then
    redis.call('SET', key, value, 'PX', ARGV[2 * i])
    stored = stored + 1
  end
end
return stored
";

/// Keys, and for each the beginning of the value that was seen. Deletes what is still the same.
const REMOVE: &str = r"
local removed = 0
for i, key in ipairs(KEYS) do
  local held = redis.pcall('GETRANGE', key, 0, #ARGV[i] - 1)
  if type(held) ~= 'string' or held == ARGV[i] then
    removed = removed + redis.call('UNLINK', key)
  end
end
return removed
";
/// How much of a value that was refused is compared before it is deleted.
const SEEN_BYTES: usize = 64;

/// Something to write.
pub(super) enum Job {
    /// Facts of one scope, and by which user they were loaded.
    Store(Scope, Vec<(Part, Fact)>, Option<UserId>),
    /// What is to be deleted.
    Remove(Foreign),
}

/// A bounded queue of jobs.
#[derive(Clone)]
pub(super) struct Queue(mpsc::Sender<Job>);

impl Queue {
    pub(super) fn new() -> (Self, mpsc::Receiver<Job>) {
        let (sender, receiver) = mpsc::channel(JOBS_MAX);
        (Self(sender), receiver)
    }

    /// Whether there was room.
    pub(super) fn push(&self, job: Job) -> bool {
        self.0.try_send(job).is_ok()
    }
}

/// Does what the queue holds, for ever.
pub(super) struct Writer {
    pub(super) link: Arc<Link>,
    pub(super) entries: Arc<Entries>,
    pub(super) counted: Counted,
    pub(super) ttl: Duration,
    store: Script,
    remove: Script,
}

/// The beginning of a value, to know it again.
pub(super) fn seen(value: &[u8]) -> Vec<u8> {
    value.iter().take(SEEN_BYTES).copied().collect()
}

impl Writer {
    pub(super) fn new(link: Arc<Link>, entries: Arc<Entries>, counted: Counted, ttl: Duration) -> Self {
        let (store, remove) = (Script::new(STORE), Script::new(REMOVE));
        Self { link, entries, counted, ttl, store, remove }
    }

    pub(super) async fn run(&self, jobs: mpsc::Receiver<Job>) {
        ReceiverStream::new(jobs).for_each_concurrent(AT_ONCE_MAX, |job| self.perform(job)).await;
    }

    async fn perform(&self, job: Job) {
        match job {
            Job::Store(scope, facts, user) => self.store(&scope, &facts, user.as_ref()).await,
            Job::Remove(entries) => {
                let (keys, seen): (Vec<_>, Vec<_>) = entries.into_iter().unzip();
                self.call(&self.remove, REMOVE, &keys, &seen).await;
            }
        }
    }

    async fn store(&self, scope: &Scope, facts: &[(Part, Fact)], user: Option<&UserId>) {
        let (mut keys, mut arguments, mut bytes) = (Vec::new(), Vec::new(), 0);
        for (part, fact) in facts {
            let key = match (part, user) {
                (Part::Member(_), Some(user)) => entry::member_key(scope, user),
                _ => entry::key(scope, part),
            };
            let Some(value) = self.entries.seal(&key, part, fact) else {
                self.counted.dropped(1);
                continue;
            };
            bytes += value.len();
            keys.push(key);
            arguments.extend([value, self.life().to_string().into_bytes()]);
            if keys.len() >= ENTRIES_MAX || bytes >= BYTES_MAX {
                let (keys, arguments) = (std::mem::take(&mut keys), std::mem::take(&mut arguments));
                bytes = 0;
                self.call(&self.store, STORE, &keys, &arguments).await;
            }
        }
        self.call(&self.store, STORE, &keys, &arguments).await;
    }

    /// How long an entry lives, in milliseconds: ten percent more or less, so that not all end at once.
    fn life(&self) -> u128 {
        let tenth = self.ttl / 10;
        (self.ttl - tenth + share(2 * tenth)).as_millis().max(1)
    }

    async fn call(&self, script: &Script, code: &str, keys: &[String], arguments: &[Vec<u8>]) {
        if keys.is_empty() {
            return;
        }
        let Some(live) = self.link.live() else {
            return self.counted.dropped(keys.len());
        };
        let mut answer = live.tell(&evaluate("EVALSHA", script.get_hash(), keys, arguments), STORE_MAX).await;
        if matches!(&answer, Ok(Err(error)) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)) {
            answer = live.tell(&evaluate("EVAL", code, keys, arguments), STORE_MAX).await;
        }
        let answer: Result<RedisResult<Value>, _> = answer;
        match answer {
            Ok(Ok(_)) => {}
            Ok(Err(error)) => self.counted.refused(keys.len(), &error),
            Err(failure) => self.counted.failed(keys.len(), failure),
        }
    }
}

fn evaluate(how: &str, script: &str, keys: &[String], arguments: &[Vec<u8>]) -> Cmd {
    let mut command = redis::cmd(how);
    command.arg(script).arg(keys.len()).arg(keys).arg(arguments);
    command
}

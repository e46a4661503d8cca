//! Flights: many who ask the same at once are answered by one load.
//!
//! Of one question one load is under way. Who joins it came after it was sent, and is not answered by it: when it has
//! landed they look in memory, which it has filled and which the feed keeps up with, whenever they came. Who does not
//! find it there, or wants it straight from the database, shares with all who joined one more load, sent after the last
//! of them came. Of different questions so many are under way at most; who brings one more is told so at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_engine::id::{ResourceRef, TenantId};
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, watch};

use super::memory::Memory;
use super::slip::{Slip, slips, spawn};
use crate::store::{Ask, Epoch, Snapshot, Snapshots, StoreError, SubjectRef};
use crate::telemetry::{Metrics, trace};

/// A layer that sends one load for many.
#[derive(Debug)]
pub struct Flight<S> {
    below: Arc<S>,
    memory: Arc<Memory>,
    board: Arc<Board<Question, Answer>>,
    metrics: Arc<Metrics>,
    runtime: Handle,
}

/// What makes two asks the same.
type Question = (TenantId, SubjectRef, Vec<ResourceRef>);
type Answer = Result<Snapshot, StoreError>;

impl<S> Clone for Flight<S> {
    fn clone(&self) -> Self {
        Self {
            below: Arc::clone(&self.below),
            memory: Arc::clone(&self.memory),
            board: Arc::clone(&self.board),
            metrics: Arc::clone(&self.metrics),
            runtime: self.runtime.clone(),
        }
    }
}

impl<S: Snapshots> Flight<S> {
    /// A layer over one that fills this memory, with so many loads under way at most; they run on `runtime`, and go on
    /// when who asked has gone.
    pub fn over(
        below: S,
        memory: Arc<Memory>,
        loads_max: usize,
        metrics: Arc<Metrics>,
        runtime: Handle,
    ) -> Self {
        Self { below: Arc::new(below), memory, board: Arc::new(Board::new(loads_max)), metrics, runtime }
    }

    /// How many loads may be under way, to be changed at any time.
    pub fn loads_max(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.board.max)
    }

    /// Sends a load; what it says goes to all who share it.
    fn send(&self, question: Question, landing: watch::Sender<Option<Answer>>, ask: Ask) {
        let place = Place { board: Arc::clone(&self.board), question, landing: Some(landing) };
        let (below, metrics, sent_by) = (Arc::clone(&self.below), Arc::clone(&self.metrics), trace::here());
        spawn(&self.runtime, async move {
            metrics.caches.load();
            // A load is in the trace of who asked first.
            place.land(trace::at(sent_by, below.snapshot(ask)).await);
        });
    }

    /// The second load, for all who joined the first one and did not find in memory what it left.
    async fn second(&self, question: Question, ask: Ask) -> Answer {
        match self.board.arrive(&question, Turn::Second, || None) {
            Arrival::First(landing) => {
                let landed = landing.subscribe();
                self.send(question, landing, ask);
                answer(landed).await
            }
            // It was sent after the first one had landed, and so after all of them came.
            Arrival::Joined(load) => answer(load.landed).await,
            Arrival::Found(found) => Ok(found),
            Arrival::Full => Err(StoreError::Busy),
        }
    }
}

impl<S: Snapshots> Snapshots for Flight<S> {
    async fn snapshot(&self, ask: Ask) -> Result<Snapshot, StoreError> {
        let question = (ask.tenant.clone(), ask.subject.clone(), ask.resources.clone());
        let mut joined = match self.board.arrive(&question, Turn::First, || self.memory.answer(&ask)) {
            Arrival::Found(found) => return Ok(found),
            Arrival::First(landing) => {
                let landed = landing.subscribe();
                self.send(question, landing, ask);
                return answer(landed).await;
            }
            Arrival::Joined(load) => load,
            Arrival::Full => return Err(StoreError::Busy),
        };
        if slips(Slip::JoinOlder) {
            return answer(joined.landed).await;
        }
        // Landed, or given up: the same to who waits for its end.
        let _ = joined.landed.changed().await;
        match self.memory.answer(&ask) {
            Some(found) => Ok(found),
            None => joined.second.get_or_init(|| self.second(question, ask)).await.clone(),
        }
    }

    fn epoch(&self) -> Epoch {
        self.below.epoch()
    }
}

/// What a load says when it has landed.
async fn answer(mut landed: watch::Receiver<Option<Answer>>) -> Answer {
    let given_up = || Err(StoreError::Unavailable("the load was given up".to_owned()));
    match landed.wait_for(Option::is_some).await {
        Ok(answer) => answer.clone().unwrap_or_else(given_up),
        Err(_) => given_up(),
    }
}

/// Which questions a load is under way for.
#[derive(Debug)]
struct Board<K, A> {
    under_way: Mutex<HashMap<K, Load<A>>>,
    /// The most questions.
    max: Arc<AtomicUsize>,
}

/// A load under way, as those see it who join it.
#[derive(Debug)]
struct Load<A> {
    landed: watch::Receiver<Option<A>>,
    /// The answer of the load after it, for all who joined this one.
    second: Arc<OnceCell<A>>,
}

/// For which time somebody comes to the board.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    First,
    /// They have waited for a load of this question. They are not turned away for those who came meanwhile: there are
    /// as many places again for them.
    Second,
}

/// What becomes of somebody who asks.
#[derive(Debug)]
enum Arrival<A, T> {
    /// It is in memory by now.
    Found(T),
    /// Nothing is under way for this question: they send the load themselves.
    First(watch::Sender<Option<A>>),
    /// They wait for the load that is under way.
    Joined(Load<A>),
    /// As many are under way as may be.
    Full,
}

impl<A> Clone for Load<A> {
    fn clone(&self) -> Self {
        Self { landed: self.landed.clone(), second: Arc::clone(&self.second) }
    }
}

impl<K: Eq + Hash, A> Board<K, A> {
    fn new(max: usize) -> Self {
        Self { under_way: Mutex::default(), max: Arc::new(AtomicUsize::new(max)) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Load<A>>> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who joins costs the database nothing more, and is never turned away. `look` looks in memory: a load that has left
    /// the board has filled it, maybe since this question was not found there.
    fn arrive<T>(&self, question: &K, turn: Turn, look: impl FnOnce() -> Option<T>) -> Arrival<A, T>
    where
        K: Clone,
    {
        let mut under_way = self.lock();
        let max = self.max.load(Ordering::Relaxed);
        let is_full = under_way.len() >= if turn == Turn::First { max } else { max.saturating_mul(2) };
        match under_way.entry(question.clone()) {
            Entry::Occupied(load) => Arrival::Joined(load.get().clone()),
            Entry::Vacant(free) => match look() {
                Some(found) => Arrival::Found(found),
                None if is_full => Arrival::Full,
                None => {
                    let (landing, landed) = watch::channel(None);
                    free.insert(Load { landed, second: Arc::default() });
                    Arrival::First(landing)
                }
            },
        }
    }
}

/// A load's place on the board, which is free before anybody hears that the load has landed, or was given up.
struct Place<K: Eq + Hash, A> {
    board: Arc<Board<K, A>>,
    question: K,
    /// None: it has landed.
    landing: Option<watch::Sender<Option<A>>>,
}

impl<K: Eq + Hash, A> Place<K, A> {
    fn land(mut self, answer: A) {
        if let Some(landing) = self.landing.take() {
            self.board.lock().remove(&self.question);
            landing.send_replace(Some(answer));
        }
    }
}

impl<K: Eq + Hash, A> Drop for Place<K, A> {
    fn drop(&mut self) {
        if self.landing.is_some() {
            self.board.lock().remove(&self.question);
        }
    }
}

#[cfg(test)]
mod tests;

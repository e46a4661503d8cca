//! Flights: many who ask the same at once are answered by one load, which is sent after the last of them has arrived.
//!
//! Of one question at most one load is under way and one waits for it to end: who arrives meanwhile joins the one that
//! waits, never the one that was sent before they came. Of different questions so many are under way at most; who brings
//! one more is told so at once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_engine::id::{ResourceRef, TenantId};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::store::{Ask, Epoch, Snapshot, Snapshots, StoreError, SubjectRef};
use crate::telemetry::{Metrics, trace};

/// A layer that sends one load for many.
#[derive(Debug)]
pub struct Flight<S> {
    below: Arc<S>,
    board: Arc<Board<Question, Answer>>,
    metrics: Arc<Metrics>,
    runtime: Handle,
}

/// What makes two asks the same.
type Question = (TenantId, SubjectRef, Vec<ResourceRef>);
type Answer = Result<Snapshot, StoreError>;

impl<S> Clone for Flight<S> {
    fn clone(&self) -> Self {
        let (below, board) = (Arc::clone(&self.below), Arc::clone(&self.board));
        Self { below, board, metrics: Arc::clone(&self.metrics), runtime: self.runtime.clone() }
    }
}

impl<S: Snapshots> Flight<S> {
    /// A layer over another, with so many loads under way at most; they run on `runtime`, and go on when who asked has
    /// gone.
    pub fn over(below: S, loads_max: usize, metrics: Arc<Metrics>, runtime: Handle) -> Self {
        Self { below: Arc::new(below), board: Arc::new(Board::new(loads_max)), metrics, runtime }
    }

    /// How many loads may be under way, to be changed at any time.
    pub fn loads_max(&self) -> Arc<AtomicUsize> {
        Arc::clone(&self.board.max)
    }
}

impl<S: Snapshots> Flight<S> {
    /// Loads for the first who asked, and again for as long as others came meanwhile.
    fn send(&self, question: Question, first: oneshot::Sender<Answer>, ask: Ask) {
        let (below, board) = (Arc::clone(&self.below), Arc::clone(&self.board));
        let mut first_of = trace::here();
        let metrics = Arc::clone(&self.metrics);
        self.runtime.spawn(async move {
            let mut place = Place { board, question, under_way: true };
            let mut waiting = vec![first];
            while !waiting.is_empty() {
                metrics.caches.load();
                // The first load is in the trace of who asked first; the others are of many.
                let answer = trace::at(first_of.take(), below.snapshot(ask.clone())).await;
                let next = place.land();
                for sender in waiting {
                    // Who has gone needs no answer.
                    let _ = sender.send(answer.clone());
                }
                waiting = next;
            }
        });
    }
}

impl<S: Snapshots> Snapshots for Flight<S> {
    async fn snapshot(&self, ask: Ask) -> Result<Snapshot, StoreError> {
        let question = (ask.tenant.clone(), ask.subject.clone(), ask.resources.clone());
        let (sender, receiver) = oneshot::channel();
        match self.board.arrive(question.clone(), sender) {
            Arrival::First(first) => self.send(question, first, ask),
            Arrival::Joined => {}
            Arrival::Full => return Err(StoreError::Busy),
        }
        receiver.await.unwrap_or_else(|_| Err(StoreError::Unavailable("the load was given up".to_owned())))
    }

    fn epoch(&self) -> Epoch {
        self.below.epoch()
    }
}

/// Who waits for what.
#[derive(Debug)]
struct Board<K, A> {
    /// For each question that a load is under way for: those who came after it was sent.
    waiting: Mutex<HashMap<K, Vec<oneshot::Sender<A>>>>,
    /// The most questions.
    max: Arc<AtomicUsize>,
}

/// What becomes of somebody who asks.
#[derive(Debug)]
enum Arrival<A> {
    /// Nothing is under way for this question: they send the load themselves.
    First(oneshot::Sender<A>),
    /// They wait for the load after the one that is under way.
    Joined,
    /// As many are under way as may be.
    Full,
}

impl<K: Eq + std::hash::Hash, A> Board<K, A> {
    fn new(max: usize) -> Self {
        Self { waiting: Mutex::default(), max: Arc::new(AtomicUsize::new(max)) }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<K, Vec<oneshot::Sender<A>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who joins costs the database nothing more, and is never turned away.
    fn arrive(&self, question: K, sender: oneshot::Sender<A>) -> Arrival<A> {
        let mut board = self.lock();
        let is_full = board.len() >= self.max.load(Ordering::Relaxed);
        match board.entry(question) {
            Entry::Occupied(mut under_way) => {
                under_way.get_mut().push(sender);
                Arrival::Joined
            }
            Entry::Vacant(_) if is_full => Arrival::Full,
            Entry::Vacant(free) => {
                free.insert(Vec::new());
                Arrival::First(sender)
            }
        }
    }

    /// A load has ended: who waits for the next one, which is to be sent now; nobody: none is under way any more.
    fn land(&self, question: &K) -> Vec<oneshot::Sender<A>> {
        let mut board = self.lock();
        let next = board.get_mut(question).map(std::mem::take).unwrap_or_default();
        if next.is_empty() {
            board.remove(question);
        }
        next
    }
}

/// A question's place on the board; a load that is given up clears it, and who waits there hears of it.
struct Place {
    board: Arc<Board<Question, Answer>>,
    question: Question,
    under_way: bool,
}

impl Place {
    fn land(&mut self) -> Vec<oneshot::Sender<Answer>> {
        let next = self.board.land(&self.question);
        self.under_way = !next.is_empty();
        next
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.under_way {
            self.board.lock().remove(&self.question);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn arrive(board: &Board<&str, u8>, question: &'static str) -> (Arrival<u8>, oneshot::Receiver<u8>) {
        let (sender, receiver) = oneshot::channel();
        (board.arrive(question, sender), receiver)
    }

    #[test]
    fn who_comes_while_a_load_is_under_way_waits_for_the_next_one() {
        let board = Board::new(2);
        assert!(matches!(arrive(&board, "q").0, Arrival::First(_)), "sends the load");
        let (second, mut answered) = arrive(&board, "q");
        let (third, _) = arrive(&board, "q");
        let joined = matches!((second, third), (Arrival::Joined, Arrival::Joined));
        assert!(joined, "never the load that is under way");
        assert!(matches!(arrive(&board, "another").0, Arrival::First(_)));
        let mut next = board.land(&"q");
        assert_eq!(next.len(), 2, "one load for both");
        next.remove(0).send(7).unwrap();
        assert_eq!(answered.try_recv(), Ok(7));
        assert!(matches!(arrive(&board, "q").0, Arrival::Joined), "the second load is under way");
        assert_eq!(board.land(&"q").len(), 1);
        assert!(board.land(&"q").is_empty());
        assert!(matches!(arrive(&board, "q").0, Arrival::First(_)), "none is under way any more");
    }

    #[test]
    fn who_brings_one_question_too_many_is_told_so_and_who_asks_what_is_under_way_joins() {
        let board = Board::new(2);
        let _ = (arrive(&board, "a"), arrive(&board, "b"));
        assert!(matches!(arrive(&board, "c").0, Arrival::Full));
        assert!(matches!(arrive(&board, "a").0, Arrival::Joined));
        assert_eq!(board.land(&"a").len(), 1, "a second load for who has joined");
        assert!(matches!(arrive(&board, "c").0, Arrival::Full), "it keeps its place");
        assert!(board.land(&"a").is_empty());
        assert!(matches!(arrive(&board, "c").0, Arrival::First(_)));
        assert!(matches!(arrive(&board, "d").0, Arrival::Full));
    }
}

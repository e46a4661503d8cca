//! Flights: many who ask the same at once are answered by one load, which is sent after the last of them has arrived.
//!
//! Of one question at most one load is under way and one waits for it to end: who arrives meanwhile joins the one that
//! waits, never the one that was sent before they came.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use doorward_engine::id::{ResourceRef, TenantId};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::store::{Ask, Epoch, Snapshot, Snapshots, StoreError, SubjectRef};

/// A layer that sends one load for many.
#[derive(Debug)]
pub struct Flight<S> {
    below: Arc<S>,
    board: Arc<Board<Question, Answer>>,
    runtime: Handle,
}

/// What makes two asks the same.
type Question = (TenantId, SubjectRef, Vec<ResourceRef>);
type Answer = Result<Snapshot, StoreError>;

impl<S> Clone for Flight<S> {
    fn clone(&self) -> Self {
        Self { below: Arc::clone(&self.below), board: Arc::clone(&self.board), runtime: self.runtime.clone() }
    }
}

impl<S: Snapshots> Flight<S> {
    /// A layer over another; loads run on `runtime`, and go on when who asked has gone.
    pub fn over(below: S, runtime: Handle) -> Self {
        Self { below: Arc::new(below), board: Arc::default(), runtime }
    }
}

impl<S: Snapshots> Snapshots for Flight<S> {
    async fn snapshot(&self, ask: Ask) -> Result<Snapshot, StoreError> {
        let question = (ask.tenant.clone(), ask.subject.clone(), ask.resources.clone());
        let (sender, receiver) = oneshot::channel();
        if let Some(first) = self.board.arrive(question.clone(), sender) {
            let (below, board) = (Arc::clone(&self.below), Arc::clone(&self.board));
            self.runtime.spawn(async move {
                let mut place = Place { board, question, under_way: true };
                let mut waiting = vec![first];
                while !waiting.is_empty() {
                    let answer = below.snapshot(ask.clone()).await;
                    let next = place.land();
                    for sender in waiting {
                        // Who has gone needs no answer.
                        let _ = sender.send(answer.clone());
                    }
                    waiting = next;
                }
            });
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
}

impl<K, A> Default for Board<K, A> {
    fn default() -> Self {
        Self { waiting: Mutex::default() }
    }
}

impl<K: Eq + std::hash::Hash, A> Board<K, A> {
    fn lock(&self) -> MutexGuard<'_, HashMap<K, Vec<oneshot::Sender<A>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Given back to who must send the load: none is under way. Otherwise it is kept for the next one.
    fn arrive(&self, question: K, sender: oneshot::Sender<A>) -> Option<oneshot::Sender<A>> {
        match self.lock().entry(question) {
            Entry::Vacant(free) => {
                free.insert(Vec::new());
                Some(sender)
            }
            Entry::Occupied(mut under_way) => {
                under_way.get_mut().push(sender);
                None
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

    #[test]
    fn who_comes_while_a_load_is_under_way_waits_for_the_next_one() {
        let board = Board::<&str, u8>::default();
        let arrive = |question| {
            let (sender, receiver) = oneshot::channel();
            (board.arrive(question, sender), receiver)
        };
        let (first, _) = arrive("q");
        assert!(first.is_some(), "sends the load");
        let (second, mut answered) = arrive("q");
        let (third, _) = arrive("q");
        assert!(second.is_none() && third.is_none(), "never the load that is under way");
        assert!(arrive("another").0.is_some());
        let mut next = board.land(&"q");
        assert_eq!(next.len(), 2, "one load for both");
        next.remove(0).send(7).unwrap();
        assert_eq!(answered.try_recv(), Ok(7));
        assert!(arrive("q").0.is_none(), "the second load is under way");
        assert_eq!(board.land(&"q").len(), 1);
        assert!(board.land(&"q").is_empty());
        assert!(arrive("q").0.is_some(), "none is under way any more");
    }
}

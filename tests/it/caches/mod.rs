//! The caches, seen from outside: what is answered from where, and never a wrong answer.

mod agree;
mod herd;
mod misses;
mod outage;
pub(crate) mod replicas;

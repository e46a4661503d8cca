//! Fast and never stale: layers over the store's traits, and what keeps their facts from being believed too long.
//!
//! [`Leased`] answers from facts in memory or Redis, [`Flight`] sends one load where many want the same, [`Filling`]
//! remembers what it has read, [`Enforced`] lets a mutation return once nobody can miss it, and [`Follower`] keeps a
//! replica's [`Memory`] up with the feed.
//! docs/coherence.md says what is promised and why it holds.

mod away;
mod enforced;
pub mod far;
mod filling;
mod flight;
mod follower;
#[cfg(all(test, not(feature = "slips")))]
mod interleaving;
mod lease;
mod leased;
mod memory;
mod name;
mod near;
mod roster;
#[cfg(test)]
mod samples;
mod slip;
mod view;
mod views;
mod watch;

pub use self::enforced::{Enforced, Manner};
pub use self::far::Far;
pub use self::filling::Filling;
pub use self::flight::Flight;
pub use self::follower::{Follower, Timing};
pub use self::leased::Leased;
pub use self::memory::{Memory, Options};
pub use self::roster::LeasedRoster;

//! Ways to get the protocol wrong, for the tests that must find each: a build for use has none of them.

use tokio::runtime::Handle;

/// One difference from the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slip {
    /// A mutation returns without waiting.
    NoWait,
    /// A cached answer passes whatever its age.
    NoGate,
    /// The gate looks at the newest poll, not at the one that was read before the lookup.
    NewerFresh,
    /// A poll's age is counted from its reply.
    FreshFromReply,
    /// What Redis says is taken for recent.
    FarUnchecked,
    /// A dead replica's row is deleted at once.
    OneStepEviction,
    /// Who joins a load that was sent before they came is answered by it.
    JoinOlder,
}

#[cfg(feature = "slips")]
mod chosen {
    use std::sync::OnceLock;
    use std::time::Duration;

    use super::Slip;
    use crate::settings::{Test, test};

    /// One in so many cached answers is held up.
    const STALLED: u8 = 50;

    impl Slip {
        const fn name(self) -> &'static str {
            match self {
                Self::NoWait => "no_wait",
                Self::NoGate => "no_gate",
                Self::NewerFresh => "newer_fresh",
                Self::FreshFromReply => "fresh_from_reply",
                Self::FarUnchecked => "far_unchecked",
                Self::OneStepEviction => "one_step_eviction",
                Self::JoinOlder => "join_older",
            }
        }
    }

    fn settings() -> &'static Test {
        static SETTINGS: OnceLock<Test> = OnceLock::new();
        SETTINGS.get_or_init(test)
    }

    /// Whether this process slips so.
    pub(in crate::cache) fn slips(slip: Slip) -> bool {
        settings().slip.as_deref() == Some(slip.name())
    }

    /// Holds some answers up between lookup and gate: a process may be stopped at any time. Whether it did.
    pub(in crate::cache) async fn stall() -> bool {
        let longest = settings().stall_ms;
        let mut random = [0; 2];
        if longest > 0 && getrandom::fill(&mut random).is_ok() {
            let [drawn, share] = random;
            if drawn.is_multiple_of(STALLED) {
                tokio::time::sleep(Duration::from_millis(longest * u64::from(share) / 255)).await;
                return true;
            }
        }
        false
    }
}

#[cfg(not(any(test, feature = "slips")))]
mod chosen {
    use super::Slip;

    pub(in crate::cache) const fn slips(_: Slip) -> bool {
        false
    }

    pub(in crate::cache) async fn stall() -> bool {
        false
    }
}

#[cfg(all(test, not(feature = "slips")))]
pub(super) mod chosen {
    use std::cell::Cell;

    use super::Slip;

    thread_local! {
        /// What the interleavings of this thread are explored with; none: this is another test.
        pub(in crate::cache) static EXPLORED: Cell<Option<Option<Slip>>> = const { Cell::new(None) };
    }

    pub(in crate::cache) fn slips(slip: Slip) -> bool {
        EXPLORED.get() == Some(Some(slip))
    }

    pub(in crate::cache) async fn stall() -> bool {
        let is_explored = EXPLORED.get().is_some();
        if is_explored {
            shuttle::future::yield_now().await;
        }
        is_explored
    }
}

pub(super) use self::chosen::{slips, stall};

/// A place where a process may be stopped for any time: the tests of interleavings go on elsewhere.
pub(super) async fn pause() {
    #[cfg(all(test, not(feature = "slips")))]
    stall().await;
}

/// Runs a task on a runtime; in the tests of interleavings, as one more that takes its steps in any order.
pub(super) fn spawn(runtime: &Handle, task: impl Future<Output = ()> + Send + 'static) {
    #[cfg(all(test, not(feature = "slips")))]
    if chosen::EXPLORED.get().is_some() {
        drop(shuttle::future::spawn(task));
        return;
    }
    runtime.spawn(task);
}

//! A tenant's subscription: its state, its instants, and whether the modules are open at an instant (rules 8–10).

use serde::{Deserialize, Serialize};

use crate::instant::Instant;

/// The state as stored. What is in force also depends on the instants: see [`Subscription::in_force`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SubscriptionState {
    /// A trial, until `trial_end`.
    Trialing,
    /// Paid.
    Active,
    /// The period is over, the payment awaited until `grace_end`.
    PendingRenewal,
    /// Lapsed.
    Expired,
    /// Cancelled; open until `access_until`.
    Cancelled,
}

impl SubscriptionState {
    /// Every state.
    pub const ALL: &[Self] =
        &[Self::Trialing, Self::Active, Self::PendingRenewal, Self::Expired, Self::Cancelled];

    /// The name used in prose, rows and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Trialing => "TRIALING",
            Self::Active => "ACTIVE",
            Self::PendingRenewal => "PENDING_RENEWAL",
            Self::Expired => "EXPIRED",
            Self::Cancelled => "CANCELLED",
        }
    }

    /// The state of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|state| state.name() == name)
    }
}

/// A tenant's subscription as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subscription {
    /// The stored state.
    pub state: SubscriptionState,
    /// The flag over any state that passes every subscription check.
    pub complimentary: bool,
    /// When a trial ends.
    pub trial_end: Option<Instant>,
    /// When the paid period ends; none: it does not.
    pub period_end: Option<Instant>,
    /// Until when an unpaid period is borne with.
    pub grace_end: Option<Instant>,
    /// Until when a cancelled subscription is open.
    pub access_until: Option<Instant>,
}

impl Subscription {
    /// A paid subscription in a state that ends at no instant.
    #[must_use]
    pub const fn of(state: SubscriptionState) -> Self {
        Self {
            state,
            complimentary: false,
            trial_end: None,
            period_end: None,
            grace_end: None,
            access_until: None,
        }
    }

    /// The state in force at an instant: instants that have passed are applied, no job flips a column.
    #[must_use]
    pub fn in_force(&self, now: Instant) -> SubscriptionState {
        use SubscriptionState::{Active, Cancelled, Expired, PendingRenewal, Trialing};
        let before = |end: Option<Instant>| end.is_some_and(|end| now < end);
        match self.state {
            Trialing if !before(self.trial_end) => Expired,
            Active if self.period_end.is_some_and(|end| now >= end) => {
                if before(self.grace_end) {
                    PendingRenewal
                } else {
                    Expired
                }
            }
            PendingRenewal if !before(self.grace_end) => Expired,
            state @ (Trialing | Active | PendingRenewal | Expired | Cancelled) => state,
        }
    }

    /// Whether the subscription gate is open at an instant, the complimentary flag apart.
    #[must_use]
    pub fn is_open(&self, now: Instant) -> bool {
        match self.in_force(now) {
            SubscriptionState::Expired => false,
            SubscriptionState::Cancelled => self.access_until.is_some_and(|end| now < end),
            SubscriptionState::Trialing | SubscriptionState::Active | SubscriptionState::PendingRenewal => {
                true
            }
        }
    }

    /// Whether operations that grow are refused at an instant.
    #[must_use]
    pub fn has_lapsed(&self, now: Instant) -> bool {
        !self.complimentary && !self.is_open(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SubscriptionState::{Active, Cancelled, Expired, PendingRenewal, Trialing};

    const NOW: Instant = Instant::from_micros(1000);

    fn at(micros: i64) -> Option<Instant> {
        Some(Instant::from_micros(micros))
    }

    #[test]
    fn a_trial_is_open_until_its_end_and_not_at_it() {
        let trial = |trial_end| Subscription { trial_end, ..Subscription::of(Trialing) };
        assert!(trial(at(1001)).is_open(NOW));
        assert!(!trial(at(1000)).is_open(NOW));
        assert!(!trial(None).is_open(NOW));
        assert_eq!(trial(at(1000)).in_force(NOW), Expired);
    }

    #[test]
    fn an_active_one_past_its_period_is_pending_renewal_and_then_expired() {
        let active =
            |period_end, grace_end| Subscription { period_end, grace_end, ..Subscription::of(Active) };
        assert_eq!(active(None, at(1)).in_force(NOW), Active);
        assert_eq!(active(at(1001), None).in_force(NOW), Active);
        assert_eq!(active(at(1000), at(1001)).in_force(NOW), PendingRenewal);
        assert_eq!(active(at(999), at(1000)).in_force(NOW), Expired);
        assert_eq!(active(at(1000), None).in_force(NOW), Expired);
    }

    #[test]
    fn a_renewal_is_awaited_until_the_end_of_the_grace() {
        let pending =
            |grace_end| Subscription { grace_end, period_end: at(5000), ..Subscription::of(PendingRenewal) };
        assert!(pending(at(1001)).is_open(NOW));
        assert!(!pending(at(1000)).is_open(NOW));
        assert!(!pending(None).is_open(NOW));
    }

    #[test]
    fn a_cancelled_one_stays_cancelled_and_is_open_until_its_access_ends() {
        let cancelled =
            |access_until| Subscription { access_until, grace_end: at(5000), ..Subscription::of(Cancelled) };
        assert!(cancelled(at(1001)).is_open(NOW));
        assert!(!cancelled(at(1000)).is_open(NOW));
        assert!(!cancelled(None).is_open(NOW));
        assert_eq!(cancelled(at(1000)).in_force(NOW), Cancelled);
    }

    #[test]
    fn an_expired_one_is_closed_unless_it_is_complimentary() {
        let expired = Subscription { trial_end: at(5000), grace_end: at(5000), ..Subscription::of(Expired) };
        assert!(!expired.is_open(NOW) && expired.has_lapsed(NOW));
        assert!(!Subscription { complimentary: true, ..expired }.has_lapsed(NOW));
    }

    #[test]
    fn states_are_parsed_by_their_names_alone() {
        for &state in SubscriptionState::ALL {
            assert_eq!(SubscriptionState::parse(state.name()), Some(state));
        }
        assert_eq!(SubscriptionState::parse("active"), None);
    }
}

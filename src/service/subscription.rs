//! Subscriptions: the legal moves from the state in force, and the instants that each state needs.

use doorward_engine::id::{PlanKey, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::subscription::{Subscription, SubscriptionState};

use super::error::{Error, Precondition, Violation};
use super::tenant::{TenantAt, known_plan};
use super::{Backend, Call, Done, Operation, Service};

/// A subscription as it shall be. What is none follows from the state: see [`Wanted::over`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// The state to move to.
    pub state: SubscriptionState,
    /// When the trial ends.
    pub trial_end: Option<Instant>,
    /// When the paid period ends.
    pub period_end: Option<Instant>,
    /// Until when an unpaid period is borne with.
    pub grace_end: Option<Instant>,
    /// Until when a cancelled subscription is open.
    pub access_until: Option<Instant>,
}

impl<B: Backend> Service<B> {
    /// Moves a subscription, and the tenant to another plan where one is named.
    ///
    /// # Errors
    /// ILLEGAL_MOVE; INVALID_ARGUMENT for an unknown plan or an instant that is needed and not there.
    pub async fn set_subscription(
        &self,
        call: Call,
        tenant: TenantId,
        wanted: Wanted,
        plan: Option<PlanKey>,
    ) -> Result<Done<TenantAt>, Error> {
        let grace_seconds = self.policy.grace_seconds;
        self.change_tenant(call, Operation::SetSubscription, tenant, move |after, draft| {
            after.subscription = moved(&after.subscription, &wanted, draft.now(), grace_seconds)?;
            if let Some(plan) = plan {
                after.plan = known_plan(draft, plan)?;
            }
            Ok(())
        })
        .await
    }

    /// Records a payment: ACTIVE, from whatever state.
    ///
    /// # Errors
    /// Those of every mutation.
    pub async fn renew_subscription(
        &self,
        call: Call,
        tenant: TenantId,
        period_end: Instant,
        grace_end: Option<Instant>,
    ) -> Result<Done<TenantAt>, Error> {
        let grace_seconds = self.policy.grace_seconds;
        let wanted = Wanted {
            state: SubscriptionState::Active,
            trial_end: None,
            period_end: Some(period_end),
            grace_end,
            access_until: None,
        };
        self.change_tenant(call, Operation::RenewSubscription, tenant, move |after, draft| {
            after.subscription = moved(&after.subscription, &wanted, draft.now(), grace_seconds)?;
            Ok(())
        })
        .await
    }

    /// Cancels an ACTIVE subscription: everything stays open until the end of the paid period.
    ///
    /// # Errors
    /// ILLEGAL_MOVE where it is not ACTIVE; a cancelled one stays as it is.
    pub async fn cancel_subscription(&self, call: Call, tenant: TenantId) -> Result<Done<TenantAt>, Error> {
        self.change_tenant(call, Operation::CancelSubscription, tenant, |after, draft| {
            after.subscription = cancelled(&after.subscription, draft.now())?;
            Ok(())
        })
        .await
    }

    /// Lets a tenant pass every check of its subscription, or no longer.
    ///
    /// # Errors
    /// Those of every mutation.
    pub async fn set_complimentary(
        &self,
        call: Call,
        tenant: TenantId,
        complimentary: bool,
    ) -> Result<Done<TenantAt>, Error> {
        self.change_tenant(call, Operation::SetComplimentary, tenant, move |after, _| {
            after.subscription.complimentary = complimentary;
            Ok(())
        })
        .await
    }

    /// Moves a tenant to another plan.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for an unknown plan.
    pub async fn set_plan(
        &self,
        call: Call,
        tenant: TenantId,
        plan: PlanKey,
    ) -> Result<Done<TenantAt>, Error> {
        self.change_tenant(call, Operation::SetPlan, tenant, move |after, draft| {
            after.plan = known_plan(draft, plan)?;
            Ok(())
        })
        .await
    }
}

/// Where a state leads, itself first: that sets its instants anew.
const fn moves(from: SubscriptionState) -> &'static [SubscriptionState] {
    use SubscriptionState::{Active, Cancelled, Expired, PendingRenewal, Trialing};
    match from {
        Trialing => &[Trialing, Active, Expired],
        Active => &[Active, PendingRenewal, Cancelled],
        PendingRenewal => &[PendingRenewal, Active, Expired],
        Expired => &[Expired, Active],
        Cancelled => &[Cancelled, Active],
    }
}

fn illegal(from: SubscriptionState, to: SubscriptionState) -> Error {
    let allowed: Vec<_> = moves(from).iter().map(|state| state.name()).collect();
    let (from, to, allowed) = (from.name(), to.name(), allowed.join(", "));
    let text = format!(
        "the subscription is {from} now and does not move to {to}; from {from} it moves to {allowed}"
    );
    Precondition::IllegalMove(text).into()
}

fn moved(
    stored: &Subscription,
    wanted: &Wanted,
    now: Instant,
    grace_seconds: i64,
) -> Result<Subscription, Error> {
    let from = stored.in_force(now);
    if !moves(from).contains(&wanted.state) {
        return Err(illegal(from, wanted.state));
    }
    wanted.over(stored, grace_seconds)
}

impl Wanted {
    /// The instants that are given, and for those that are not: what the state needs, or what is stored.
    fn over(&self, stored: &Subscription, grace_seconds: i64) -> Result<Subscription, Error> {
        use SubscriptionState::{Active, Cancelled, Expired, PendingRenewal, Trialing};
        let state = self.state;
        let trial_end = self.trial_end.or(stored.trial_end);
        let period_end = match state {
            // A period without an end does not lapse.
            Active => self.period_end,
            Trialing | PendingRenewal | Expired | Cancelled => self.period_end.or(stored.period_end),
        };
        let grace_end = self.grace_end.or(match state {
            Active | PendingRenewal => period_end.map(|end| end.plus_seconds(grace_seconds)),
            Trialing | Expired | Cancelled => stored.grace_end,
        });
        let access_until = self.access_until.or(match state {
            Cancelled => period_end,
            Trialing | Active | PendingRenewal | Expired => None,
        });
        let missing = match state {
            Trialing if trial_end.is_none() => Some("trial_end"),
            PendingRenewal if grace_end.is_none() => Some("grace_end"),
            Cancelled if access_until.is_none() => Some("access_until"),
            Trialing | Active | PendingRenewal | Expired | Cancelled => None,
        };
        if let Some(field) = missing {
            let other = if state == Trialing { "" } else { ", or period_end" };
            let problem = format!("is missing: {} needs it{other}, and none is stored", state.name());
            return Err(Violation::new(field, problem).into());
        }
        let complimentary = stored.complimentary;
        Ok(Subscription { state, complimentary, trial_end, period_end, grace_end, access_until })
    }
}

/// As cancelled by its tenant. What has no end of its period was paid for nothing in particular: it ends now.
fn cancelled(stored: &Subscription, now: Instant) -> Result<Subscription, Error> {
    match stored.in_force(now) {
        SubscriptionState::Cancelled => Ok(stored.clone()),
        SubscriptionState::Active => Ok(Subscription {
            state: SubscriptionState::Cancelled,
            access_until: Some(stored.period_end.unwrap_or(now)),
            ..stored.clone()
        }),
        from @ (SubscriptionState::Trialing
        | SubscriptionState::PendingRenewal
        | SubscriptionState::Expired) => Err(illegal(from, SubscriptionState::Cancelled)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use SubscriptionState::{Active, Cancelled, Expired, PendingRenewal, Trialing};

    const NOW: Instant = Instant::from_micros(1_000_000_000);
    const GRACE_SECONDS: i64 = 100;

    fn at(seconds: i64) -> Option<Instant> {
        Some(NOW.plus_seconds(seconds))
    }

    fn stored(state: SubscriptionState) -> Subscription {
        Subscription {
            state,
            complimentary: false,
            trial_end: at(10),
            period_end: at(20),
            grace_end: at(30),
            access_until: at(40),
        }
    }

    fn wanted(state: SubscriptionState) -> Wanted {
        Wanted { state, trial_end: None, period_end: None, grace_end: None, access_until: None }
    }

    fn to(stored: &Subscription, wanted: &Wanted) -> Result<Subscription, Error> {
        moved(stored, wanted, NOW, GRACE_SECONDS)
    }

    #[test]
    fn a_subscription_moves_as_the_table_says_and_in_no_other_way() {
        let legal = [
            (Trialing, Active),
            (Trialing, Expired),
            (Active, PendingRenewal),
            (Active, Cancelled),
            (PendingRenewal, Active),
            (PendingRenewal, Expired),
            (Expired, Active),
            (Cancelled, Active),
        ];
        for &from in SubscriptionState::ALL {
            for &into in SubscriptionState::ALL {
                let moved = to(&stored(from), &wanted(into));
                let expected = from == into || legal.contains(&(from, into));
                assert_eq!(moved.is_ok(), expected, "{from:?} to {into:?}: {moved:?}");
            }
        }
    }

    #[test]
    fn an_illegal_move_says_from_where_to_where_and_what_is_allowed() {
        let error = to(&stored(Trialing), &wanted(Cancelled)).unwrap_err().to_string();
        assert_eq!(
            error,
            "the subscription is TRIALING now and does not move to CANCELLED; \
             from TRIALING it moves to TRIALING, ACTIVE, EXPIRED"
        );
    }

    #[test]
    fn a_move_starts_at_the_state_in_force() {
        let lapsed = Subscription { trial_end: at(0), ..stored(Trialing) };
        assert!(to(&lapsed, &wanted(Trialing)).is_err(), "an expired trial is not prolonged");
        assert_eq!(to(&lapsed, &wanted(Expired)).unwrap().state, Expired);
        let unpaid = Subscription { period_end: at(-5), ..stored(Active) };
        assert!(to(&unpaid, &wanted(Cancelled)).is_err(), "in grace nothing is cancelled");
        assert!(to(&unpaid, &wanted(Expired)).is_ok());
        let over = Subscription { access_until: at(-5), ..stored(Cancelled) };
        assert_eq!(to(&over, &wanted(Active)).unwrap().state, Active);
    }

    #[test]
    fn what_is_left_empty_follows_from_the_period() {
        let active = to(&stored(Expired), &Wanted { period_end: at(50), ..wanted(Active) }).unwrap();
        assert_eq!((active.period_end, active.grace_end), (at(50), at(150)));
        assert_eq!(active.access_until, None);
        let pending = to(&stored(Active), &wanted(PendingRenewal)).unwrap();
        assert_eq!((pending.period_end, pending.grace_end), (at(20), at(120)));
        let cancelled = to(&stored(Active), &wanted(Cancelled)).unwrap();
        assert_eq!(cancelled.access_until, at(20));
        let forever = to(&stored(Expired), &wanted(Active)).unwrap();
        assert_eq!((forever.period_end, forever.grace_end), (None, None));
        assert_eq!(forever.in_force(Instant::MAX), Active);
    }

    #[test]
    fn what_is_given_is_stored_as_given_even_in_the_past() {
        let given = Wanted { grace_end: at(-7), period_end: at(-9), ..wanted(PendingRenewal) };
        let pending = to(&stored(Active), &given).unwrap();
        assert_eq!((pending.period_end, pending.grace_end), (at(-9), at(-7)));
        assert_eq!(pending.in_force(NOW), Expired);
    }

    #[test]
    fn an_instant_that_a_state_needs_is_asked_for() {
        let bare = |state| Subscription { state, trial_end: None, period_end: None, ..stored(state) };
        for (from, into, field) in
            [(Active, PendingRenewal, "grace_end"), (Active, Cancelled, "access_until")]
        {
            match to(&bare(from), &wanted(into)) {
                Err(Error::Invalid(violations)) => assert_eq!(violations[0].field, field),
                other => panic!("{other:?}"),
            }
        }
        match wanted(Trialing).over(&bare(Trialing), GRACE_SECONDS) {
            Err(Error::Invalid(violations)) => assert_eq!(violations[0].field, "trial_end"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_what_is_paid_for_is_cancelled_and_stays_open_as_long() {
        let ended = cancelled(&stored(Active), NOW).unwrap();
        assert_eq!((ended.state, ended.access_until), (Cancelled, at(20)));
        assert_eq!(cancelled(&ended, NOW).unwrap(), ended, "a second time changes nothing");
        let endless = Subscription { period_end: None, ..stored(Active) };
        assert_eq!(cancelled(&endless, NOW).unwrap().access_until, Some(NOW));
        for from in [Trialing, PendingRenewal, Expired] {
            assert!(cancelled(&stored(from), NOW).is_err(), "{from:?}");
        }
        let unpaid = Subscription { period_end: at(0), ..stored(Active) };
        assert!(cancelled(&unpaid, NOW).is_err());
    }
}

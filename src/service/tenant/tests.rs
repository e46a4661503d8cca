//! What planning on a tenant promises, without a database.

use super::super::firewall;
use super::super::member::sample::{NOW, caller, kinds, plan, plan_as, reason, state};
use super::*;
use crate::store::State;

fn new(plan: Option<&str>) -> NewTenant {
    NewTenant {
        id: None,
        slug: Slug::parse("beta").unwrap(),
        name: Name::parse("Beta").unwrap(),
        owner: NewOwner {
            id: None,
            user_id: UserId::parse("u-olga").unwrap(),
            email: Email::parse("olga@beta.example").unwrap(),
            display_name: None,
        },
        plan: plan.map(|plan| PlanKey::parse(plan).unwrap()),
    }
}

fn founding(plan: Option<&str>) -> Result<(Founded, Vec<&'static str>), Error> {
    let state = State { tenant: None, revision: Revision(0), ..state() };
    let mut draft = Draft::over(&state, None);
    let founded = found(&mut draft, TenantId::parse("beta").unwrap(), new(plan), 60)?;
    let planned = draft.finish(Operation::CreateTenant, founded)?;
    Ok((planned.answer, kinds(&planned.changes)))
}

#[test]
fn a_new_tenant_is_on_trial_and_its_owner_an_active_admin() {
    let (founded, changes) = founding(None).unwrap();
    assert_eq!(changes, ["tenant", "member"]);
    let Founded { tenant: TenantAt { tenant, now }, owner } = founded;
    assert_eq!((now, tenant.created_at, tenant.revision), (NOW, NOW, Revision(1)));
    assert_eq!(tenant.plan.as_str(), "standard");
    assert_eq!(tenant.subscription.state, SubscriptionState::Trialing);
    assert_eq!(tenant.subscription.trial_end, Some(NOW.plus_seconds(60)));
    assert_eq!((owner.role, owner.status), (Role::Admin, MemberStatus::Active));
    assert_eq!(owner.user_id, Some(UserId::parse("u-olga").unwrap()));
    assert_eq!((owner.person_version, owner.revision), (1, Revision(1)));
}

#[test]
fn a_plan_is_one_of_the_catalogues() {
    assert!(founding(Some("standard")).is_ok());
    let text = founding(Some("gold")).unwrap_err().to_string();
    assert_eq!(text, "`plan`: unknown plan `gold`; allowed: `standard`, `enterprise`");
}

#[test]
fn a_tenant_is_deleted_by_whoever_repeats_its_slug() {
    let state = state();
    let text = reason(plan(&state, |_, draft| delete(draft, "acne")));
    assert!(text.contains("confirm_slug"), "{text}");
    let deleted = plan(&state, |_, draft| delete(draft, "acme")).unwrap();
    assert_eq!(deleted.answer.tenant.status, TenantStatus::Deleted);
}

#[test]
fn only_what_is_suspended_is_resumed() {
    let mut state = state();
    let resuming = |state: &State| plan(state, |_, draft| change_with(draft, |after, _| resume(after)));
    assert_eq!(reason(resuming(&state)), "TenantNotSuspended");
    state.tenant.as_mut().unwrap().status = TenantStatus::Suspended;
    assert_eq!(resuming(&state).unwrap().answer.tenant.status, TenantStatus::Active);
}

#[test]
fn an_equal_value_is_no_change_and_a_stale_revision_is_refused() {
    let state = state();
    let same = |expected: Option<u64>| {
        plan_as(&caller(None), &state, expected, |_, draft| change_with(draft, |_, _| Ok(())))
    };
    let planned = same(Some(1)).unwrap();
    assert_eq!((planned.changes.len(), planned.answer.tenant.revision), (0, Revision(1)));
    assert!(matches!(same(Some(2)), Err(Error::RevisionMismatch { current: Revision(1) })));
}

#[test]
fn a_switch_is_one_of_the_catalogues() {
    let state = state();
    let turning = |switch: &str, on: bool| {
        let switch = doorward_engine::id::SwitchKey::parse(switch).unwrap();
        plan(&state, |_, draft| change_with(draft, |after, draft| firewall::turn(after, draft, switch, on)))
    };
    assert_eq!(turning("agentguard", true).unwrap().changes.len(), 1);
    assert_eq!(turning("agentguard", false).unwrap().changes.len(), 0);
    let text = reason(turning("agentgard", true));
    assert_eq!(text, "`switch`: unknown feature switch `agentgard`; allowed: `agentguard`");
}

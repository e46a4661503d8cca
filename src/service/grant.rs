//! Grants: set and removed many at once, copied from member to member, and shown as the grid of members and resources.

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::id::{MemberId, ResourceId, ResourceRef, Revision, TenantId, TypeKey};
use doorward_engine::member::{Grant, Member};
use serde::{Deserialize, Serialize};

use super::authority::TenantAdmin;
use super::draft::Draft;
use super::error::Error;
use super::list::{Page, one_more};
use super::resource::unknown_type;
use super::{Backend, Call, Done, Operation, Service};
use crate::caller::Caller;
use crate::store::directory::{AccessRow, Slice};
use crate::store::{Directory, Needs};

/// One grant to be set, or to be removed where it is none.
#[derive(Clone, Debug)]
pub struct GrantChange {
    /// Whose.
    pub member: MemberId,
    /// On what.
    pub resource: ResourceRef,
    /// The grant as it shall be.
    pub grant: Option<Grant>,
}

/// What came of setting grants.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantsSet {
    /// The grants that were asked to be there, in the order of the request.
    pub grants: Vec<GrantHeld>,
    /// How many changes altered what was stored.
    pub changed: u32,
}

/// A grant with whose and on what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantHeld {
    /// Whose.
    pub member: MemberId,
    /// On what.
    pub resource: ResourceRef,
    /// Its terms.
    pub grant: Grant,
    /// The revision that set it; none: it was so before.
    pub set_at: Option<Revision>,
}

/// A member who got another's access.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Copied {
    /// The member.
    pub member: Member,
    /// How many grants they now hold.
    pub grants: u32,
}

impl<B: Backend> Service<B> {
    /// Sets and removes grants, all or none. Each pair of member and resource comes once.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for an unknown type, MEMBER_NOT_FOUND, RESOURCE_NOT_FOUND, SUBSCRIPTION_LAPSED.
    pub async fn set_grants(
        &self,
        call: Call,
        tenant: TenantId,
        changes: Vec<GrantChange>,
    ) -> Result<Done<GrantsSet>, Error> {
        let pair = |change: &GrantChange| (change.member.clone(), change.resource.clone());
        let needs = Needs {
            members: changes.iter().map(|change| change.member.clone()).collect(),
            resources: changes.iter().map(|change| change.resource.clone()).collect(),
            grants: changes.iter().map(pair).collect(),
            ..Needs::default()
        };
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| set(draft, changes);
        self.as_admin(call, Operation::SetGrants, tenant, needs, plan).await
    }

    /// Gives one member exactly the stored section values, and the grants in force, of another.
    ///
    /// # Errors
    /// MEMBER_NOT_FOUND, SUBSCRIPTION_LAPSED.
    pub async fn copy_access(
        &self,
        call: Call,
        tenant: TenantId,
        from: MemberId,
        to: MemberId,
    ) -> Result<Done<Copied>, Error> {
        let both = BTreeSet::from([from.clone(), to.clone()]);
        let needs = Needs { members: both.clone(), grants_of: both, ..Needs::default() };
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| copy(draft, &from, &to);
        self.as_admin(call, Operation::CopyAccess, tenant, needs, plan).await
    }

    /// A page of the grid: the grants in force on resources of a type, member by member.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for an unknown type.
    pub async fn get_access_matrix(
        &self,
        caller: &Caller,
        tenant: TenantId,
        kind: TypeKey,
        resources: BTreeSet<ResourceId>,
        slice: Slice<MemberId>,
    ) -> Result<Page<AccessRow, MemberId>, Error> {
        self.reading_admin(caller, Operation::GetAccessMatrix, &tenant).await?;
        self.knows_type(&kind).await?;
        let limit = slice.limit;
        let rows = self.directory.access_rows(tenant, kind, resources, one_more(slice)).await?;
        Ok(Page::cut(rows, limit, |row| row.member.id.clone()))
    }
}

fn set(draft: &mut Draft<'_>, changes: Vec<GrantChange>) -> Result<GrantsSet, Error> {
    let catalogue = &draft.state.in_force.catalogue;
    let named = changes.iter().enumerate();
    let unknown = named.filter_map(|(at, change)| {
        unknown_type(catalogue, format!("changes[{at}].resource.type"), &change.resource.kind)
    });
    let unknown: Vec<_> = unknown.collect();
    if !unknown.is_empty() {
        return Err(Error::Invalid(unknown));
    }
    draft.compare_tenant_revision()?;
    for (at, change) in changes.iter().enumerate() {
        draft.member(&change.member).map_err(|error| error.at(|| format!("changes[{at}].member_id")))?;
        draft.resource(&change.resource).map_err(|error| error.at(|| format!("changes[{at}].resource")))?;
    }
    if changes.iter().any(|change| change.grant.is_some()) {
        draft.grow()?;
    }
    let next = draft.state.next();
    let mut set = GrantsSet { grants: Vec::new(), changed: 0 };
    for GrantChange { member, resource, grant } in changes {
        let changed = draft.put_grant(&member, &resource, grant);
        set.changed += u32::from(changed);
        let set_at = changed.then_some(next);
        set.grants.extend(grant.map(|grant| GrantHeld { member, resource, grant, set_at }));
    }
    Ok(set)
}

fn copy(draft: &mut Draft<'_>, from: &MemberId, to: &MemberId) -> Result<Copied, Error> {
    let source = draft.member(from).map_err(|error| error.at(|| "from_member_id".to_owned()))?;
    let target = draft.member(to).map_err(|error| error.at(|| "to_member_id".to_owned()))?;
    draft.compare(target.revision)?;
    draft.grow()?;
    let (state, now) = (draft.state, draft.now());
    let of = |member: &MemberId| {
        let whole = state.grants.iter().filter(move |((holder, _), _)| holder == member);
        whole.map(|((_, resource), grant)| (resource.clone(), *grant)).collect()
    };
    let mut wanted: BTreeMap<ResourceRef, Grant> = of(from);
    wanted.retain(|_, grant| grant.is_in_force(now));
    let held: BTreeMap<ResourceRef, Grant> = of(to);
    let mut changed = false;
    for resource in held.keys().filter(|resource| !wanted.contains_key(*resource)) {
        changed |= draft.put_grant(to, resource, None);
    }
    for (resource, grant) in &wanted {
        changed |= draft.put_grant(to, resource, Some(*grant));
    }
    let after = Member { sections: source.sections.clone(), ..target.clone() };
    let mut member = draft.put_member(Some(target), after);
    // A member's record counts their grants in.
    if changed {
        member.revision = state.next();
    }
    let grants = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
    Ok(Copied { member, grants })
}

#[cfg(test)]
mod tests {
    use doorward_engine::change::Change;
    use doorward_engine::id::{Name, SectionKey};
    use doorward_engine::instant::Instant;
    use doorward_engine::member::{Origin, SectionValue};
    use doorward_engine::resource::Resource;
    use doorward_engine::status::ResourceStatus;

    use super::super::member::sample::{NOW, id, kinds, lapse, plan, reason, section, state};
    use super::*;
    use crate::store::State;

    const FOREVER: Grant = Grant { expires_at: None };

    fn until(seconds: i64) -> Grant {
        Grant { expires_at: Some(NOW.plus_seconds(seconds)) }
    }

    fn agent(text: &str) -> ResourceRef {
        let id = ResourceId::parse(text).unwrap();
        ResourceRef { kind: TypeKey::parse("agent").unwrap(), id }
    }

    /// With the agents `a`, `b` and `c`, the last one INACTIVE.
    fn with_agents() -> State {
        let mut state = state();
        for (id, status) in
            [("a", ResourceStatus::Active), ("b", ResourceStatus::Active), ("c", ResourceStatus::Inactive)]
        {
            let resource = Resource {
                reference: agent(id),
                name: Name::parse(id).unwrap(),
                tags: BTreeMap::new(),
                status,
                created_at: Instant::MIN,
                revision: doorward_engine::id::Revision(2),
            };
            state.resources.insert(agent(id), resource);
        }
        state
    }

    fn change(member: &str, on: &str, grant: Option<Grant>) -> GrantChange {
        GrantChange { member: id(member), resource: agent(on), grant }
    }

    fn setting(state: &State, changes: Vec<GrantChange>) -> String {
        reason(plan(state, |_, draft| set(draft, changes)))
    }

    #[test]
    fn grants_may_be_set_for_members_and_resources_in_any_live_state() {
        let changes = ["ada", "ben", "dan", "pia"].map(|member| change(member, "c", Some(FOREVER))).to_vec();
        let planned = plan(&with_agents(), |_, draft| set(draft, changes)).unwrap();
        assert_eq!((planned.changes.len(), planned.answer.changed), (4, 4));
        assert!(planned.answer.grants.iter().all(|held| held.set_at.is_some()));
    }

    #[test]
    fn one_change_that_cannot_be_made_makes_none() {
        let state = with_agents();
        let with = |bad: GrantChange| vec![change("ben", "a", Some(FOREVER)), bad];
        assert_eq!(setting(&state, with(change("nobody", "a", None))), "no Member");
        assert_eq!(setting(&state, with(change("ben", "none", Some(FOREVER)))), "no Resource");
        let mut board = change("ben", "a", None);
        board.resource.kind = TypeKey::parse("section").unwrap();
        let text = setting(&state, with(board));
        assert!(text.starts_with("`changes[1].resource.type`: unknown"), "{text}");
    }

    #[test]
    fn granting_grows_and_revoking_does_not() {
        let mut state = with_agents();
        state.grants.insert((id("ben"), agent("a")), FOREVER);
        lapse(&mut state);
        assert_eq!(setting(&state, vec![change("ben", "a", None)]), "done");
        let both = vec![change("ben", "a", None), change("ben", "b", Some(FOREVER))];
        assert_eq!(setting(&state, both), "SubscriptionLapsed");
    }

    #[test]
    fn what_is_so_already_is_no_change() {
        let mut state = with_agents();
        state.grants.insert((id("ben"), agent("a")), until(9));
        state.grants.insert((id("ben"), agent("b")), until(-9));
        let same =
            vec![change("ben", "a", Some(until(9))), change("ben", "b", None), change("ben", "c", None)];
        let planned = plan(&state, |_, draft| set(draft, same)).unwrap();
        assert_eq!((planned.changes.len(), planned.answer.changed), (0, 0));
        assert_eq!(planned.answer.grants[0].set_at, None);
        let longer = vec![change("ben", "a", Some(FOREVER))];
        assert_eq!(plan(&state, |_, draft| set(draft, longer)).unwrap().answer.changed, 1);
    }

    fn give(state: &mut State, member: &str, sections: &[(&str, bool)]) {
        let value = |(key, on): &(&str, bool)| -> (SectionKey, SectionValue) {
            (section(key), SectionValue { on: *on, origin: Origin::Set })
        };
        let member = state.members.get_mut(&id(member)).unwrap();
        member.sections = sections.iter().map(value).collect();
    }

    #[test]
    fn copying_leaves_exactly_the_access_of_the_other() {
        let mut state = with_agents();
        give(&mut state, "ben", &[("logs", true), ("traces", false)]);
        give(&mut state, "dan", &[("eval", true)]);
        for (member, on, grant) in [
            ("ben", "a", FOREVER),
            ("ben", "b", until(9)),
            ("ben", "c", until(-9)),
            ("dan", "a", until(5)),
            ("dan", "c", FOREVER),
        ] {
            state.grants.insert((id(member), agent(on)), grant);
        }
        let planned = plan(&state, |_, draft| copy(draft, &id("ben"), &id("dan"))).unwrap();
        assert_eq!(kinds(&planned.changes), ["grant", "grant", "grant", "member"]);
        let grants = planned.changes.iter().filter_map(|change| match change {
            Change::Grant { resource, after, .. } => Some((resource.id.to_string(), *after)),
            _ => None,
        });
        let expected = [("c", None), ("a", Some(FOREVER)), ("b", Some(until(9)))];
        let expected = expected.map(|(id, grant)| (id.to_owned(), grant));
        assert_eq!(grants.collect::<Vec<_>>(), expected);
        let Copied { member, grants } = planned.answer;
        assert_eq!((grants, member.revision), (2, state.next()));
        assert_eq!(member.sections, state.members[&id("ben")].sections);
        assert_eq!(member.role, state.members[&id("dan")].role);
    }

    #[test]
    fn copying_what_is_equal_changes_nothing() {
        let mut state = with_agents();
        for member in ["ben", "dan"] {
            give(&mut state, member, &[("logs", true)]);
            state.grants.insert((id(member), agent("a")), FOREVER);
        }
        let planned = plan(&state, |_, draft| copy(draft, &id("ben"), &id("dan"))).unwrap();
        assert!(planned.changes.is_empty());
        assert_eq!(planned.answer.member, state.members[&id("dan")]);
        state.grants.insert((id("ben"), agent("b")), FOREVER);
        let planned = plan(&state, |_, draft| copy(draft, &id("ben"), &id("dan"))).unwrap();
        assert_eq!(kinds(&planned.changes), ["grant"]);
        assert_eq!(planned.answer.member.revision, state.next(), "grants count in");
        lapse(&mut state);
        assert_eq!(
            reason(plan(&state, |_, draft| copy(draft, &id("ben"), &id("dan")))),
            "SubscriptionLapsed"
        );
    }
}

//! Members after their invitation: role, status, name.

#[cfg(test)]
pub(super) mod sample;
#[cfg(test)]
mod tests;

use doorward_engine::api_key::ApiKey;
use doorward_engine::id::{MemberId, Name, TenantId};
use doorward_engine::member::Member;
use doorward_engine::role::Role;
use doorward_engine::status::MemberStatus;
use serde::{Deserialize, Serialize};

use super::api_key::keys_of;
use super::authority::{Concerned, TenantAdmin};
use super::draft::Draft;
use super::error::{Precondition, Thing};
use super::invitation::end_invitations;
use super::list::{Page, one_more};
use super::section::copied;
use super::{Backend, Call, Done, Error, Operation, Service};
use crate::caller::Caller;
use crate::store::directory::{MemberFilter, Slice};
use crate::store::{Directory, Needs};

/// A member who was disabled or deleted, and the API keys that they created.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Departed {
    /// The member.
    pub member: Member,
    /// Their keys that go on working.
    pub live_keys: Vec<ApiKey>,
    /// Their keys that were revoked with this.
    pub revoked_keys: Vec<ApiKey>,
}

/// What goes with a member who is deleted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Deletion {
    /// The live API keys that they created.
    pub revoke_keys: bool,
    /// Their personal data: email, display name, user id.
    pub erase: bool,
}

impl<B: Backend> Service<B> {
    /// Gives a member a role. Grows where the role is ADMIN.
    ///
    /// # Errors
    /// [`Error`]: the last ACTIVE ADMIN stays one.
    pub async fn change_member_role(
        &self,
        call: Call,
        tenant: TenantId,
        member: MemberId,
        role: Role,
    ) -> Result<Done<Member>, Error> {
        let needs = Needs { members: [member.clone()].into(), active_admins: true, ..Needs::default() };
        let plan = move |admin: &TenantAdmin, draft: &mut Draft<'_>| change_role(admin, draft, &member, role);
        self.as_admin(call, Operation::ChangeMemberRole, tenant, needs, plan).await
    }

    /// Disables an ACTIVE member; a DISABLED one stays so.
    ///
    /// # Errors
    /// [`Error`]: not oneself, not the last ACTIVE ADMIN, nobody who is PENDING.
    pub async fn disable_member(
        &self,
        call: Call,
        tenant: TenantId,
        member: MemberId,
        revoke_keys: bool,
    ) -> Result<Done<Departed>, Error> {
        let needs = departure(&member);
        let plan =
            move |admin: &TenantAdmin, draft: &mut Draft<'_>| disable(admin, draft, &member, revoke_keys);
        self.as_admin(call, Operation::DisableMember, tenant, needs, plan).await
    }

    /// Enables a DISABLED member; an ACTIVE one stays so. Grows.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn enable_member(
        &self,
        call: Call,
        tenant: TenantId,
        member: MemberId,
    ) -> Result<Done<Member>, Error> {
        let needs = Needs { members: [member.clone()].into(), ..Needs::default() };
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| enable(draft, &member);
        self.as_admin(call, Operation::EnableMember, tenant, needs, plan).await
    }

    /// Deletes a member for good; a DELETED one stays so. With `erase` their personal data goes too, of one who was
    /// deleted before as well.
    ///
    /// # Errors
    /// [`Error`]: not oneself, not the last ACTIVE ADMIN.
    pub async fn delete_member(
        &self,
        call: Call,
        tenant: TenantId,
        member: MemberId,
        manner: Deletion,
    ) -> Result<Done<Departed>, Error> {
        let needs = Needs { invitations_of: [member.clone()].into(), ..departure(&member) };
        let plan = move |admin: &TenantAdmin, draft: &mut Draft<'_>| delete(admin, draft, &member, manner);
        self.as_admin(call, Operation::DeleteMember, tenant, needs, plan).await
    }

    /// Gives a member a display name, or none.
    ///
    /// # Errors
    /// [`Error`]: who is no admin speaks for themselves alone.
    pub async fn update_member(
        &self,
        call: Call,
        tenant: TenantId,
        member: MemberId,
        display_name: Option<Name>,
    ) -> Result<Done<Member>, Error> {
        let needs = Needs { members: [member.clone()].into(), ..Needs::default() };
        let plan = move |by: &Concerned, draft: &mut Draft<'_>| rename(by, draft, &member, display_name);
        self.as_concerned(call, Operation::UpdateMember, tenant, needs, plan).await
    }

    /// A member who is not DELETED.
    ///
    /// # Errors
    /// [`Error`]: who is no admin reads themselves alone.
    pub async fn get_member(
        &self,
        caller: &Caller,
        tenant: TenantId,
        member: MemberId,
    ) -> Result<Member, Error> {
        let (by, _) = self.reading_concerned(caller, Operation::GetMember, &tenant).await?;
        by.speaks_of(&member)?;
        let found = self.directory.member(tenant, member).await?;
        found.filter(|member| member.status.is_live()).ok_or(Error::NotFound(Thing::Member))
    }

    /// A page of members, in the order of their ids.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_members(
        &self,
        caller: &Caller,
        tenant: TenantId,
        filter: MemberFilter,
        slice: Slice<MemberId>,
    ) -> Result<Page<Member, MemberId>, Error> {
        self.reading_admin(caller, Operation::ListMembers, &tenant).await?;
        let limit = slice.limit;
        let members = self.directory.members(tenant, filter, one_more(slice)).await?;
        Ok(Page::cut(members, limit, |member| member.id.clone()))
    }
}

fn departure(member: &MemberId) -> Needs {
    Needs {
        members: [member.clone()].into(),
        keys_of: [member.clone()].into(),
        active_admins: true,
        ..Needs::default()
    }
}

fn change_role(
    admin: &TenantAdmin,
    draft: &mut Draft<'_>,
    id: &MemberId,
    role: Role,
) -> Result<Member, Error> {
    let member = draft.member(id)?;
    draft.compare(member.revision)?;
    let mut after = Member { role, ..member.clone() };
    match (member.role, role) {
        (Role::User, Role::Admin) => {
            admin.may_make_admin()?;
            draft.grow()?;
        }
        (Role::Admin, Role::User) => {
            draft.keeps_an_admin(member)?;
            if member.sections.is_empty() {
                after.sections = copied(&draft.state.in_force.catalogue, draft.tenant()?);
            }
        }
        (Role::User, Role::User) | (Role::Admin, Role::Admin) => {}
    }
    Ok(draft.put_member(Some(member), after))
}

fn disable(
    admin: &TenantAdmin,
    draft: &mut Draft<'_>,
    id: &MemberId,
    revoke_keys: bool,
) -> Result<Departed, Error> {
    let member = draft.member(id)?;
    draft.compare(member.revision)?;
    match member.status {
        MemberStatus::Pending => return Err(Precondition::MemberPending.into()),
        MemberStatus::Active => {
            admin.not_oneself(id)?;
            draft.keeps_an_admin(member)?;
        }
        MemberStatus::Disabled | MemberStatus::Deleted => {}
    }
    let after = Member { status: MemberStatus::Disabled, ..member.clone() };
    Ok(depart(draft, member, after, revoke_keys))
}

fn enable(draft: &mut Draft<'_>, id: &MemberId) -> Result<Member, Error> {
    let member = draft.member(id)?;
    draft.compare(member.revision)?;
    match member.status {
        MemberStatus::Pending => return Err(Precondition::MemberPending.into()),
        MemberStatus::Disabled => draft.grow()?,
        MemberStatus::Active | MemberStatus::Deleted => {}
    }
    Ok(draft.put_member(Some(member), Member { status: MemberStatus::Active, ..member.clone() }))
}

fn delete(
    admin: &TenantAdmin,
    draft: &mut Draft<'_>,
    id: &MemberId,
    manner: Deletion,
) -> Result<Departed, Error> {
    let member = draft.known_member(id)?;
    draft.compare(member.revision)?;
    if member.status.is_live() {
        admin.not_oneself(id)?;
        draft.keeps_an_admin(member)?;
    }
    let mut after = deleted(draft, member);
    let erases = manner.erase && has_person(member);
    if erases {
        after = Member { email: None, display_name: None, user_id: None, ..after };
    }
    let departed = depart(draft, member, after, manner.revoke_keys);
    if erases {
        draft.erase(id);
    }
    Ok(departed)
}

/// Whether a member's personal data is there: one who was erased has none, and nothing gives them any again.
const fn has_person(member: &Member) -> bool {
    member.email.is_some() || member.display_name.is_some() || member.user_id.is_some()
}

/// The member as they will be once DELETED; a token that is on its way to them no longer works.
pub(super) fn deleted(draft: &mut Draft<'_>, member: &Member) -> Member {
    use doorward_engine::status::InvitationStatus::Cancelled;
    end_invitations(draft, &member.id, Cancelled);
    let mut after = Member { status: MemberStatus::Deleted, invitation_expires_at: None, ..member.clone() };
    after.sections.clear();
    after
}

fn depart(draft: &mut Draft<'_>, before: &Member, after: Member, revoke_keys: bool) -> Departed {
    let member = draft.put_member(Some(before), after);
    let (live_keys, revoked_keys) = keys_of(draft, &member.id, revoke_keys);
    Departed { member, live_keys, revoked_keys }
}

fn rename(
    by: &Concerned,
    draft: &mut Draft<'_>,
    id: &MemberId,
    display_name: Option<Name>,
) -> Result<Member, Error> {
    by.speaks_of(id)?;
    let member = draft.member(id)?;
    draft.compare(member.revision)?;
    Ok(draft.put_member(Some(member), Member { display_name, ..member.clone() }))
}

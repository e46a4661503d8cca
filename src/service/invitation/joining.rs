//! How a PENDING member becomes ACTIVE: by the token, or by somebody who knows who they are.

use doorward_engine::id::{MemberId, Name, UserId};
use doorward_engine::member::{Invitation, Member};
use doorward_engine::role::Role;
use doorward_engine::status::{InvitationStatus, MemberStatus};

use crate::service::Error;
use crate::service::authority::TenantAdmin;
use crate::service::draft::Draft;
use crate::service::error::{Precondition, Taken, Thing};

pub(super) fn accept(
    admin: &TenantAdmin,
    draft: &mut Draft<'_>,
    user: UserId,
    display_name: Option<Name>,
) -> Result<Member, Error> {
    let invitation = draft.state.invitation.as_ref().ok_or(Error::NotFound(Thing::Invitation))?;
    let member = draft.known_member(&invitation.member)?;
    draft.compare(member.revision)?;
    match invitation.status {
        InvitationStatus::Used => return Err(Precondition::InvitationUsed.into()),
        InvitationStatus::Cancelled => return Err(Precondition::InvitationCancelled.into()),
        InvitationStatus::Live if draft.now() >= invitation.expires_at => {
            return Err(Precondition::InvitationExpired.into());
        }
        InvitationStatus::Live => {}
    }
    let after = join(admin, draft, member, user, display_name)?;
    draft.put_invitation(
        Some(invitation),
        Invitation { status: InvitationStatus::Used, ..invitation.clone() },
    );
    Ok(after)
}

pub(super) fn activate(
    admin: &TenantAdmin,
    draft: &mut Draft<'_>,
    id: &MemberId,
    user: UserId,
) -> Result<Member, Error> {
    let member = draft.member(id)?;
    draft.compare(member.revision)?;
    let after = join(admin, draft, member, user, None)?;
    end_invitations(draft, id, InvitationStatus::Used);
    Ok(after)
}

/// PENDING becomes ACTIVE.
fn join(
    admin: &TenantAdmin,
    draft: &mut Draft<'_>,
    member: &Member,
    user: UserId,
    display_name: Option<Name>,
) -> Result<Member, Error> {
    if member.status != MemberStatus::Pending {
        return Err(Precondition::NotPending.into());
    }
    admits(admin, member)?;
    if draft.state.users.contains_key(&user) {
        return Err(Error::AlreadyExists(Taken::User));
    }
    let after = Member {
        user_id: Some(user),
        display_name: display_name.or_else(|| member.display_name.clone()),
        status: MemberStatus::Active,
        invitation_expires_at: None,
        ..member.clone()
    };
    Ok(draft.put_member(Some(member), after))
}

/// Who holds the token of a PENDING ADMIN becomes one: that is not for those who make nobody an ADMIN.
pub(super) fn admits(admin: &TenantAdmin, member: &Member) -> Result<(), Error> {
    match member.role {
        Role::Admin => admin.may_make_admin(),
        Role::User => Ok(()),
    }
}

/// Ends the LIVE invitations of a member.
pub(in crate::service) fn end_invitations(
    draft: &mut Draft<'_>,
    member: &MemberId,
    status: InvitationStatus,
) {
    for invitation in draft.state.invitations.iter().filter(|invitation| invitation.member == *member) {
        draft.put_invitation(Some(invitation), Invitation { status, ..invitation.clone() });
    }
}

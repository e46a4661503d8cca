//! Invitations: from an address to an ACTIVE member. Knows tokens for a moment, stores their hashes.

mod joining;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use doorward_engine::contact::Email;
use doorward_engine::id::{MemberId, Name, ResourceRef, SectionKey, TenantId, UserId};
use doorward_engine::member::{Grant, Invitation, Member, SecretHash};
use doorward_engine::role::Role;
use doorward_engine::status::{InvitationStatus, MemberStatus};
use secrecy::{ExposeSecret, SecretString};

pub(super) use self::joining::end_invitations;
use self::joining::{accept, activate, admits};
use super::authority::TenantAdmin;
use super::draft::{Draft, fresh_id};
use super::error::{Limited, Precondition, Taken};
use super::member::deleted;
use super::resource::unknown_type;
use super::section::{chosen, copied};
use super::{Backend, Call, Done, Error, Operation, Service};
use crate::caller::secret;
use crate::keys::{self, Keys, Purpose};
use crate::store::{Letter, Needs};

/// How the text of every token begins: `dwi_` and 64 hex digits.
const PREFIX: &str = "dwi_";
/// What the outbox calls a token that is to be sent.
const LETTER: &str = "invitation";

/// One person to be invited.
#[derive(Clone, Debug)]
pub struct Invitee {
    /// Where the request has them: nothing, or `invitees[3].`, for what is wrong about them.
    pub path: String,
    /// Their member id; none: a fresh one.
    pub id: Option<MemberId>,
    /// Who they are, where that is known already: they begin ACTIVE, without a token.
    pub user: Option<UserId>,
    /// Their address.
    pub email: Email,
    /// Their role.
    pub role: Role,
    /// What people call them.
    pub display_name: Option<Name>,
    /// Section values in the place of the defaults; an ADMIN has none.
    pub sections: BTreeMap<SectionKey, bool>,
    /// Grants to begin with.
    pub grants: Vec<(ResourceRef, Grant)>,
}

/// A person who was invited, with the token where it is shown.
#[derive(Debug)]
pub struct Invited {
    /// The member, PENDING, or ACTIVE where they are known.
    pub member: Member,
    /// The token; none where the call is a repetition, writes nothing, or they are known.
    pub token: Option<SecretString>,
}

/// A token, drawn before its plan runs: an answer that is kept for repetitions must not hold it.
struct Drawn {
    token: SecretString,
    hash: SecretHash,
}

/// What makes and seals a letter with a token.
struct Post {
    keys: Keys,
    seconds: i64,
}

impl Drawn {
    /// A token for somebody who has to accept; none for who is known.
    fn draw_for(invitee: &Invitee) -> Result<Option<Self>, Error> {
        if invitee.user.is_some() { Ok(None) } else { Self::draw().map(Some) }
    }

    fn draw() -> Result<Self, Error> {
        let token = SecretString::from(format!("{PREFIX}{}", secret::hex(&keys::random()?)));
        let hash = secret::hash(token.expose_secret());
        Ok(Self { token, hash })
    }
}

impl<B: Backend> Service<B> {
    /// Invites one person. Grows.
    ///
    /// # Errors
    /// [`Error`]: an address or id that is taken, no seat, an unknown section or resource.
    pub async fn invite_member(
        &self,
        call: Call,
        tenant: TenantId,
        invitee: Invitee,
    ) -> Result<Done<Invited>, Error> {
        let (drawn, post) = (Drawn::draw_for(&invitee)?, self.post());
        let token = drawn.as_ref().and_then(|drawn| shown(&call, drawn));
        let needs = invitation_needs(std::slice::from_ref(&invitee));
        let plan = move |admin: &TenantAdmin, draft: &mut Draft<'_>| {
            invite(admin, draft, &post, &invitee, drawn.as_ref(), 1)
        };
        let done = self.as_admin(call, Operation::InviteMember, tenant, needs, plan).await?;
        let token = token.filter(|_| !done.replayed());
        Ok(done.map(|member| Invited { member, token }))
    }

    /// Invites many people: all of them or none. Grows.
    ///
    /// # Errors
    /// As [`Self::invite_member`].
    pub async fn batch_invite_members(
        &self,
        call: Call,
        tenant: TenantId,
        invitees: Vec<Invitee>,
    ) -> Result<Done<Vec<Invited>>, Error> {
        let post = self.post();
        let drawn: Vec<_> = invitees.iter().map(Drawn::draw_for).collect::<Result<_, _>>()?;
        let tokens: Vec<_> =
            drawn.iter().map(|drawn| drawn.as_ref().and_then(|drawn| shown(&call, drawn))).collect();
        let needs = invitation_needs(&invitees);
        let plan = move |admin: &TenantAdmin, draft: &mut Draft<'_>| {
            draft.compare_tenant_revision()?;
            let seats = u64::try_from(invitees.len()).unwrap_or(u64::MAX);
            let each = invitees.iter().zip(&drawn);
            each.map(|(invitee, drawn)| invite(admin, draft, &post, invitee, drawn.as_ref(), seats)).collect()
        };
        let done: Done<Vec<Member>> =
            self.as_admin(call, Operation::BatchInviteMembers, tenant, needs, plan).await?;
        let is_first = !done.replayed();
        let invited =
            |(member, token): (Member, Option<_>)| Invited { member, token: token.filter(|_| is_first) };
        Ok(done.map(|members| members.into_iter().zip(tokens).map(invited).collect()))
    }

    /// Makes a new token for a PENDING member; the one before no longer works.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn resend_invitation(
        &self,
        call: Call,
        tenant: TenantId,
        member: MemberId,
    ) -> Result<Done<Invited>, Error> {
        let (drawn, post) = (Drawn::draw()?, self.post());
        let token = shown(&call, &drawn);
        let needs = needs_of(&member);
        let plan =
            move |admin: &TenantAdmin, draft: &mut Draft<'_>| resend(admin, draft, &post, &member, &drawn);
        let done = self.as_admin(call, Operation::ResendInvitation, tenant, needs, plan).await?;
        let token = token.filter(|_| !done.replayed());
        Ok(done.map(|member| Invited { member, token }))
    }

    /// Takes an invitation back: the PENDING member is DELETED; one who is stays so.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn cancel_invitation(
        &self,
        call: Call,
        tenant: TenantId,
        member: MemberId,
    ) -> Result<Done<Member>, Error> {
        let needs = needs_of(&member);
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| cancel(draft, &member);
        self.as_admin(call, Operation::CancelInvitation, tenant, needs, plan).await
    }

    /// Accepts an invitation: the member becomes ACTIVE, and is that user. Never refused for seats or a lapse.
    ///
    /// # Errors
    /// [`Error`]: a token that is unknown, used, expired or cancelled; a user who is a member already.
    pub async fn accept_invitation(
        &self,
        call: Call,
        tenant: TenantId,
        token: &SecretString,
        user: UserId,
        display_name: Option<Name>,
    ) -> Result<Done<Member>, Error> {
        let invitation = Some(secret::hash(token.expose_secret()));
        let needs = Needs { invitation, users: [user.clone()].into(), ..Needs::default() };
        let plan = move |admin: &TenantAdmin, draft: &mut Draft<'_>| accept(admin, draft, user, display_name);
        self.as_admin(call, Operation::AcceptInvitation, tenant, needs, plan).await
    }

    /// Makes a PENDING member ACTIVE without their token, which no longer works.
    ///
    /// # Errors
    /// [`Error`]: a user who is a member already.
    pub async fn activate_member(
        &self,
        call: Call,
        tenant: TenantId,
        member: MemberId,
        user: UserId,
    ) -> Result<Done<Member>, Error> {
        let needs = Needs { users: [user.clone()].into(), ..needs_of(&member) };
        let plan = move |admin: &TenantAdmin, draft: &mut Draft<'_>| activate(admin, draft, &member, user);
        self.as_admin(call, Operation::ActivateMember, tenant, needs, plan).await
    }

    fn post(&self) -> Post {
        Post { keys: self.keys.clone(), seconds: self.policy.invitation_seconds }
    }
}

/// The token, unless nothing will be written: it would open nothing.
fn shown(call: &Call, drawn: &Drawn) -> Option<SecretString> {
    (!call.control.validate_only).then(|| drawn.token.clone())
}

fn needs_of(member: &MemberId) -> Needs {
    Needs { members: [member.clone()].into(), invitations_of: [member.clone()].into(), ..Needs::default() }
}

fn invitation_needs(invitees: &[Invitee]) -> Needs {
    Needs {
        members: invitees.iter().filter_map(|invitee| invitee.id.clone()).collect(),
        users: invitees.iter().filter_map(|invitee| invitee.user.clone()).collect(),
        emails: invitees.iter().map(|invitee| invitee.email.clone()).collect(),
        resources: invitees.iter().flat_map(|invitee| &invitee.grants).map(|(on, _)| on.clone()).collect(),
        seats: true,
        ..Needs::default()
    }
}

/// `drawn`: none for who is known. `seats`: how many the whole request takes.
fn invite(
    admin: &TenantAdmin,
    draft: &mut Draft<'_>,
    post: &Post,
    invitee: &Invitee,
    drawn: Option<&Drawn>,
    seats: u64,
) -> Result<Member, Error> {
    draft.grow()?;
    let sections = match invitee.role {
        Role::Admin => {
            admin.may_make_admin()?;
            BTreeMap::new()
        }
        Role::User => {
            let catalogue = &draft.state.in_force.catalogue;
            let mut sections = copied(catalogue, draft.tenant()?);
            sections.extend(chosen(catalogue, &invitee.sections)?);
            sections
        }
    };
    grantable(draft, invitee)?;
    if draft.state.emails.contains_key(&invitee.email.key()) {
        return Err(Error::AlreadyExists(Taken::Email));
    }
    if invitee.user.as_ref().is_some_and(|user| draft.state.users.contains_key(user)) {
        return Err(Error::AlreadyExists(Taken::User));
    }
    let id = match &invitee.id {
        Some(id) => id.clone(),
        None => fresh_id(MemberId::parse)?,
    };
    if draft.state.members.contains_key(&id) {
        return Err(Error::AlreadyExists(Taken::Id));
    }
    draft.fits(Limited::Seats, draft.limits()?.members, draft.state.seats, seats)?;
    let member = Member {
        id,
        user_id: invitee.user.clone(),
        email: Some(invitee.email.clone()),
        display_name: invitee.display_name.clone(),
        role: invitee.role,
        status: if drawn.is_some() { MemberStatus::Pending } else { MemberStatus::Active },
        sections,
        created_at: draft.now(),
        invitation_expires_at: drawn.map(|_| draft.now().plus_seconds(post.seconds)),
        person_version: 1,
        revision: draft.state.next(),
    };
    let member = draft.put_member(None, member);
    if let Some(drawn) = drawn {
        post.send(draft, &member, drawn)?;
    }
    for (resource, grant) in &invitee.grants {
        draft.put_grant(&member.id, resource, Some(*grant));
    }
    Ok(member)
}

/// Refuses grants on what the catalogue does not know, and on what the tenant does not have.
fn grantable(draft: &Draft<'_>, invitee: &Invitee) -> Result<(), Error> {
    let catalogue = &draft.state.in_force.catalogue;
    let unknown = |(at, (on, _)): (usize, &(ResourceRef, Grant))| {
        unknown_type(catalogue, format!("{}grants[{at}].resource.type", invitee.path), &on.kind)
    };
    let violations: Vec<_> = invitee.grants.iter().enumerate().filter_map(unknown).collect();
    if !violations.is_empty() {
        return Err(Error::Invalid(violations));
    }
    for (at, (on, _)) in invitee.grants.iter().enumerate() {
        let field = || format!("{}grants[{at}].resource", invitee.path);
        draft.resource(on).map_err(|error| error.at(field))?;
    }
    Ok(())
}

fn resend(
    admin: &TenantAdmin,
    draft: &mut Draft<'_>,
    post: &Post,
    id: &MemberId,
    drawn: &Drawn,
) -> Result<Member, Error> {
    let member = draft.member(id)?;
    admits(admin, member)?;
    draft.compare(member.revision)?;
    if member.status != MemberStatus::Pending {
        return Err(Precondition::NotPending.into());
    }
    end_invitations(draft, id, InvitationStatus::Cancelled);
    let invitation_expires_at = Some(draft.now().plus_seconds(post.seconds));
    let after = draft.put_member(Some(member), Member { invitation_expires_at, ..member.clone() });
    post.send(draft, &after, drawn)?;
    Ok(after)
}

fn cancel(draft: &mut Draft<'_>, id: &MemberId) -> Result<Member, Error> {
    let member = draft.known_member(id)?;
    draft.compare(member.revision)?;
    match member.status {
        MemberStatus::Deleted => Ok(member.clone()),
        MemberStatus::Active | MemberStatus::Disabled => Err(Precondition::NotPending.into()),
        MemberStatus::Pending => {
            let after = deleted(draft, member);
            Ok(draft.put_member(Some(member), after))
        }
    }
}

impl Post {
    /// Stores a token's hash, and hands the token itself, sealed, to whoever sends mail.
    fn send(&self, draft: &mut Draft<'_>, member: &Member, drawn: &Drawn) -> Result<(), Error> {
        let expires_at = draft.now().plus_seconds(self.seconds);
        let invitation = Invitation {
            token: drawn.hash,
            member: member.id.clone(),
            expires_at,
            status: InvitationStatus::Live,
        };
        draft.put_invitation(None, invitation);
        let tenant = draft.tenant()?.id.as_str();
        let letter = serde_json::json!({
            "tenant": tenant,
            "member": member.id,
            "email": member.email,
            "expires": expires_at.to_string(),
            "token": drawn.token.expose_secret(),
        });
        let payload = self.keys.seal(Purpose::Outbox, tenant.as_bytes(), letter.to_string().as_bytes())?;
        draft.send(Letter { kind: LETTER, member: member.id.clone(), payload });
        Ok(())
    }
}

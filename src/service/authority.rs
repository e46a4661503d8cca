//! Proofs of authority: values that only this file can make, from the state under the tenant's lock or a read.

use doorward_engine::id::MemberId;
use doorward_engine::member::Member;
use doorward_engine::role::Role;
use doorward_engine::status::{MemberStatus, TenantStatus};
use doorward_engine::tenant::Tenant;

use super::error::{Error, Precondition, Thing};
use super::operation::{Authority, Operation};
use crate::caller::Caller;

/// Proof that the caller is the platform's operator, on nobody's behalf.
#[derive(Debug)]
pub struct Operator(());

/// Proof that the caller administers a tenant: its operator, or an ACTIVE ADMIN of it.
#[derive(Debug)]
pub struct TenantAdmin {
    member: Option<MemberId>,
}

/// Proof that the caller may speak of one member: as their admin, or as themselves.
#[derive(Debug)]
pub struct Concerned {
    member: Option<MemberId>,
    as_admin: bool,
}

impl TenantAdmin {
    /// The acting member; none: the operator.
    #[must_use]
    pub const fn member(&self) -> Option<&MemberId> {
        self.member.as_ref()
    }

    /// Refuses what nobody does to themselves.
    ///
    /// # Errors
    /// SELF_FORBIDDEN where the acting member is that member.
    pub fn not_oneself(&self, member: &MemberId) -> Result<(), Error> {
        if self.member.as_ref() == Some(member) { Err(Precondition::SelfForbidden.into()) } else { Ok(()) }
    }
}

impl Concerned {
    /// Refuses everybody but an admin and the member themselves.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn speaks_of(&self, member: &MemberId) -> Result<(), Error> {
        self.speaks_of_found(Some(member))
    }

    /// The same, of somebody who may be no member at all: of those only an admin speaks.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn speaks_of_found(&self, member: Option<&MemberId>) -> Result<(), Error> {
        let oneself = member.is_some() && self.member.as_ref() == member;
        if self.as_admin || oneself { Ok(()) } else { Err(Error::PermissionDenied) }
    }
}

/// Mints the operator's proof.
///
/// # Errors
/// PERMISSION_DENIED for anybody else, and for the operator acting for a member.
pub fn operator(caller: &Caller, operation: Operation) -> Result<Operator, Error> {
    match operation.authority() {
        Authority::Operator | Authority::Admin | Authority::AdminOrOneself if caller.is_operator() => {
            Ok(Operator(()))
        }
        _ => Err(Error::PermissionDenied),
    }
}

/// Mints an admin's proof. `tenant` and `actor` are as found now; the actor is the caller's live membership.
///
/// # Errors
/// PERMISSION_DENIED before anything else, so that a foreign tenant looks like one that does not exist;
/// then NOT_FOUND.
pub fn admin(
    caller: &Caller,
    operation: Operation,
    tenant: Option<&Tenant>,
    actor: Option<&Member>,
) -> Result<TenantAdmin, Error> {
    if caller.is_operator() {
        exists(tenant)?;
        return Ok(TenantAdmin { member: None });
    }
    let actor = actor.filter(|actor| actor.status == MemberStatus::Active && actor.role == Role::Admin);
    let actor =
        actor.filter(|_| operation.authority() != Authority::Operator).ok_or(Error::PermissionDenied)?;
    exists(tenant)?;
    Ok(TenantAdmin { member: Some(actor.id.clone()) })
}

/// Mints the proof for what an admin does to anybody, and a member to themselves.
///
/// # Errors
/// As [`admin`]; PERMISSION_DENIED for anyone who is not ACTIVE.
pub fn concerned(
    caller: &Caller,
    operation: Operation,
    tenant: Option<&Tenant>,
    actor: Option<&Member>,
) -> Result<Concerned, Error> {
    if let Ok(admin) = admin(caller, operation, tenant, actor) {
        return Ok(Concerned { member: admin.member, as_admin: true });
    }
    if caller.is_operator() {
        return Err(Error::NotFound(Thing::Tenant));
    }
    let actor = actor.filter(|actor| actor.status == MemberStatus::Active).ok_or(Error::PermissionDenied)?;
    match operation.authority() {
        Authority::AdminOrOneself => {}
        Authority::Operator | Authority::Admin => return Err(Error::PermissionDenied),
    }
    exists(tenant)?;
    Ok(Concerned { member: Some(actor.id.clone()), as_admin: false })
}

/// Refuses writes in a SUSPENDED tenant to all but the operator.
///
/// # Errors
/// TENANT_SUSPENDED.
pub fn may_write(caller: &Caller, tenant: &Tenant) -> Result<(), Error> {
    if tenant.status == TenantStatus::Suspended && !caller.is_operator() {
        return Err(Precondition::TenantSuspended.into());
    }
    Ok(())
}

fn exists(tenant: Option<&Tenant>) -> Result<&Tenant, Error> {
    tenant.filter(|tenant| tenant.status != TenantStatus::Deleted).ok_or(Error::NotFound(Thing::Tenant))
}

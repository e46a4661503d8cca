//! Proofs of authority: values that only this file can make, from the state under the tenant's lock or a read.

use doorward_engine::api_key::ApiKey;
use doorward_engine::credential::{ServiceCredential, ServiceScope};
use doorward_engine::id::{MemberId, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::member::Member;
use doorward_engine::role::Role;
use doorward_engine::status::{MemberStatus, TenantStatus};
use doorward_engine::tenant::Tenant;

use super::error::{Error, Precondition, Thing};
use super::operation::{Authority, Operation};
use crate::caller::{Caller, Identity};

/// Proof that the caller is the platform's operator, on nobody's behalf.
#[derive(Debug)]
pub struct Operator(());

/// Proof that the caller administers a tenant: the operator, a service by its scope, an ACTIVE ADMIN, or an API key.
#[derive(Debug)]
pub struct TenantAdmin {
    member: Option<MemberId>,
    is_key: bool,
}

/// Proof that the caller may speak of one member: as their admin, or as themselves.
#[derive(Debug)]
pub struct Concerned {
    member: Option<MemberId>,
    as_admin: bool,
}

impl TenantAdmin {
    /// The acting member; none: the operator, a service or a key.
    #[must_use]
    pub const fn member(&self) -> Option<&MemberId> {
        self.member.as_ref()
    }

    /// Refuses to make anyone an ADMIN, which no API key does.
    ///
    /// # Errors
    /// PERMISSION_DENIED.
    pub fn may_make_admin(&self) -> Result<(), Error> {
        if self.is_key { Err(Error::PermissionDenied) } else { Ok(()) }
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

/// What was found of the tenant that an operation is about.
#[derive(Clone, Copy, Debug)]
pub struct Found<'f> {
    /// The tenant as it was asked for.
    pub id: &'f TenantId,
    /// The tenant, deleted ones too.
    pub tenant: Option<&'f Tenant>,
    /// The caller's actor as a live member.
    pub actor: Option<&'f Member>,
    /// The API key that calls.
    pub key: Option<&'f ApiKey>,
    /// The database's clock.
    pub now: Instant,
}

/// What a caller stands for, before anything is looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// The platform's operator.
    Operator,
    /// A service, on nobody's behalf, by its scope.
    Scope,
    /// A service, on behalf of an ACTIVE ADMIN.
    ForAdmin,
    /// Whoever the actor is in the tenant.
    Member,
    /// A tenant's API key.
    Key,
}

/// Refuses who can never call an operation, in whatever tenant: what can be said before a request is read.
///
/// # Errors
/// PERMISSION_DENIED; ACTOR_REQUIRED of a service that acts for members and names none.
pub fn permits(caller: &Caller, operation: Operation) -> Result<(), Error> {
    standing(caller, operation).map(drop)
}

/// Refuses who can never call an operation in this tenant, before anything of it is looked at or locked.
///
/// # Errors
/// As [`permits`].
pub fn enters(caller: &Caller, operation: Operation, tenant: &TenantId) -> Result<(), Error> {
    reaches(caller, Some(tenant))?;
    permits(caller, operation)
}

/// Whether the caller may call an operation in a tenant for what they are alone, whoever its members are.
#[must_use]
pub fn by_standing(caller: &Caller, operation: Operation, tenant: &TenantId) -> bool {
    reaches(caller, Some(tenant)).is_ok()
        && matches!(standing(caller, operation), Ok(Standing::Operator | Standing::Scope))
}

fn standing(caller: &Caller, operation: Operation) -> Result<Standing, Error> {
    let is_operators = operation.authority() == Authority::Operator;
    match (&caller.identity, &caller.actor) {
        (Identity::Operator, None) => Ok(Standing::Operator),
        (Identity::Service(service), None) => service_standing(service, operation),
        (Identity::Service(service), Some(_)) => {
            let acts =
                [ServiceScope::Admin, ServiceScope::Operator].iter().any(|s| service.scopes.contains(s));
            if acts && !is_operators { Ok(Standing::ForAdmin) } else { Err(Error::PermissionDenied) }
        }
        (Identity::Operator | Identity::Person, Some(_)) if !is_operators => Ok(Standing::Member),
        (Identity::Key(_), None) => match operation.authority() {
            Authority::Admin | Authority::AdminOrOneself => Ok(Standing::Key),
            Authority::Operator | Authority::AdminMember => Err(Error::PermissionDenied),
        },
        (Identity::Operator | Identity::Person | Identity::Key(_), _) => Err(Error::PermissionDenied),
    }
}

/// On nobody's behalf.
fn service_standing(service: &ServiceCredential, operation: Operation) -> Result<Standing, Error> {
    let has = |scope| service.scopes.contains(&scope);
    if has(ServiceScope::Operator) {
        Ok(Standing::Operator)
    } else if operation.scope().is_some_and(has) {
        Ok(Standing::Scope)
    } else if has(ServiceScope::Admin) && operation.authority() != Authority::Operator {
        Err(Error::ActorRequired)
    } else {
        Err(Error::PermissionDenied)
    }
}

/// Refuses a tenant that the credential is not for; none: what is the platform's.
fn reaches(caller: &Caller, tenant: Option<&TenantId>) -> Result<(), Error> {
    let reaches = match &caller.identity {
        Identity::Operator | Identity::Person => true,
        Identity::Service(service) if service.tenants.is_empty() => true,
        Identity::Service(service) => tenant.is_some_and(|tenant| service.tenants.contains(tenant)),
        Identity::Key(found) => tenant == Some(&found.tenant),
    };
    if reaches { Ok(()) } else { Err(Error::PermissionDenied) }
}

/// Mints the operator's proof, for a tenant or, where none is named, for what is the platform's.
///
/// # Errors
/// PERMISSION_DENIED for anybody else, and for the operator acting for a member.
pub fn operator(caller: &Caller, operation: Operation, tenant: Option<&TenantId>) -> Result<Operator, Error> {
    reaches(caller, tenant)?;
    match standing(caller, operation)? {
        Standing::Operator => Ok(Operator(())),
        Standing::Scope | Standing::ForAdmin | Standing::Member | Standing::Key => {
            Err(Error::PermissionDenied)
        }
    }
}

/// Mints an admin's proof.
///
/// # Errors
/// PERMISSION_DENIED before anything else, so that a foreign tenant looks like one that does not exist;
/// then NOT_FOUND.
pub fn admin(caller: &Caller, operation: Operation, found: &Found<'_>) -> Result<TenantAdmin, Error> {
    reaches(caller, Some(found.id))?;
    let (member, is_key) = match standing(caller, operation)? {
        Standing::Operator | Standing::Scope => (None, false),
        Standing::ForAdmin | Standing::Member => {
            let is_admin =
                |actor: &&Member| actor.status == MemberStatus::Active && actor.role == Role::Admin;
            let actor = found.actor.filter(is_admin).ok_or(Error::PermissionDenied)?;
            (Some(actor.id.clone()), false)
        }
        Standing::Key => {
            let key = found.key.filter(|key| key.is_live(found.now) && key.scopes.admin);
            key.ok_or(Error::PermissionDenied)?;
            (None, true)
        }
    };
    exists(found.tenant)?;
    Ok(TenantAdmin { member, is_key })
}

/// Mints the proof for what an admin does to anybody, and a member to themselves.
///
/// # Errors
/// As [`admin`]; PERMISSION_DENIED for anyone who is not ACTIVE.
pub fn concerned(caller: &Caller, operation: Operation, found: &Found<'_>) -> Result<Concerned, Error> {
    let refused = match admin(caller, operation, found) {
        Ok(admin) => return Ok(Concerned { member: admin.member, as_admin: true }),
        Err(refused) => refused,
    };
    let is_oneself = operation.authority() == Authority::AdminOrOneself
        && standing(caller, operation).is_ok_and(|standing| standing == Standing::Member);
    let actor = found.actor.filter(|actor| actor.status == MemberStatus::Active);
    let actor = actor.filter(|_| is_oneself).ok_or(refused)?;
    exists(found.tenant)?;
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

#[cfg(test)]
mod tests;

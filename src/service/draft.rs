//! A mutation in the making: what it finds in the state, and the differences it collects.

use doorward_engine::api_key::ApiKey;
use doorward_engine::catalogue::Limits;
use doorward_engine::change::Change;
use doorward_engine::credential::ServiceCredential;
use doorward_engine::id::{IdError, MemberId, ResourceRef, Revision};
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, Invitation, Member, SecretHash};
use doorward_engine::resource::Resource;
use doorward_engine::status::{MemberStatus, ResourceStatus};
use doorward_engine::tenant::Tenant;

use super::error::{Error, Limited, Precondition, Thing};
use super::operation::Operation;
use crate::clock;
use crate::store::{Letter, Planned, State};

/// Collects what a plan changes. Every entity is changed at most once; an equal value is no change.
#[derive(Debug)]
pub struct Draft<'s> {
    /// What was found under the tenant's lock.
    pub state: &'s State,
    expected: Option<Revision>,
    compared: bool,
    changes: Vec<Change>,
    letters: Vec<Letter>,
}

impl<'s> Draft<'s> {
    pub(super) fn over(state: &'s State, expected: Option<Revision>) -> Self {
        Self { state, expected, compared: false, changes: Vec::new(), letters: Vec::new() }
    }

    /// The database's clock.
    #[must_use]
    pub const fn now(&self) -> Instant {
        self.state.now
    }

    /// The tenant.
    ///
    /// # Errors
    /// NOT_FOUND where there is none.
    pub fn tenant(&self) -> Result<&'s Tenant, Error> {
        self.state.tenant.as_ref().ok_or(Error::NotFound(Thing::Tenant))
    }

    /// Compares `expected_revision` with the entity's: every plan does, with the revision of what it changes.
    ///
    /// # Errors
    /// ABORTED where the entity has changed since it was read.
    pub fn compare(&mut self, current: Revision) -> Result<(), Error> {
        self.compared = true;
        match self.expected {
            Some(expected) if expected != current => Err(Error::RevisionMismatch { current }),
            _ => Ok(()),
        }
    }

    /// Compares `expected_revision` with the tenant's revision: for plans over many entities.
    ///
    /// # Errors
    /// As [`Self::compare`].
    pub fn compare_tenant_revision(&mut self) -> Result<(), Error> {
        self.compare(self.state.revision)
    }

    /// A member that is not DELETED.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn member(&self, id: &MemberId) -> Result<&'s Member, Error> {
        self.known_member(id).and_then(|member| {
            if member.status.is_live() { Ok(member) } else { Err(Error::NotFound(Thing::Member)) }
        })
    }

    /// A member, DELETED ones too.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn known_member(&self, id: &MemberId) -> Result<&'s Member, Error> {
        self.state.members.get(id).ok_or(Error::NotFound(Thing::Member))
    }

    /// A resource that is not DELETED.
    ///
    /// # Errors
    /// NOT_FOUND.
    pub fn resource(&self, reference: &ResourceRef) -> Result<&'s Resource, Error> {
        let resource = self.state.resources.get(reference);
        resource
            .filter(|resource| resource.status != ResourceStatus::Deleted)
            .ok_or(Error::NotFound(Thing::Resource))
    }

    /// Refuses what grows while the subscription has lapsed.
    ///
    /// # Errors
    /// SUBSCRIPTION_LAPSED.
    pub fn grow(&self) -> Result<(), Error> {
        if self.tenant()?.subscription.has_lapsed(self.now()) {
            return Err(Precondition::SubscriptionLapsed.into());
        }
        Ok(())
    }

    /// The limits of the tenant's plan.
    ///
    /// # Errors
    /// INTERNAL where the catalogue has no such plan: it does not lose one that is in use.
    pub fn limits(&self) -> Result<&'s Limits, Error> {
        let plan = &self.tenant()?.plan;
        let found = self.state.in_force.catalogue.plan(plan.as_str());
        found
            .map(|plan| &plan.limits)
            .ok_or_else(|| Error::Internal(format!("plan `{plan}` is not in the catalogue")))
    }

    /// Refuses to use more than the plan allows.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED.
    pub fn fits(&self, what: Limited, limit: Option<u64>, used: u64, wanted: u64) -> Result<(), Error> {
        match limit {
            Some(limit) if used.saturating_add(wanted) > limit => {
                Err(Error::LimitReached { what, limit, used })
            }
            _ => Ok(()),
        }
    }

    /// Refuses to take an ACTIVE ADMIN away from a tenant that has no other.
    ///
    /// # Errors
    /// LAST_ADMIN.
    pub fn keeps_an_admin(&self, leaving: &Member) -> Result<(), Error> {
        use doorward_engine::role::Role;
        let counts = leaving.status == MemberStatus::Active && leaving.role == Role::Admin;
        if counts && self.state.active_admins <= 1 {
            return Err(Precondition::LastAdmin.into());
        }
        Ok(())
    }

    /// Changes the tenant; answers it as it will be.
    pub fn put_tenant(&mut self, mut after: Tenant) -> Tenant {
        let before = self.state.tenant.clone();
        if before.as_ref() != Some(&after) {
            after.revision = self.state.next();
            self.changes.push(Change::Tenant { before, after: after.clone() });
        }
        after
    }

    /// Adds or changes a member; answers them as they will be. The version of the personal data is kept here.
    pub fn put_member(&mut self, before: Option<&Member>, mut after: Member) -> Member {
        if before != Some(&after) {
            let person =
                |member: &Member| (member.email.clone(), member.display_name.clone(), member.user_id.clone());
            after.person_version = match before {
                None => 1,
                Some(before) => before.person_version + u32::from(person(before) != person(&after)),
            };
            after.revision = self.state.next();
            self.changes.push(Change::Member { before: before.cloned(), after: after.clone() });
        }
        after
    }

    /// Erases the personal data of a member who is DELETED by now.
    pub fn erase(&mut self, member: &MemberId) {
        self.changes.push(Change::Erasure { member: member.clone() });
    }

    /// Adds or changes an invitation.
    pub fn put_invitation(&mut self, before: Option<&Invitation>, after: Invitation) {
        if before != Some(&after) {
            self.changes.push(Change::Invitation { before: before.cloned(), after });
        }
    }

    /// Adds or changes a resource; answers it as it will be.
    pub fn put_resource(&mut self, before: Option<&Resource>, mut after: Resource) -> Resource {
        if before != Some(&after) {
            after.revision = self.state.next();
            self.changes.push(Change::Resource { before: before.cloned(), after: after.clone() });
        }
        after
    }

    /// Sets a grant, or removes it; answers whether that is a change. An expired grant is an absent one,
    /// so that removing it is none.
    pub fn put_grant(&mut self, member: &MemberId, resource: &ResourceRef, after: Option<Grant>) -> bool {
        let before = self.state.grants.get(&(member.clone(), resource.clone())).copied();
        let in_force = before.filter(|grant| grant.is_in_force(self.now()));
        if before == after || (after.is_none() && in_force.is_none()) {
            return false;
        }
        self.changes.push(Change::Grant {
            member: member.clone(),
            resource: resource.clone(),
            before,
            after,
        });
        true
    }

    /// Adds or changes an API key; answers it as it will be.
    pub fn put_key(
        &mut self,
        before: Option<&ApiKey>,
        mut after: ApiKey,
        secret: Option<SecretHash>,
    ) -> ApiKey {
        if before != Some(&after) {
            after.revision = self.state.next();
            self.changes.push(Change::ApiKey { before: before.cloned(), after: after.clone(), secret });
        }
        after
    }

    /// Adds or changes a service's credential; answers it as it will be.
    pub fn put_credential(
        &mut self,
        before: Option<&ServiceCredential>,
        mut after: ServiceCredential,
    ) -> ServiceCredential {
        if before != Some(&after) {
            after.revision = self.state.next();
            self.changes.push(Change::ServiceCredential { before: before.cloned(), after: after.clone() });
        }
        after
    }

    /// Puts a catalogue in force.
    pub fn put_catalogue(&mut self, document: String, digest: String) {
        let before = Some(self.state.in_force.digest.clone()).filter(|before| *before != digest);
        if before.is_some() {
            self.changes.push(Change::Catalogue { before, after: digest, document });
        }
    }

    /// Tells the outside.
    pub fn send(&mut self, letter: Letter) {
        self.letters.push(letter);
    }

    /// The finished plan.
    ///
    /// # Errors
    /// INTERNAL where `expected_revision` was given and the plan forgot to compare it.
    pub(super) fn finish<A>(self, operation: Operation, answer: A) -> Result<Planned<A>, Error> {
        if self.expected.is_some() && !self.compared {
            return Err(Error::Internal(format!("{} did not compare expected_revision", operation.name())));
        }
        Ok(Planned { changes: self.changes, letters: self.letters, answer })
    }
}

/// A fresh id.
///
/// # Errors
/// INTERNAL where the shape of ids has changed.
pub(super) fn fresh_id<T>(parse: impl FnOnce(&str) -> Result<T, IdError>) -> Result<T, Error> {
    parse(&clock::unique_id()).map_err(|error| Error::Internal(error.to_string()))
}

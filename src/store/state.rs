//! The state that a plan decides on: what it needs, and what was found under the tenant's lock.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use doorward_engine::api_key::ApiKey;
use doorward_engine::contact::Email;
use doorward_engine::credential::ServiceCredential;
use doorward_engine::id::{CredentialId, KeyId, MemberId, ResourceRef, Revision, TypeKey, UserId};
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, Invitation, Member, SecretHash};
use doorward_engine::resource::Resource;
use doorward_engine::tenant::Tenant;

use super::InForce;

/// What a plan wants to know beyond the tenant and the actor, which are always gathered.
#[derive(Clone, Debug, Default)]
pub struct Needs {
    /// These members, live or deleted, with their section values.
    pub members: BTreeSet<MemberId>,
    /// Every USER that is not DELETED, with their section values.
    pub every_user: bool,
    /// Which live members these users are.
    pub users: BTreeSet<UserId>,
    /// Which live members have these addresses.
    pub emails: BTreeSet<Email>,
    /// How many ACTIVE ADMINs there are.
    pub active_admins: bool,
    /// How many seats are held.
    pub seats: bool,
    /// These resources, live or deleted.
    pub resources: BTreeSet<ResourceRef>,
    /// How many live resources of this type there are.
    pub resources_of: Option<TypeKey>,
    /// These grants, in force or expired.
    pub grants: BTreeSet<(MemberId, ResourceRef)>,
    /// Every grant of these members, in force or expired.
    pub grants_of: BTreeSet<MemberId>,
    /// The invitation with this token, and its member.
    pub invitation: Option<SecretHash>,
    /// The LIVE invitations of these members.
    pub invitations_of: BTreeSet<MemberId>,
    /// These API keys.
    pub keys: BTreeSet<KeyId>,
    /// The API keys that these members created and that are not revoked.
    pub keys_of: BTreeSet<MemberId>,
    /// How many API keys are live.
    pub live_keys: bool,
    /// What of the catalogue is in use, over all tenants.
    pub usage: bool,
    /// These service credentials.
    pub credentials: BTreeSet<CredentialId>,
}

/// What was found, under the tenant's lock: nothing of it changes before the commit.
#[derive(Clone, Debug)]
pub struct State {
    /// The database's clock.
    pub now: Instant,
    /// The tenant's revision before the act.
    pub revision: Revision,
    /// The catalogue in force.
    pub in_force: Arc<InForce>,
    /// The tenant, deleted ones too; none where it was never created.
    pub tenant: Option<Tenant>,
    /// The actor's live membership.
    pub actor: Option<Member>,
    /// The members that were needed, by id: those named, and those found by user, address or token.
    pub members: BTreeMap<MemberId, Member>,
    /// Which live members the users are.
    pub users: BTreeMap<UserId, MemberId>,
    /// Which live members have the addresses, by [`Email::key`].
    pub emails: BTreeMap<String, MemberId>,
    /// How many ACTIVE ADMINs there are, where needed.
    pub active_admins: u64,
    /// How many seats are held (PENDING, ACTIVE, DISABLED), where needed.
    pub seats: u64,
    /// The resources that were needed.
    pub resources: BTreeMap<ResourceRef, Resource>,
    /// How many live resources of the needed type there are.
    pub resource_count: u64,
    /// The grants that were needed.
    pub grants: BTreeMap<(MemberId, ResourceRef), Grant>,
    /// The invitation with the needed token.
    pub invitation: Option<Invitation>,
    /// The LIVE invitations of the needed members.
    pub invitations: Vec<Invitation>,
    /// The API keys that were needed.
    pub keys: BTreeMap<KeyId, ApiKey>,
    /// How many API keys are live, where needed.
    pub live_keys: u64,
    /// What of the catalogue is in use, where needed.
    pub usage: Usage,
    /// The service credentials that were needed.
    pub credentials: BTreeMap<CredentialId, ServiceCredential>,
}

/// What of the catalogue is named by stored rows, over all tenants that are not deleted.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Sections with stored values, tenant defaults or scopes; parts in scopes, as `section.part`.
    pub sections: BTreeSet<String>,
    /// Resource types with resources, or in scopes.
    pub types: BTreeSet<String>,
    /// Actions in scopes, as `type.action`.
    pub actions: BTreeSet<String>,
    /// Plans of tenants.
    pub plans: BTreeSet<String>,
    /// Switches that are on somewhere.
    pub switches: BTreeSet<String>,
}

impl State {
    /// The revision that the act will make.
    #[must_use]
    pub const fn next(&self) -> Revision {
        Revision(self.revision.0 + 1)
    }
}

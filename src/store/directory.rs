//! The read trait of administrators: things by id, and exact pages in the order of their ids.

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::api_key::ApiKey;
use doorward_engine::credential::ServiceCredential;
use doorward_engine::id::{
    CredentialId, KeyId, MemberId, ResourceId, ResourceRef, Revision, TenantId, TypeKey, UserId,
};
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, Member};
use doorward_engine::resource::Resource;
use doorward_engine::role::Role;
use doorward_engine::snapshot::MemberFacts;
use doorward_engine::status::{MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::tenant::Tenant;
use serde_json::Value;

use super::StoreError;

/// A page's bounds: at most `limit` rows whose key is after `after`.
#[derive(Clone, Debug)]
pub struct Slice<K> {
    /// The last key of the page before.
    pub after: Option<K>,
    /// The most rows.
    pub limit: u64,
}

/// What is read for administrators. Every method but the first two is of one tenant.
pub trait Directory: Send + Sync + 'static {
    /// Tenants that are not DELETED, in the order of their ids.
    fn tenants(
        &self,
        filter: TenantFilter,
        slice: Slice<TenantId>,
    ) -> impl Future<Output = Result<TenantRows, StoreError>> + Send;

    /// One tenant, DELETED ones too, with the tenant's revision and the clock.
    fn tenant(&self, tenant: TenantId)
    -> impl Future<Output = Result<Option<TenantView>, StoreError>> + Send;

    /// What a plan may limit, counted; keys that are live at `now`.
    fn usage(
        &self,
        tenant: TenantId,
        now: Instant,
    ) -> impl Future<Output = Result<TenantUsage, StoreError>> + Send;

    /// One member, DELETED ones too.
    fn member(
        &self,
        tenant: TenantId,
        member: MemberId,
    ) -> impl Future<Output = Result<Option<Member>, StoreError>> + Send;

    /// The live member that a user is.
    fn member_by_user(
        &self,
        tenant: TenantId,
        user: UserId,
    ) -> impl Future<Output = Result<Option<Member>, StoreError>> + Send;

    /// Members in the order of their ids; DELETED ones only where the filter names that status.
    fn members(
        &self,
        tenant: TenantId,
        filter: MemberFilter,
        slice: Slice<MemberId>,
    ) -> impl Future<Output = Result<Vec<Member>, StoreError>> + Send;

    /// One resource, DELETED ones too.
    fn resource(
        &self,
        tenant: TenantId,
        resource: ResourceRef,
    ) -> impl Future<Output = Result<Option<Resource>, StoreError>> + Send;

    /// Resources in the order of type and id; DELETED ones only where the filter names that status.
    fn resources(
        &self,
        tenant: TenantId,
        filter: ResourceFilter,
        slice: Slice<ResourceRef>,
    ) -> impl Future<Output = Result<Vec<Resource>, StoreError>> + Send;

    /// These resources, DELETED ones too; what was never registered is left out.
    fn resources_of(
        &self,
        tenant: TenantId,
        resources: BTreeSet<ResourceRef>,
    ) -> impl Future<Output = Result<Vec<Resource>, StoreError>> + Send;

    /// API keys in the order of their ids, revoked and expired ones too.
    fn keys(
        &self,
        tenant: TenantId,
        slice: Slice<KeyId>,
    ) -> impl Future<Output = Result<Vec<ApiKey>, StoreError>> + Send;

    /// Service credentials in the order of their ids, the platform's own.
    fn credentials(
        &self,
        include_revoked: bool,
        slice: Slice<CredentialId>,
    ) -> impl Future<Output = Result<Vec<ServiceCredential>, StoreError>> + Send;

    /// Live members in the order of their ids, each with the grants in force on live resources of a type
    /// (only on those of `resources`, where any are named).
    fn access_rows(
        &self,
        tenant: TenantId,
        kind: TypeKey,
        resources: BTreeSet<ResourceId>,
        slice: Slice<MemberId>,
    ) -> impl Future<Output = Result<Vec<AccessRow>, StoreError>> + Send;

    /// ACTIVE members in the order of their ids, compiled as facts. With a resource: only ADMINs and those with
    /// a grant on it, and the facts hold just that grant.
    fn candidates(
        &self,
        tenant: TenantId,
        resource: Option<ResourceRef>,
        slice: Slice<MemberId>,
    ) -> impl Future<Output = Result<Vec<(Member, MemberFacts)>, StoreError>> + Send;

    /// Log rows in the order of their revisions, the oldest first unless the filter says otherwise; `after` is in that
    /// order. `tenant` is an id or [`super::act::PLATFORM`].
    fn log(
        &self,
        tenant: String,
        filter: LogFilter,
        slice: Slice<Revision>,
    ) -> impl Future<Output = Result<Vec<LogRow>, StoreError>> + Send;

    /// The head of a log: what is read of it later is no older. Of what was never there, the beginning.
    fn log_head(&self, tenant: String) -> impl Future<Output = Result<LogHead, StoreError>> + Send;

    /// What the rows after a revision tell of, oldest first, so many at most.
    fn told(
        &self,
        tenant: String,
        after: Revision,
        limit: u64,
    ) -> impl Future<Output = Result<Vec<Told>, StoreError>> + Send;
}

/// Tenants, and the time at which they were read.
#[derive(Clone, Debug)]
pub struct TenantRows {
    /// The tenants.
    pub tenants: Vec<Tenant>,
    /// The database's clock.
    pub now: Instant,
}

/// What of a tenant a plan may limit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantUsage {
    /// Seats held: PENDING, ACTIVE and DISABLED members.
    pub members: u64,
    /// Resources that are not deleted, by type; types without any are left out.
    pub resources: BTreeMap<TypeKey, u64>,
    /// API keys that are neither revoked nor expired.
    pub api_keys: u64,
}

/// A tenant, its revision, and the time at which they were read.
#[derive(Clone, Debug)]
pub struct TenantView {
    /// The tenant.
    pub tenant: Tenant,
    /// Its revision.
    pub revision: Revision,
    /// The database's clock.
    pub now: Instant,
}

/// Which tenants; everything that is none matches all.
#[derive(Clone, Debug, Default)]
pub struct TenantFilter {
    /// Only this status.
    pub status: Option<TenantStatus>,
    /// Only ids, slugs and names that hold this text, without regard to ASCII case.
    pub text: Option<String>,
}

/// Which members; everything that is none matches all.
#[derive(Clone, Debug, Default)]
pub struct MemberFilter {
    /// Only this status.
    pub status: Option<MemberStatus>,
    /// Only this role.
    pub role: Option<Role>,
    /// Only emails, display names and member ids that hold this text, without regard to ASCII case.
    pub text: Option<String>,
}

/// Which resources; everything that is none matches all.
#[derive(Clone, Debug, Default)]
pub struct ResourceFilter {
    /// Only this type.
    pub kind: Option<TypeKey>,
    /// Only this status.
    pub status: Option<ResourceStatus>,
    /// Only names and ids that hold this text, without regard to ASCII case.
    pub text: Option<String>,
}

/// Which log rows; everything that is none matches all.
#[derive(Clone, Debug, Default)]
pub struct LogFilter {
    /// Only by this actor (a member id).
    pub actor: Option<MemberId>,
    /// Only this operation.
    pub operation: Option<String>,
    /// Only by this caller.
    pub caller: Option<String>,
    /// Only rows that touch this member.
    pub member: Option<MemberId>,
    /// Only from this instant on.
    pub from: Option<Instant>,
    /// Only before this instant.
    pub to: Option<Instant>,
    /// Only from this revision on.
    pub from_revision: Option<Revision>,
    /// The newest first.
    pub newest_first: bool,
}

/// What a tenant's row says of its newest log row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogHead {
    /// Its revision; 0: there is none.
    pub revision: Revision,
    /// Its hash.
    pub hash: [u8; 32],
}

/// A log row as it is told to those who watch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The tenant's revision that it made.
    pub revision: Revision,
    /// When, on the database's clock.
    pub at: Instant,
    /// The RPC.
    pub operation: String,
    /// The parts that it made outdated, users among them.
    pub parts: Vec<String>,
}

/// A member with the grants in force on resources of one type.
#[derive(Clone, Debug)]
pub struct AccessRow {
    /// The member.
    pub member: Member,
    /// The grants, in the order of the resource ids.
    pub grants: Vec<(ResourceId, Grant)>,
}

/// One row of the log: the change event, the audit record, a link of the chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogRow {
    /// The tenant's revision that it made.
    pub revision: Revision,
    /// When, on the database's clock.
    pub at: Instant,
    /// The RPC.
    pub operation: String,
    /// The caller.
    pub caller: String,
    /// The member on whose behalf it was done.
    pub actor: Option<String>,
    /// The caller's id of the request.
    pub request_id: Option<String>,
    /// The address of the caller's connection.
    pub peer: Option<String>,
    /// The trace that it belonged to.
    pub trace_id: Option<String>,
    /// The parts that it made outdated.
    pub parts: Vec<String>,
    /// What changed: an array of `{kind, id, before, after}`; personal data by version.
    pub changes: Value,
    /// The hash of the row before.
    pub prev_hash: [u8; 32],
    /// The hash of this row.
    pub hash: [u8; 32],
}

//! Reads for administrators: one statement each, so that what it answers is of one moment.

mod access;
mod log;
mod member;
mod resource;
mod tenant;

use std::collections::BTreeSet;

use doorward_engine::api_key::ApiKey;
use doorward_engine::credential::ServiceCredential;
use doorward_engine::id::{
    CredentialId, KeyId, MemberId, ResourceId, ResourceRef, Revision, TenantId, TypeKey, UserId,
};
use doorward_engine::instant::Instant;
use doorward_engine::member::Member;
use doorward_engine::resource::Resource;
use doorward_engine::snapshot::MemberFacts;
use sea_orm::Value;

use super::rows::read::{self, Rest};
use super::{Dialect, Sql, StoreError, credential};
use crate::store::directory::{
    AccessRow, Directory, LogFilter, LogHead, LogRow, MemberFilter, ResourceFilter, Slice, TenantFilter,
    TenantRows, TenantUsage, TenantView, Told,
};

impl Directory for Sql {
    async fn tenants(&self, filter: TenantFilter, slice: Slice<TenantId>) -> Result<TenantRows, StoreError> {
        self.list("tenants", |inner| async move { tenant::page(&inner, filter, slice).await }).await
    }

    async fn tenant(&self, tenant: TenantId) -> Result<Option<TenantView>, StoreError> {
        self.list("tenant", |inner| async move { tenant::one(&inner, &tenant).await }).await
    }

    async fn usage(&self, tenant: TenantId, now: Instant) -> Result<TenantUsage, StoreError> {
        self.list("usage", move |inner| async move { tenant::usage(&inner, &tenant, now).await }).await
    }

    async fn member(&self, tenant: TenantId, member: MemberId) -> Result<Option<Member>, StoreError> {
        self.list("member", |inner| async move { member::one(&inner, &tenant, &member).await }).await
    }

    async fn member_by_user(&self, tenant: TenantId, user: UserId) -> Result<Option<Member>, StoreError> {
        self.list("member_by_user", |inner| async move { member::by_user(&inner, &tenant, &user).await })
            .await
    }

    async fn members(
        &self,
        tenant: TenantId,
        filter: MemberFilter,
        slice: Slice<MemberId>,
    ) -> Result<Vec<Member>, StoreError> {
        self.list("members", |inner| async move { member::page(&inner, &tenant, filter, slice).await }).await
    }

    async fn resource(
        &self,
        tenant: TenantId,
        resource: ResourceRef,
    ) -> Result<Option<Resource>, StoreError> {
        self.list("resource", |inner| async move { resource::one(&inner, &tenant, &resource).await }).await
    }

    async fn resources(
        &self,
        tenant: TenantId,
        filter: ResourceFilter,
        slice: Slice<ResourceRef>,
    ) -> Result<Vec<Resource>, StoreError> {
        self.list("resources", |inner| async move { resource::page(&inner, &tenant, filter, slice).await })
            .await
    }

    async fn resources_of(
        &self,
        tenant: TenantId,
        resources: BTreeSet<ResourceRef>,
    ) -> Result<Vec<Resource>, StoreError> {
        self.list("resources_of", |inner| async move {
            read::resources_named(inner.dialect, &inner.reads, tenant.as_str(), &resources).await
        })
        .await
    }

    async fn keys(&self, tenant: TenantId, slice: Slice<KeyId>) -> Result<Vec<ApiKey>, StoreError> {
        self.list("keys", |inner| async move {
            let rest = Rest::of(tenant.as_str(), "api_key k WHERE k.tenant_id = $1");
            let rest = page(rest, "k.key_id", slice.after.map(String::from), slice.limit);
            read::api_keys(inner.dialect, &inner.reads, rest).await
        })
        .await
    }

    async fn credentials(
        &self,
        include_revoked: bool,
        slice: Slice<CredentialId>,
    ) -> Result<Vec<ServiceCredential>, StoreError> {
        self.list("credentials", move |inner| async move {
            credential::page(&inner, include_revoked, slice.after, rows_max(slice.limit)).await
        })
        .await
    }

    async fn access_rows(
        &self,
        tenant: TenantId,
        kind: TypeKey,
        resources: BTreeSet<ResourceId>,
        slice: Slice<MemberId>,
    ) -> Result<Vec<AccessRow>, StoreError> {
        self.list("access_rows", |inner| async move {
            access::rows(&inner, &tenant, &kind, &resources, slice).await
        })
        .await
    }

    async fn candidates(
        &self,
        tenant: TenantId,
        resource: Option<ResourceRef>,
        slice: Slice<MemberId>,
    ) -> Result<Vec<(Member, MemberFacts)>, StoreError> {
        self.list(
            "candidates",
            |inner| async move { access::candidates(&inner, &tenant, resource, slice).await },
        )
        .await
    }

    async fn log(
        &self,
        tenant: String,
        filter: LogFilter,
        slice: Slice<Revision>,
    ) -> Result<Vec<LogRow>, StoreError> {
        self.list("log", |inner| async move { log::page(&inner, &tenant, filter, slice).await }).await
    }

    async fn log_head(&self, tenant: String) -> Result<LogHead, StoreError> {
        self.list("log_head", |inner| async move { log::head(&inner, &tenant).await }).await
    }

    async fn told(&self, tenant: String, after: Revision, limit: u64) -> Result<Vec<Told>, StoreError> {
        self.list("told", move |inner| async move { log::told(&inner, &tenant, after, limit).await }).await
    }
}

/// The rows after a key, in the order of its bytes (as the schema has it for every text), so many at most.
fn page(rest: Rest, key: &str, after: Option<impl Into<Value>>, limit: u64) -> Rest {
    rest.with_some(&format!("AND {key} > {{}}"), after)
        .with(&format!("ORDER BY {key} LIMIT {{}}"), rows_max(limit))
}

fn rows_max(limit: u64) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX)
}

/// A condition that one of the columns holds a text, without regard to ASCII case; the text is [`needle`].
fn holds(dialect: Dialect, columns: &[&str]) -> String {
    let position = match dialect {
        Dialect::Postgres => "strpos",
        Dialect::Sqlite => "instr",
    };
    let hit = |column: &&str| format!("{position}(lower({column}), {{}}) > 0");
    format!("AND ({})", columns.iter().map(hit).collect::<Vec<_>>().join(" OR "))
}

fn needle(text: Option<String>) -> Option<String> {
    text.map(|text| text.to_ascii_lowercase())
}

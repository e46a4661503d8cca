//! Members: one by a key, and pages.

use doorward_engine::id::{MemberId, TenantId, UserId};
use doorward_engine::member::Member;

use super::{holds, needle};
use crate::store::directory::{MemberFilter, Slice};
use crate::store::sql::rows::read::{Rest, members};
use crate::store::sql::{Inner, StoreError};

pub(super) async fn one(
    inner: &Inner,
    tenant: &TenantId,
    member: &MemberId,
) -> Result<Option<Member>, StoreError> {
    let rest = Rest::of(tenant.as_str(), "member m WHERE m.tenant_id = $1")
        .with("AND m.member_id = {}", member.as_str());
    Ok(members(inner.dialect, &inner.reads, rest).await?.pop())
}

pub(super) async fn by_user(
    inner: &Inner,
    tenant: &TenantId,
    user: &UserId,
) -> Result<Option<Member>, StoreError> {
    let from = "tenant_user u JOIN member m ON m.tenant_id = u.tenant_id AND m.member_id = u.member_id \
                WHERE u.tenant_id = $1";
    let rest = Rest::of(tenant.as_str(), from).with("AND u.user_id = {}", user.as_str());
    Ok(members(inner.dialect, &inner.reads, rest).await?.pop())
}

pub(super) async fn page(
    inner: &Inner,
    tenant: &TenantId,
    filter: MemberFilter,
    slice: Slice<MemberId>,
) -> Result<Vec<Member>, StoreError> {
    let rest = Rest::of(tenant.as_str(), "member m WHERE m.tenant_id = $1");
    let rest = match filter.status {
        Some(status) => rest.with("AND m.status = {}", status.name()),
        None => rest.then("AND m.status <> 'DELETED'"),
    };
    let texts = holds(inner.dialect, &["m.email", "m.display_name", "m.member_id"]);
    let rest = rest
        .with_some("AND m.role = {}", filter.role.map(|role| role.name()))
        .with_some(&texts, needle(filter.text));
    let rest = super::page(rest, "m.member_id", slice.after.map(String::from), slice.limit);
    members(inner.dialect, &inner.reads, rest).await
}

//! The services' credentials and their secrets as rows: for authentication, for lists and for plans.

use std::collections::BTreeSet;
use std::sync::Arc;

use doorward_engine::api_key::ApiKey;
use doorward_engine::credential::{ServiceCredential, ServiceSecret};
use doorward_engine::id::{CredentialId, KeyId, Name, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::member::SecretHash;
use sea_orm::{ConnectionTrait, FromQueryResult, QueryResult, Value};

use super::entity::{api_key, service_credential};
use super::rows::read::{Rest, columns, list, listed};
use super::rows::{self, At, instant};
use super::{Dialect, Inner, Sql, StoreError, answer, epoch};
use crate::store::credentials::{Credentials, Known, Roster, Use};

impl Credentials for Sql {
    async fn roster(&self) -> Result<Known, StoreError> {
        self.run("roster", |inner| async move { roster(&inner).await }).await
    }

    async fn key_by_secret(
        &self,
        key: KeyId,
        secret: SecretHash,
    ) -> Result<Option<(TenantId, ApiKey)>, StoreError> {
        self.run("key_by_secret", move |inner| async move { key_by_secret(&inner, &key, secret).await }).await
    }

    async fn used(&self, uses: Vec<Use>) -> Result<(), StoreError> {
        self.run("used", |inner| async move { used(&inner, uses).await }).await
    }
}

/// The columns of a credential `c` with its secrets.
fn credential_columns(dialect: Dialect) -> String {
    let hash = match dialect {
        Dialect::Postgres => "encode(s.secret_hash, 'hex')",
        Dialect::Sqlite => "lower(hex(s.secret_hash))",
    };
    let secrets = dialect.json_rows(&format!("{hash}, s.created_us, s.expires_us, s.last_used_us"));
    format!(
        "{}, (SELECT {secrets} FROM service_secret s WHERE s.credential_id = c.credential_id) AS secrets",
        columns::<service_credential::Entity>("c")
    )
}

fn credential_of(row: &QueryResult) -> Result<ServiceCredential, StoreError> {
    let secrets: String = row.try_get("", "secrets")?;
    credential(&service_credential::Model::from_query_result(row, "")?, &secrets)
}

fn credential(row: &service_credential::Model, secrets: &str) -> Result<ServiceCredential, StoreError> {
    let at = At { table: "service_credential", key: &row.credential_id };
    let secrets: Vec<(String, i64, Option<i64>, Option<i64>)> = at.json("secrets", secrets)?;
    let secret = |(hash, created, expires, used): (String, _, _, _)| {
        let hash = blake3::Hash::from_hex(&hash).map_err(|_| at.wrong("secret_hash"))?;
        Ok(ServiceSecret {
            hash: SecretHash(*hash.as_bytes()),
            created_at: Instant::from_micros(created),
            expires_at: instant(expires),
            last_used_at: instant(used),
        })
    };
    let mut secrets = secrets.into_iter().map(secret).collect::<Result<Vec<_>, StoreError>>()?;
    secrets.sort_by_key(|secret| std::cmp::Reverse((secret.created_at, secret.hash)));
    Ok(ServiceCredential {
        id: at.parse("credential_id", &row.credential_id, CredentialId::parse)?,
        name: at.parse("name", &row.name, Name::parse)?,
        scopes: at.json("scopes", &row.scopes)?,
        tenants: at.json("tenants", &row.tenants)?,
        secrets,
        created_at: Instant::from_micros(row.created_us),
        revoked_at: instant(row.revoked_us),
        revision: at.revision(row.changed_rev)?,
    })
}

/// In one statement, so that it is of one moment; one row without a credential where there is none.
pub(super) fn roster_text(dialect: Dialect) -> Arc<str> {
    format!(
        "SELECT {now} AS now_us, {session} AS session, {columns} FROM (SELECT 1 AS one) AS base \
         LEFT JOIN service_credential c ON c.revoked_us IS NULL",
        now = dialect.now_micros(),
        session = epoch::session_column(dialect),
        columns = credential_columns(dialect),
    )
    .into()
}

async fn roster(inner: &Inner) -> Result<Known, StoreError> {
    let (rows, epoch) = answer::rows(inner, &inner.roster, &[]).await?;
    let mut services = std::collections::HashMap::with_capacity(rows.len());
    let mut now = 0;
    for row in &rows {
        now = row.try_get("", "now_us")?;
        let id: Option<String> = row.try_get("", "credential_id")?;
        if id.is_some() {
            let credential = credential_of(row)?;
            services.insert(credential.id.clone(), Arc::new(credential));
        }
    }
    Ok(Known { roster: Arc::new(Roster { services }), now: inner.now(now), epoch })
}

/// The one question that begins with no tenant: the secret, of which there is one, says whose it is.
async fn key_by_secret(
    inner: &Inner,
    key: &KeyId,
    secret: SecretHash,
) -> Result<Option<(TenantId, ApiKey)>, StoreError> {
    let sql = format!(
        "SELECT {columns}, {now} AS now_us FROM api_key k \
         WHERE k.key_id = $1 AND k.secret_hash = $2 AND k.revoked_us IS NULL LIMIT 1",
        columns = columns::<api_key::Entity>("k"),
        now = inner.dialect.now_micros(),
    );
    let values: [Value; 2] = [key.as_str().into(), secret.0.to_vec().into()];
    let Some(row) = inner.reads.query_one_raw(inner.dialect.statement(sql, values)).await? else {
        return Ok(None);
    };
    let now = inner.now(row.try_get("", "now_us")?);
    let found = api_key::Model::from_query_result(&row, "")?;
    let at = At { table: "api_key", key: key.as_str() };
    let tenant = at.parse("tenant_id", &found.tenant_id, TenantId::parse)?;
    let key = rows::api_key(&found)?;
    Ok(key.is_live(now).then_some((tenant, key)))
}

async fn used(inner: &Inner, uses: Vec<Use>) -> Result<(), StoreError> {
    let sql = "UPDATE service_secret SET last_used_us = $3 WHERE credential_id = $1 AND secret_hash = $2 \
               AND (last_used_us IS NULL OR last_used_us < $3)";
    for Use { credential, secret, at } in uses {
        let values: [Value; 3] = [credential.as_str().into(), secret.0.to_vec().into(), at.micros().into()];
        inner.writes.execute_raw(inner.dialect.statement(sql, values)).await?;
    }
    Ok(())
}

/// Those of these ids that there are, revoked ones too.
pub(super) async fn named<C: ConnectionTrait>(
    dialect: Dialect,
    connection: &C,
    wanted: &BTreeSet<CredentialId>,
) -> Result<Vec<ServiceCredential>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let from = format!("{} JOIN service_credential c ON c.credential_id = listed.a", listed(dialect, "$1"));
    let rest = Rest::new(&from).value(list(wanted.iter().map(|id| [id.as_str()])));
    select(dialect, connection, rest).await
}

/// A page, in the order of the ids.
pub(super) async fn page(
    inner: &Inner,
    include_revoked: bool,
    after: Option<CredentialId>,
    limit: i64,
) -> Result<Vec<ServiceCredential>, StoreError> {
    let rest = Rest::new("service_credential c WHERE 1 = 1");
    let rest = if include_revoked { rest } else { rest.then("AND c.revoked_us IS NULL") };
    let rest = rest
        .with_some("AND c.credential_id > {}", after.map(String::from))
        .with("ORDER BY c.credential_id LIMIT {}", limit);
    select(inner.dialect, &inner.reads, rest).await
}

async fn select<C: ConnectionTrait>(
    dialect: Dialect,
    connection: &C,
    rest: Rest,
) -> Result<Vec<ServiceCredential>, StoreError> {
    let rows = rest.select(dialect, connection, &credential_columns(dialect)).await?;
    rows.iter().map(credential_of).collect()
}

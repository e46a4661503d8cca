//! The facts for a question in one statement: tenant, subject, resources, catalogue version, clock and revision.

use std::collections::BTreeMap;
use std::sync::Arc;

use doorward_engine::catalogue::Catalogue;
use doorward_engine::id::{ResourceId, ResourceRef, Revision, TypeKey};
use doorward_engine::member::SecretHash;
use doorward_engine::snapshot::{KeyFacts, MemberFacts, ResourceFacts, TenantFacts};
use doorward_engine::status::ResourceStatus;
use sea_orm::{EntityTrait, FromQueryResult, IdenStatic, Iterable, QueryResult};

use super::entity::{api_key, member, tenant};
use super::rows::{self, At, read};
use super::{Dialect, Inner, Sql, answer, catalogue, epoch};
use crate::store::{Ask, Epoch, Snapshot, Snapshots, StoreError, SubjectFacts, SubjectRef, Tier};

impl Snapshots for Sql {
    async fn snapshot(&self, ask: Ask) -> Result<Snapshot, StoreError> {
        self.run("snapshot", |inner| async move { snapshot(&inner, &ask).await }).await
    }

    fn epoch(&self) -> Epoch {
        self.inner.life.known().epoch
    }
}

async fn snapshot(inner: &Inner, ask: &Ask) -> Result<Snapshot, StoreError> {
    let (rows, epoch) = answer::rows(inner, inner.questions.of(ask), &texts(ask)).await?;
    let row = rows.first().ok_or_else(|| StoreError::Unavailable("the database told nothing".to_owned()))?;
    let version = row.try_get("", "catalogue_version")?;
    let in_force = catalogue::at_version(inner, &inner.reads, version).await?;
    let catalogue = &in_force.catalogue;
    let revision: Option<i64> = row.try_get("", "tenant_revision")?;
    Ok(Snapshot {
        tenant: tenant_facts(row, catalogue)?.map(Arc::new),
        subject: subject_facts(row, &ask.subject, catalogue)?,
        resources: resource_facts(row, ask)?,
        revision: Revision(revision.unwrap_or_default().unsigned_abs()),
        epoch,
        now: inner.now(row.try_get("", "now_us")?),
        tier: Tier::Store,
        degraded: false,
        in_force,
    })
}

/// The texts of the statement, one for each kind of question: made once, as a check has better things to do.
pub(super) struct Texts {
    user: ByCount,
    member: ByCount,
    key: ByCount,
    nobody: ByCount,
}

/// By how many resources are asked for.
struct ByCount {
    none: Arc<str>,
    one: Arc<str>,
    many: Arc<str>,
}

impl Texts {
    pub(super) fn over(dialect: Dialect) -> Self {
        let by_count = |subject: &(String, &str)| ByCount {
            none: sql(dialect, subject, "'[]'").into(),
            one: sql(dialect, subject, &one_resource(dialect)).into(),
            many: sql(dialect, subject, &many_resources(dialect)).into(),
        };
        Self {
            user: by_count(&member_subject(dialect, BY_USER)),
            member: by_count(&member_subject(dialect, BY_MEMBER)),
            key: by_count(&(prefixed::<api_key::Entity>("k"), BY_KEY)),
            nobody: by_count(&("CAST($2 AS TEXT) AS nobody".to_owned(), "")),
        }
    }

    fn of(&self, ask: &Ask) -> &Arc<str> {
        let by_count = match &ask.subject {
            SubjectRef::User(_) => &self.user,
            SubjectRef::Member(_) => &self.member,
            SubjectRef::Key(_) => &self.key,
            SubjectRef::Nobody => &self.nobody,
        };
        match ask.resources.len() {
            0 => &by_count.none,
            1 => &by_count.one,
            _ => &by_count.many,
        }
    }
}

/// One row in any case: what does not exist is NULL.
fn sql(dialect: Dialect, (subject_columns, subject_joins): &(String, &str), resources: &str) -> String {
    format!(
        "SELECT {now} AS now_us, {session} AS session, \
         (SELECT max(version) FROM catalogue) AS catalogue_version, \
         v.rev AS tenant_revision, {tenant}, {subject_columns}, {resources} AS resources \
         FROM (SELECT 1 AS one) AS base \
         LEFT JOIN tenant_rev v ON v.tenant_id = $1 \
         LEFT JOIN tenant t ON t.tenant_id = $1 \
         {subject_joins}",
        now = dialect.now_micros(),
        session = epoch::session_column(dialect),
        tenant = prefixed::<tenant::Entity>("t"),
    )
}

/// The statement's parameters, each of them a text.
fn texts(ask: &Ask) -> Vec<String> {
    let subject = match &ask.subject {
        SubjectRef::User(user) => user.as_str(),
        SubjectRef::Member(member) => member.as_str(),
        SubjectRef::Key(key) => key.as_str(),
        SubjectRef::Nobody => "",
    };
    let mut texts = vec![ask.tenant.as_str().to_owned(), subject.to_owned()];
    match ask.resources.as_slice() {
        [] => {}
        [one] => texts.extend([one.kind.as_str().to_owned(), one.id.as_str().to_owned()]),
        many => texts.push(read::list_text(many.iter().map(|r| [r.kind.as_str(), r.id.as_str()]))),
    }
    texts
}

const BY_USER: &str = "LEFT JOIN tenant_user u ON u.tenant_id = $1 AND u.user_id = $2 \
                       LEFT JOIN member m ON m.tenant_id = $1 AND m.member_id = u.member_id";
const BY_MEMBER: &str = "LEFT JOIN member m ON m.tenant_id = $1 AND m.member_id = $2";
const BY_KEY: &str = "LEFT JOIN api_key k ON k.tenant_id = $1 AND k.key_id = $2";

fn member_subject(dialect: Dialect, joins: &'static str) -> (String, &'static str) {
    let columns = format!(
        "{member}, \
         (SELECT {sections} FROM member_section s WHERE s.tenant_id = $1 AND s.member_id = m.member_id) AS sections, \
         (SELECT {grants} FROM resource_grant g WHERE g.tenant_id = $1 AND g.member_id = m.member_id) AS grants",
        member = prefixed::<member::Entity>("m"),
        sections = dialect.json_rows("s.section, s.is_on, s.origin"),
        grants = dialect.json_rows("g.resource_type, g.resource_id, g.expires_us"),
    );
    (columns, joins)
}

/// What is answered of each resource: a JSON array of `[type, id, status]`.
const RESOURCE: &str = "r.resource_type, r.resource_id, r.status";

fn one_resource(dialect: Dialect) -> String {
    format!(
        "(SELECT {rows} FROM resource r \
         WHERE r.tenant_id = $1 AND r.resource_type = $3 AND r.resource_id = $4)",
        rows = dialect.json_rows(RESOURCE),
    )
}

fn many_resources(dialect: Dialect) -> String {
    format!(
        "(SELECT {rows} FROM {listed} \
         JOIN resource r ON r.tenant_id = $1 AND r.resource_type = listed.a AND r.resource_id = listed.b)",
        rows = dialect.json_rows(RESOURCE),
        listed = read::listed(dialect, "$3"),
    )
}

/// A table's columns, each named with the alias before it, so that rows of several tables fit side by side.
fn prefixed<E: EntityTrait>(alias: &str) -> String {
    let column = |column: E::Column| format!("{alias}.{0} AS {alias}_{0}", column.as_str());
    E::Column::iter().map(column).collect::<Vec<_>>().join(", ")
}

fn tenant_facts(row: &QueryResult, catalogue: &Catalogue) -> Result<Option<TenantFacts>, StoreError> {
    let found = tenant::Model::from_query_result_optional(row, "t_")?;
    found.map(|found| Ok(TenantFacts::over(&rows::tenant(&found)?, catalogue))).transpose()
}

fn subject_facts(
    row: &QueryResult,
    subject: &SubjectRef,
    catalogue: &Catalogue,
) -> Result<SubjectFacts, StoreError> {
    Ok(match subject {
        SubjectRef::Key(_) => SubjectFacts::Key(key_facts(row, catalogue)?.map(Arc::new)),
        SubjectRef::User(_) | SubjectRef::Member(_) => SubjectFacts::Member(member_facts(row, catalogue)?),
        SubjectRef::Nobody => SubjectFacts::Member(None),
    })
}

fn member_facts(row: &QueryResult, catalogue: &Catalogue) -> Result<Option<MemberFacts>, StoreError> {
    let Some(found) = member::Model::from_query_result_optional(row, "m_")? else {
        return Ok(None);
    };
    let sections: String = row.try_get("", "sections")?;
    let grants: String = row.try_get("", "grants")?;
    let member = rows::member(&found, &sections)?;
    let grants = rows::grants(&member.id, &grants)?;
    Ok(Some(MemberFacts::over(&member, grants, catalogue)))
}

fn key_facts(row: &QueryResult, catalogue: &Catalogue) -> Result<Option<KeyFacts>, StoreError> {
    let Some(found) = api_key::Model::from_query_result_optional(row, "k_")? else {
        return Ok(None);
    };
    let at = At { table: "api_key", key: &found.key_id };
    let secret = SecretHash(at.hash("secret_hash", &found.secret_hash)?);
    Ok(Some(KeyFacts::over(&rows::api_key(&found)?, secret, catalogue)))
}

fn resource_facts(row: &QueryResult, ask: &Ask) -> Result<Vec<Option<ResourceFacts>>, StoreError> {
    let at = At { table: "resource", key: ask.tenant.as_str() };
    let text: String = row.try_get("", "resources")?;
    let found: Vec<(String, String, String)> =
        serde_json::from_str(&text).map_err(|_| at.wrong("resource_id"))?;
    let fact = |(kind, id, status): (String, String, String)| {
        let kind = at.parse("resource_type", &kind, TypeKey::parse)?;
        let id = at.parse("resource_id", &id, ResourceId::parse)?;
        let status = ResourceStatus::parse(&status).ok_or_else(|| at.wrong("status"))?;
        Ok((ResourceRef { kind, id }, ResourceFacts { status }))
    };
    let found = found.into_iter().map(fact).collect::<Result<BTreeMap<_, _>, StoreError>>()?;
    Ok(ask.resources.iter().map(|resource| found.get(resource).copied()).collect())
}

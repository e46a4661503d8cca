//! Statements that read rows as records, and lists of keys as one parameter; knows nothing of who asks.

use std::collections::BTreeSet;

use doorward_engine::api_key::ApiKey;
use doorward_engine::id::ResourceRef;
use doorward_engine::instant::Instant;
use doorward_engine::member::Member;
use doorward_engine::resource::Resource;
use sea_orm::{ConnectionTrait, EntityTrait, FromQueryResult, IdenStatic, Iterable, QueryResult, Value};

use super::super::entity::{api_key, member, resource};
use super::super::{Dialect, Inner};
use super::StoreError;

/// An entity's columns for a SELECT, by name: `*` would break prepared statements when a column is added.
pub(in super::super) fn columns<E: EntityTrait>(alias: &str) -> String {
    let column = |column: E::Column| format!("{alias}.{}", column.as_str());
    E::Column::iter().map(column).collect::<Vec<_>>().join(", ")
}

/// The rest of a SELECT after its columns, with the values of its parameters.
pub(in super::super) struct Rest {
    sql: String,
    values: Vec<Value>,
}

impl Rest {
    /// Of the platform.
    pub(in super::super) fn new(from: &str) -> Self {
        Self { sql: from.to_owned(), values: Vec::new() }
    }

    /// Of one tenant: `$1` is its id. `from` ends with the tenant's condition, `… WHERE m.tenant_id = $1`.
    pub(in super::super) fn of(tenant: &str, from: &str) -> Self {
        Self { sql: from.to_owned(), values: vec![tenant.into()] }
    }

    /// Adds a value that the statement has already named, the next parameter.
    pub(in super::super) fn value(mut self, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        self
    }

    /// Adds what follows, in which `{}` stands for the value.
    pub(in super::super) fn with(mut self, sql: &str, value: impl Into<Value>) -> Self {
        self.values.push(value.into());
        let parameter = format!("${}", self.values.len());
        self.sql.push(' ');
        self.sql.push_str(&sql.replace("{}", &parameter));
        self
    }

    /// The same where there is a value.
    pub(in super::super) fn with_some(self, sql: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.with(sql, value),
            None => self,
        }
    }

    /// Adds what follows.
    pub(in super::super) fn then(mut self, sql: &str) -> Self {
        self.sql.push(' ');
        self.sql.push_str(sql);
        self
    }

    /// The rows of `SELECT columns` with this rest.
    pub(in super::super) async fn select<C: ConnectionTrait>(
        self,
        dialect: Dialect,
        connection: &C,
        columns: &str,
    ) -> Result<Vec<QueryResult>, StoreError> {
        let statement = dialect.statement(format!("SELECT {columns} FROM {}", self.sql), self.values);
        Ok(connection.query_all_raw(statement).await?)
    }
}

/// A FROM item `listed` with the columns a, b and c out of a parameter made by [`list`].
pub(in super::super) fn listed(dialect: Dialect, parameter: &str) -> String {
    match dialect {
        Dialect::Postgres => format!(
            "(SELECT e->>0 AS a, e->>1 AS b, e->>2 AS c FROM json_array_elements({parameter}::json) AS e) AS listed"
        ),
        Dialect::Sqlite => format!(
            "(SELECT json_extract(value, '$[0]') AS a, json_extract(value, '$[1]') AS b, \
             json_extract(value, '$[2]') AS c FROM json_each({parameter})) AS listed"
        ),
    }
}

/// Keys of up to three columns as one parameter: the statement's text does not grow with their number.
pub(in super::super) fn list<'a, const N: usize>(keys: impl IntoIterator<Item = [&'a str; N]>) -> Value {
    list_text(keys).into()
}

/// The same as a text.
pub(in super::super) fn list_text<'a, const N: usize>(
    keys: impl IntoIterator<Item = [&'a str; N]>,
) -> String {
    let keys = keys.into_iter().map(|key| key.map(serde_json::Value::from).to_vec().into());
    serde_json::Value::Array(keys.collect()).to_string()
}

/// Columns for [`member_of`]: a member `m` with the section values.
pub(in super::super) fn member_columns(dialect: Dialect) -> String {
    let sections = dialect.json_rows("s.section, s.is_on, s.origin");
    format!(
        "{}, (SELECT {sections} FROM member_section s \
         WHERE s.tenant_id = m.tenant_id AND s.member_id = m.member_id) AS sections",
        columns::<member::Entity>("m")
    )
}

/// The member of a row with [`member_columns`].
pub(in super::super) fn member_of(row: &QueryResult) -> Result<Member, StoreError> {
    let sections: String = row.try_get("", "sections")?;
    super::member(&member::Model::from_query_result(row, "")?, &sections)
}

/// Members `m`, each with the section values, in one statement.
pub(in super::super) async fn members<C: ConnectionTrait>(
    dialect: Dialect,
    connection: &C,
    rest: Rest,
) -> Result<Vec<Member>, StoreError> {
    let rows = rest.select(dialect, connection, &member_columns(dialect)).await?;
    rows.iter().map(member_of).collect()
}

/// Resources `r`.
pub(in super::super) async fn resources<C: ConnectionTrait>(
    dialect: Dialect,
    connection: &C,
    rest: Rest,
) -> Result<Vec<Resource>, StoreError> {
    let rows = rest.select(dialect, connection, &columns::<resource::Entity>("r")).await?;
    rows.iter().map(|row| super::resource(&resource::Model::from_query_result(row, "")?)).collect()
}

/// Those resources, in one statement or, where there are none, in none.
pub(in super::super) async fn resources_named<C: ConnectionTrait>(
    dialect: Dialect,
    connection: &C,
    tenant: &str,
    wanted: &BTreeSet<ResourceRef>,
) -> Result<Vec<Resource>, StoreError> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let from = format!(
        "{} JOIN resource r ON r.resource_type = listed.a AND r.resource_id = listed.b WHERE r.tenant_id = $1",
        listed(dialect, "$2")
    );
    let keys = wanted.iter().map(|resource| [resource.kind.as_str(), resource.id.as_str()]);
    resources(dialect, connection, Rest::of(tenant, &from).value(list(keys))).await
}

/// API keys `k`.
pub(in super::super) async fn api_keys<C: ConnectionTrait>(
    dialect: Dialect,
    connection: &C,
    rest: Rest,
) -> Result<Vec<ApiKey>, StoreError> {
    let rows = rest.select(dialect, connection, &columns::<api_key::Entity>("k")).await?;
    rows.iter().map(|row| super::api_key(&api_key::Model::from_query_result(row, "")?)).collect()
}

/// A count as the records have it.
pub(in super::super) fn count(row: &QueryResult, column: &str) -> Result<u64, StoreError> {
    let count: i64 = row.try_get("", column)?;
    Ok(count.unsigned_abs())
}

impl Inner {
    /// Now: on Postgres by what [`Dialect::now_micros`] said, on SQLite by the system's clock.
    pub(in super::super) fn now(&self, micros: i64) -> Instant {
        match self.dialect {
            Dialect::Postgres => self.clock.from_database(micros),
            Dialect::Sqlite => self.clock.now(),
        }
    }
}

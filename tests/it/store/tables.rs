//! The tables as text, read past the store: what a row holds, byte for byte.

use sea_orm::{
    ConnectionTrait, Database as Db, DatabaseConnection, DbBackend, QueryResult, Statement, TransactionTrait,
};

use super::Store;

/// Every table that holds rows of a tenant.
pub(crate) const TABLES: [&str; 14] = [
    "tenant_rev",
    "tenant",
    "tenant_slug",
    "member",
    "tenant_user",
    "member_person",
    "member_section",
    "invitation",
    "resource",
    "resource_grant",
    "api_key",
    "change_log",
    "request",
    "outbox",
];

/// A connection of a test's own.
pub(crate) struct Tables {
    connection: DatabaseConnection,
    backend: DbBackend,
}

impl Tables {
    pub(super) async fn of(store: &Store) -> Self {
        Self::at(&store.url).await
    }

    /// Of a database by its URL.
    pub(crate) async fn at(url: &str) -> Self {
        let backend = if url.starts_with("sqlite:") { DbBackend::Sqlite } else { DbBackend::Postgres };
        Self { connection: Db::connect(url).await.unwrap(), backend }
    }

    /// Whether it is SQLite's.
    pub(crate) fn is_sqlite(&self) -> bool {
        self.backend == DbBackend::Sqlite
    }

    /// The tables that there are.
    pub(crate) async fn names(&self) -> Vec<String> {
        let sql = if self.is_sqlite() {
            "SELECT name FROM sqlite_master WHERE type = 'table'"
        } else {
            "SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = 'public'"
        };
        self.query(sql).await.iter().map(|row| row.try_get("", "name").unwrap()).collect()
    }

    /// Every row of a tenant, in every table, as sorted text.
    pub(crate) async fn of_tenant(&self, tenant: &str) -> Vec<String> {
        let mut rows = Vec::new();
        for table in TABLES {
            rows.extend(self.rows(table, &format!("tenant_id = '{tenant}'")).await);
        }
        rows
    }

    /// Every row of every table, as sorted text.
    pub(crate) async fn everything(&self) -> Vec<String> {
        let mut rows = Vec::new();
        for table in TABLES.into_iter().chain(["catalogue"]) {
            rows.extend(self.rows(table, "true").await);
        }
        rows
    }

    /// The rows of a table that meet a condition, as sorted text.
    pub(crate) async fn rows(&self, table: &str, condition: &str) -> Vec<String> {
        let columns = self.columns(table).await;
        let texts = columns.iter().map(|column| match self.backend {
            DbBackend::Sqlite => format!("'{column}=' || quote({column})"),
            _ => format!("'{column}=' || coalesce({column}::text, 'NULL')"),
        });
        let text = texts.collect::<Vec<_>>().join(" || ' ' || ");
        let rows = self.query(&format!("SELECT {text} AS line FROM {table} WHERE {condition}")).await;
        let line = |row: &QueryResult| format!("{table}: {}", row.try_get::<String>("", "line").unwrap());
        let mut rows: Vec<_> = rows.iter().map(line).collect();
        rows.sort();
        rows
    }

    async fn columns(&self, table: &str) -> Vec<String> {
        let sql = match self.backend {
            DbBackend::Sqlite => format!("SELECT name FROM pragma_table_info('{table}')"),
            _ => {
                format!(
                    "SELECT column_name::text AS name FROM information_schema.columns WHERE table_name = '{table}'"
                )
            }
        };
        self.query(&sql).await.iter().map(|row| row.try_get("", "name").unwrap()).collect()
    }

    pub(crate) async fn query(&self, sql: &str) -> Vec<QueryResult> {
        self.connection.query_all_raw(Statement::from_string(self.backend, sql)).await.unwrap()
    }

    /// The rows of a statement, asked after others on the same connection.
    pub(crate) async fn on_one_connection(&self, before: &str, sql: &str) -> Vec<QueryResult> {
        let transaction = self.connection.begin().await.unwrap();
        transaction.execute_unprepared(before).await.unwrap();
        transaction.query_all_raw(Statement::from_string(self.backend, sql)).await.unwrap()
    }

    pub(crate) async fn execute(&self, sql: &str) {
        self.connection.execute_unprepared(sql).await.unwrap();
    }
}

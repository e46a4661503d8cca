//! Step 1: the tables of the SQL file beside this one.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

/// The step.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const SQL: &str = include_str!("m0001_foundation.sql");
/// Pages follow the order of ids, which is that of their bytes on both databases.
const POSTGRES_TEXT: &str = " TEXT COLLATE \"C\"";
/// Seven days of feed are found by transaction, which only Postgres numbers.
const POSTGRES_XID: &str = "xid        xid8 NOT NULL DEFAULT pg_current_xact_id(),";
const POSTGRES_XID_INDEX: &str = "CREATE INDEX change_log_xid ON change_log (xid);";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (text, bytes, xid, xid_index) = match manager.get_database_backend() {
            DatabaseBackend::Postgres => (POSTGRES_TEXT, "BYTEA", POSTGRES_XID, POSTGRES_XID_INDEX),
            _ => (" TEXT", "BLOB", "", ""),
        };
        let sql = SQL
            .replace(" TEXT", text)
            .replace("«bytes»", bytes)
            .replace("«xid_index»", xid_index)
            .replace("«xid»", xid);
        manager.get_connection().execute_unprepared(&sql).await?;
        Ok(())
    }
}

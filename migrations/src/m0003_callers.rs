//! Step 3: services that call, and calls that were denied; the SQL file beside this one.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

/// The step.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const SQL: &str = include_str!("m0003_callers.sql");
/// Texts are compared by their bytes on both databases.
const POSTGRES_TEXT: &str = " TEXT COLLATE \"C\"";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (text, bytes) = match manager.get_database_backend() {
            DatabaseBackend::Postgres => (POSTGRES_TEXT, "BYTEA"),
            _ => (" TEXT", "BLOB"),
        };
        let sql = SQL.replace(" TEXT", text).replace("«bytes»", bytes);
        manager.get_connection().execute_unprepared(&sql).await?;
        Ok(())
    }
}

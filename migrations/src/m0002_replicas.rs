//! Step 2: replicas and what they have applied; the SQL file beside this one.

use sea_orm_migration::prelude::*;
use sea_orm_migration::sea_orm::DatabaseBackend;

/// The step.
#[derive(DeriveMigrationName)]
pub(crate) struct Migration;

const SQL: &str = include_str!("m0002_replicas.sql");
/// Texts are compared by their bytes on both databases.
const POSTGRES_TEXT: &str = " TEXT COLLATE \"C\"";

#[async_trait::async_trait]
impl MigrationTrait for Migration {
    async fn up(&self, manager: &SchemaManager) -> Result<(), DbErr> {
        let (text, snapshot) = match manager.get_database_backend() {
            DatabaseBackend::Postgres => (POSTGRES_TEXT, "pg_snapshot"),
            _ => (" TEXT", "TEXT"),
        };
        let sql = SQL.replace(" TEXT", text).replace("«snapshot»", snapshot);
        manager.get_connection().execute_unprepared(&sql).await?;
        Ok(())
    }
}

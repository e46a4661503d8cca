//! The schema of Doorward as frozen steps, for Postgres and SQLite. A step that has been released never changes.

mod m0001_foundation;
mod m0002_replicas;
mod m0003_callers;

use sea_orm_migration::MigrationTrait;

pub use sea_orm_migration::{Migration, MigratorTrait};

/// Every step, oldest first.
pub struct Migrator;

impl MigratorTrait for Migrator {
    fn migrations() -> Vec<Box<dyn MigrationTrait>> {
        vec![
            Box::new(m0001_foundation::Migration),
            Box::new(m0002_replicas::Migration),
            Box::new(m0003_callers::Migration),
        ]
    }
}

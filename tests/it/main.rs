//! The store on SQLite and on Postgres.

mod postgres;
mod store;

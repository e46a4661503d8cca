//! The service's promises, each over real gRPC, on SQLite and on Postgres.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, clippy::indexing_slicing, reason = "a test fails by panicking")]

#[path = "../support/mod.rs"]
mod support;

#[path = "../support/machine.rs"]
mod machine;

mod harness;
mod plans;
mod postgres;

mod api_keys;
mod audit;
mod bad_input;
mod bench;
mod binary;
mod caches;
mod callers;
mod canary;
mod catalogue;
mod checks;
mod cli;
mod coverage;
mod demo;
mod doctor;
mod drain;
mod far;
mod firewall;
mod grants;
mod invitations;
mod keeper;
mod kill;
mod lifecycle;
mod limits;
mod lists;
mod matrix;
mod members;
mod oidc;
mod pieces;
mod questions;
mod raw;
mod readiness;
mod redis;
mod reload;
mod resources;
mod restore;
mod scenarios;
mod sections;
mod serve;
mod settings;
mod store;
mod subscriptions;
mod telemetry;
mod tenants;
mod transport;
mod world;

//! Doorward: authorization for multi-tenant platforms. Each module is a room; ARCHITECTURE.md is the map.

pub mod app;
pub mod bench;
pub mod cache;
pub mod caller;
pub mod catalogue;
pub mod cli;
pub mod clock;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
pub mod http;
pub mod keys;
pub mod proto;
pub mod resolver;
pub mod service;
pub mod settings;
pub mod store;
pub mod telemetry;
pub mod wire;

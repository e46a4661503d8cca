//! Doorward: authorization for multi-tenant platforms.

pub mod catalogue;
pub mod clock;
pub mod keys;
pub mod proto;
pub mod store;

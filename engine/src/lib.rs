//! The rules of Doorward: who may do what. Pure and total: it knows no clock, no network and no store.
//!
//! One call decides: [`decide::decide`] looks at the [`snapshot::Facts`] of one tenant, one subject and at
//! most one resource, and answers a [`question::Question`] at an instant.

pub mod api_key;
pub mod catalogue;
pub mod change;
pub mod contact;
pub mod credential;
pub mod decide;
pub mod explain;
pub mod firewall;
pub mod id;
pub mod instant;
pub mod member;
pub mod question;
pub mod reason;
pub mod resource;
pub mod role;
pub mod rule;
pub mod snapshot;
pub mod status;
pub mod subscription;
pub mod tenant;

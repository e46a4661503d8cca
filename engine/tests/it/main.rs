//! The engine's promises, kept in one test binary.
#![expect(clippy::unwrap_used, reason = "a test may fail by panicking, in its helpers too")]

#[path = "../../../tests/support/mod.rs"]
mod support;

mod agree;
mod allocation;
mod catalogue;
mod catalogue_problems;
mod compiled;
mod explained;
mod hostile;
mod questions;
mod scenarios;

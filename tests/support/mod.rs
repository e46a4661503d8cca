//! Worlds to ask questions in: read from scenario files or drawn at random, and an independent reference that
//! answers. Used by the engine's tests and again by the service's: it knows the records and no backend.

pub(crate) mod draw;
pub(crate) mod reference;
pub(crate) mod rng;
pub(crate) mod scenario;
pub(crate) mod world;

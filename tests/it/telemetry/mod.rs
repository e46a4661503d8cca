//! What the service says of itself reaches those who listen: traces a collector, metrics a scraper, and both under the
//! names that docs/telemetry.md lists.

pub(crate) mod collector;
mod names;
mod outage;
mod traced;
mod traces;

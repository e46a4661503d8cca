//! Settings of the environment: `DOORWARD_SECTION__KEY`. Another variable that begins like these is refused.

use std::ffi::OsString;

use super::problem::{Given, Problems, Source};

/// How the variables begin that are ours.
pub(super) const PREFIX: &str = "DOORWARD_";
/// Variables of the client, of which a server knows nothing.
const CLIENT: [&str; 2] = ["DOORWARD_TOKEN", "DOORWARD_ADDRESS"];
/// Variables of our tests.
const TESTS: &str = "DOORWARD_TEST_";

/// Name and value.
pub(super) type Variable = (OsString, OsString);

/// The process's variables.
#[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
pub(super) fn read() -> Vec<Variable> {
    std::env::vars_os().collect()
}

/// What tests say to a build for tests.
#[cfg(feature = "slips")]
#[derive(Clone, Debug, Default)]
pub struct Test {
    /// How the protocol of the caches is to be got wrong.
    pub slip: Option<String>,
    /// For how long some answers are held up at the most, in milliseconds.
    pub stall_ms: u64,
}

/// What tests have said: `DOORWARD_TEST__SLIP`, `DOORWARD_TEST__STALL_MS`.
#[cfg(feature = "slips")]
#[must_use]
pub fn test() -> Test {
    let said = |wanted: &str| {
        let found = read().into_iter().find(|(name, _)| name == wanted);
        found.and_then(|(_, value)| value.into_string().ok())
    };
    Test {
        slip: said("DOORWARD_TEST__SLIP"),
        stall_ms: said("DOORWARD_TEST__STALL_MS").and_then(|text| text.parse().ok()).unwrap_or(0),
    }
}

/// Each value of the environment that is ours, by the order of the names.
pub(super) fn parse(variables: Vec<Variable>, problems: &mut Problems) -> Vec<Given> {
    let mut given = Vec::new();
    for (name, value) in variables {
        let name = name.to_string_lossy().into_owned();
        let Some(path) = name.strip_prefix(PREFIX) else {
            continue;
        };
        let Some(value) = value.to_str() else {
            problems.other(&Source::Environment(name), "the value is not UTF-8");
            continue;
        };
        if !is_for_others(&name, value) {
            let path = path.to_lowercase().replacen("__", ".", 1);
            given.push(Given::text(&path, value, Source::Environment(name)));
        }
    }
    given.sort_by(|one, other| one.name.cmp(&other.name));
    given
}

fn is_for_others(name: &str, value: &str) -> bool {
    CLIENT.contains(&name) || name.starts_with(TESTS) || is_service_link(name, value)
}

/// What Kubernetes tells every container about a service called `doorward` or `doorward-…`.
fn is_service_link(name: &str, value: &str) -> bool {
    let is_address = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    let words: Vec<_> = name.split('_').collect();
    let about_port = words.contains(&"PORT");
    !name.contains("__")
        && (name.ends_with("_SERVICE_HOST")
            || name.contains("_SERVICE_PORT")
            || about_port && (is_address || ["TCP", "UDP", "SCTP"].iter().any(|word| words.contains(word))))
}

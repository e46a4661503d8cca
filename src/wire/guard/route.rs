//! What a path asks for: looked up once, before anything else of a call is read. It decides nothing.

use std::collections::HashMap;
use std::time::Duration;

use crate::service::Operation;
use crate::telemetry::Class;

const ACCESS: &str = "/doorward.v1.AccessService/";
const HEALTH: &str = "/grpc.health.v1.Health/";
const HEALTH_WATCH: &str = "/grpc.health.v1.Health/Watch";
const REFLECTION: [&str; 2] =
    ["/grpc.reflection.v1.ServerReflection/", "/grpc.reflection.v1alpha.ServerReflection/"];

/// What a call asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// An RPC of the service.
    Rpc(Operation),
    /// Anything of health, for anybody.
    Health,
    /// Reflection.
    Reflection,
    /// Nothing that is offered; whoever has no credential does not learn that.
    Unknown,
}

/// What is known of a call by its path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Target {
    pub(super) route: Route,
    pub(super) class: Class,
    /// Whether it goes on until somebody ends it.
    pub(super) is_stream: bool,
    pub(super) is_mutation: bool,
}

impl Target {
    const fn new(route: Route, class: Class, is_stream: bool) -> Self {
        Self { route, class, is_stream, is_mutation: false }
    }

    fn of(operation: Operation) -> Self {
        let is_stream = matches!(operation, Operation::StreamCheckAccess | Operation::WatchChanges);
        let is_mutation = operation.is_mutation();
        Self { route: Route::Rpc(operation), class: class(operation), is_stream, is_mutation }
    }

    /// The call's name in the log.
    pub(super) const fn name(&self) -> &'static str {
        match self.route {
            Route::Rpc(operation) => operation.name(),
            Route::Health => "Health",
            Route::Reflection => "ServerReflection",
            Route::Unknown => "unknown",
        }
    }

    /// The longest that it may take.
    pub(super) fn cap(&self, check: Duration, other: Duration) -> Option<Duration> {
        match self.class {
            _ if self.is_stream => None,
            Class::Checks | Class::Health => Some(check),
            _ => Some(other),
        }
    }
}

/// The class of an RPC.
pub(in crate::wire) fn class(operation: Operation) -> Class {
    match operation {
        Operation::CheckAccess | Operation::BatchCheckAccess => Class::Checks,
        Operation::StreamCheckAccess | Operation::WatchChanges => Class::Streams,
        _ if operation.is_mutation() => Class::Writes,
        _ => Class::Reads,
    }
}

/// Every RPC, by its method's name.
#[derive(Debug)]
pub(super) struct Routes(HashMap<&'static str, Target>);

impl Routes {
    pub(super) fn new() -> Self {
        Self(Operation::ALL.iter().map(|&operation| (operation.name(), Target::of(operation))).collect())
    }

    pub(super) fn find(&self, path: &str) -> Target {
        let rpc = path.strip_prefix(ACCESS).and_then(|method| self.0.get(method));
        rpc.copied().unwrap_or_else(|| other(path))
    }
}

fn other(path: &str) -> Target {
    if path == HEALTH_WATCH {
        Target::new(Route::Health, Class::HealthWatch, true)
    } else if path.starts_with(HEALTH) {
        Target::new(Route::Health, Class::Health, false)
    } else if REFLECTION.iter().any(|service| path.starts_with(service)) {
        Target::new(Route::Reflection, Class::Streams, true)
    } else {
        Target::new(Route::Unknown, Class::Streams, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rpc_is_found_by_its_whole_path() {
        let routes = Routes::new();
        for &operation in Operation::ALL {
            let name = operation.name();
            let target = routes.find(&format!("/doorward.v1.AccessService/{name}"));
            assert_eq!((target.route, target.class), (Route::Rpc(operation), class(operation)));
            assert_eq!((target.name(), target.is_mutation), (name, operation.is_mutation()));
            for path in [
                format!("/doorward.v1.AccessService/{name}/"),
                format!("/doorward.v1.AccessService//{name}"),
                format!("//doorward.v1.AccessService/{name}"),
                format!("/doorward.v1.accessservice/{name}"),
                format!("/doorward.v1.AccessService/{}", name.to_lowercase()),
                format!("/doorward.v1.AccessServiceX/{name}"),
                format!("/{name}"),
                name.to_owned(),
            ] {
                assert_eq!(routes.find(&path).route, Route::Unknown, "{path}");
            }
        }
    }

    #[test]
    fn only_health_needs_no_credential() {
        let routes = Routes::new();
        let route = |path: &str| (routes.find(path).route, routes.find(path).class);
        assert_eq!(route("/grpc.health.v1.Health/Check"), (Route::Health, Class::Health));
        assert_eq!(route("/grpc.health.v1.Health/Watch"), (Route::Health, Class::HealthWatch));
        assert_eq!(route("/grpc.health.v1.Health/X"), (Route::Health, Class::Health));
        for version in ["v1", "v1alpha"] {
            let path = format!("/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo");
            assert_eq!(route(&path), (Route::Reflection, Class::Streams));
        }
        for path in ["/", "", "*", "/metrics", "/grpc.health.v1.Health", "/grpc.health.v1.HealthX/Check"] {
            assert_eq!(route(path).0, Route::Unknown, "{path}");
        }
    }

    #[test]
    fn a_stream_has_no_cap_and_all_else_has() {
        let (check, other) = (Duration::from_secs(5), Duration::from_secs(30));
        for &operation in Operation::ALL {
            let expected = match operation {
                Operation::StreamCheckAccess | Operation::WatchChanges => None,
                Operation::CheckAccess | Operation::BatchCheckAccess => Some(check),
                _ => Some(other),
            };
            assert_eq!(Target::of(operation).cap(check, other), expected, "{}", operation.name());
        }
    }
}

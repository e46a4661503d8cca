//! Which layer may know which: the table of arrows, and how a name is found in code. A new arrow is a decision: write it
//! down in `docs/decisions/` first.

use crate::rust::{code_only, lines_naming, rooted};
use crate::{Source, is_in};

/// In `within`, except in `except`, none of `names` occurs in code. A name is a crate (`tonic*`: and all that begin so)
/// or a path of two (`crate::wire`, `std::time`).
struct Arrow {
    within: &'static [&'static str],
    except: &'static [&'static str],
    names: &'static [&'static str],
    allowed: &'static str,
}

/// What a file's unit tests may use and its other code may not: they read fixtures.
const IN_UNIT_TESTS: &[&str] = &["toml"];

const LEAVES: &[&str] = &["src/telemetry", "src/settings", "src/clock", "src/keys", "src/catalogue"];
const ABOVE_SERVICE: &[&str] = &["crate::app", "crate::cli", "crate::wire", "crate::http", "crate::proto"];

const ARROWS: &[Arrow] = &[
    Arrow {
        within: &["engine/src"],
        except: &[],
        names: &[
            "tokio*",
            "tonic*",
            "prost*",
            "sea_orm*",
            "sqlx",
            "redis",
            "serde_json",
            "toml",
            "std::time",
            "std::fs",
            "std::net",
            "std::env",
            "std::process",
            "std::thread",
        ],
        allowed: "the engine is pure rules: no clock, no I/O, no format; time comes as an argument",
    },
    Arrow {
        within: &["src"],
        except: &["src/store/sql"],
        names: &["sea_orm*", "sqlx", "doorward_migrations"],
        allowed: "only src/store/sql knows rows",
    },
    Arrow {
        within: &["src"],
        except: &["src/wire", "src/proto", "src/app", "src/cli", "src/bench"],
        names: &["tonic*"],
        allowed: "only src/wire, src/proto, src/app (composes), src/cli and src/bench (clients) speak gRPC",
    },
    Arrow {
        within: &["src"],
        except: &["src/cache/far"],
        names: &["redis"],
        allowed: "only src/cache/far speaks to Redis",
    },
    Arrow {
        within: &["src"],
        except: &["src/caller/oidc"],
        names: &["jsonwebtoken"],
        allowed: "only src/caller/oidc reads people's tokens",
    },
    Arrow {
        within: &["src"],
        except: &["src/caller/oidc"],
        names: &["reqwest"],
        allowed: "only src/caller/oidc asks others over HTTP: for the keys of people's tokens",
    },
    Arrow {
        within: &["src"],
        except: &["src/telemetry"],
        names: &["opentelemetry*", "tracing_opentelemetry"],
        allowed: "only src/telemetry makes spans: a call that is not recorded must cost nothing",
    },
    Arrow {
        within: &["src"],
        except: &["src/http", "src/app"],
        names: &["axum"],
        allowed: "only src/http and src/app (composes) serve HTTP",
    },
    Arrow {
        within: &["src"],
        except: &["src/store", "src/app", "src/cli"],
        names: &["store::sql"],
        allowed: "src/app and src/cli choose a database; all others know the traits of src/store only",
    },
    Arrow {
        within: LEAVES,
        except: &[],
        names: &[
            "crate::app",
            "crate::cli",
            "crate::wire",
            "crate::http",
            "crate::proto",
            "crate::caller",
            "crate::service",
            "crate::resolver",
            "crate::cache",
            "crate::store",
        ],
        allowed: "a leaf is passed down as a value and knows no layer",
    },
    Arrow {
        within: &["src/store", "src/cache", "src/resolver", "src/service", "src/caller"],
        except: &[],
        names: ABOVE_SERVICE,
        allowed: "service and what is below it know domain words: no wire, no HTTP, no composition",
    },
    Arrow {
        within: &["src/store"],
        except: &[],
        names: &["crate::service", "crate::resolver", "crate::cache", "crate::caller"],
        allowed: "store knows the engine and the leaves",
    },
    Arrow {
        within: &["src/cache"],
        except: &[],
        names: &["crate::service", "crate::resolver", "crate::caller"],
        allowed: "cache knows the traits of store, the engine and the leaves",
    },
    Arrow {
        within: &["src/resolver"],
        except: &[],
        names: &["crate::service", "crate::caller"],
        allowed: "resolver knows cache, the traits of store, the engine and the leaves",
    },
    Arrow {
        within: &["src/service"],
        except: &[],
        names: &["crate::cache"],
        allowed: "service knows the traits of resolver and store; adding a cache layer edits src/app only",
    },
    Arrow {
        within: &["src/caller"],
        except: &[],
        names: &["crate::service", "crate::resolver", "crate::cache"],
        allowed: "caller says who is asking; what they may do is service's",
    },
    Arrow {
        within: &["src/wire", "src/http"],
        except: &[],
        names: &["crate::app", "crate::cli", "crate::cache"],
        allowed: "wire and http translate for service and are composed by src/app",
    },
    Arrow {
        within: &["src/cli"],
        except: &[],
        names: &["crate::wire", "crate::service", "crate::resolver", "crate::cache"],
        allowed: "cli is a client of the API and otherwise asks src/app",
    },
    Arrow {
        within: &["src/bench"],
        except: &[],
        names: &[
            "crate::app",
            "crate::cli",
            "crate::wire",
            "crate::http",
            "crate::caller",
            "crate::service",
            "crate::resolver",
            "crate::cache",
            "crate::store",
        ],
        allowed: "bench is a client of the API: what it measures runs in another process",
    },
    Arrow {
        within: &["src"],
        except: &["src/bench", "src/cli"],
        names: &["crate::bench"],
        allowed: "nothing depends on being measured; src/cli runs it",
    },
    Arrow {
        within: &["src/app"],
        except: &[],
        names: &["crate::cli"],
        allowed: "cli knows app, not the reverse",
    },
];

/// Each line that names what its layer must not know.
pub(crate) fn broken(file: &Source) -> Vec<String> {
    let code = rooted(&code_only(&file.text), depth(&file.path));
    let binding = ARROWS.iter().filter(|arrow| {
        arrow.within.iter().any(|place| is_in(&file.path, place))
            && !arrow.except.iter().any(|place| is_in(&file.path, place))
    });
    let pairs = binding.flat_map(|arrow| arrow.names.iter().map(move |name| (arrow, *name)));
    let found = pairs.flat_map(|(arrow, name)| {
        let is_for_tests = IN_UNIT_TESTS.contains(&name);
        let lines = lines_naming(if is_for_tests { without_tests(&code) } else { &code }, name);
        lines.into_iter().map(move |line| (line, format!("names `{name}`: {}", arrow.allowed)))
    });
    found.map(|(line, what)| format!("{}:{line}: {what}", file.path)).collect()
}

/// Up to the file's `mod tests`, which comes last.
fn without_tests(code: &str) -> &str {
    code.split_once("#[cfg(test)]\nmod tests {").map_or(code, |(before, _)| before)
}

/// How many `super::` lead from this file's module to the crate.
fn depth(path: &str) -> usize {
    let inside = path.rsplit_once("src/").map_or(path, |(_, inside)| inside);
    let module = inside.trim_end_matches(".rs").trim_end_matches("/mod");
    if ["lib", "main"].contains(&module) { 0 } else { module.split('/').count() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn faults(path: &str, text: &str) -> usize {
        broken(&Source { path: path.to_owned(), text: text.to_owned() }).len()
    }

    #[test]
    fn each_arrow_can_break_and_its_exceptions_hold() {
        for arrow in ARROWS {
            for name in arrow.names {
                let name = name.trim_end_matches('*');
                for place in arrow.within {
                    let path = format!("{place}/deep/file.rs");
                    assert!(faults(&path, &format!("use {name}::thing;")) > 0, "{path} {name}");
                    assert_eq!(
                        faults(&path, &format!("// {name}::thing\n let x = \"{name}::thing\";")),
                        0,
                        "{path} {name}"
                    );
                }
                for place in arrow.except {
                    let allowed =
                        broken(&Source { path: format!("{place}.rs"), text: format!("use {name}::thing;") });
                    assert!(!allowed.concat().contains(arrow.allowed), "{place} {name}");
                }
            }
        }
    }

    #[test]
    fn a_crate_is_found_however_it_is_used() {
        for text in [
            "use tonic::Status;",
            "use tonic as t;",
            "extern crate tonic;",
            "fn f() -> ::tonic::Status {}",
            "fn f() -> Result<X, tonic::Status> {}",
            "use tonic_types::{ErrorDetails};",
            "tonic::include_proto!(\"x\");",
        ] {
            assert_eq!(faults("src/service/member.rs", text), 1, "{text}");
        }
        for text in
            ["settings.tonic.url", "architectonic::x()", "crate::settings::tonic::X", "let tonic = 1;"]
        {
            assert_eq!(faults("src/service/member.rs", text), 0, "{text}");
        }
    }

    #[test]
    fn a_layer_is_found_however_it_is_reached() {
        for text in [
            "use crate::service::Service;",
            "use crate::{clock::Clock, service::Service};",
            "use crate::{\n    clock::{Clock, Instant},\n    service,\n};",
            "use super::super::super::service::Service;",
            "fn f() { crate::service::run() }",
        ] {
            assert_eq!(faults("src/store/sql/member.rs", text), 1, "{text}");
        }
        for text in [
            "use crate::{clock::{service, Clock}};",
            "use super::service::X;",
            "use crate::service_names::X;",
        ] {
            assert_eq!(faults("src/store/sql/member.rs", text), 0, "{text}");
        }
        assert_eq!(faults("src/store.rs", "use super::service::Service;"), 1);
        assert_eq!(faults("src/store/mod.rs", "mod tests { use super::super::service::X; }"), 1);
    }

    #[test]
    fn the_database_is_private_to_its_folder() {
        assert_eq!(faults("src/store/sql/mod.rs", "use sea_orm::{Entity};\nuse sqlx::Row;"), 0);
        assert_eq!(faults("src/store/mod.rs", "use sea_orm::{Entity};\nuse sqlx::Row;"), 2);
        assert_eq!(faults("src/service/member.rs", "use crate::store::{Commits, sql::Database};"), 1);
        assert_eq!(faults("src/app.rs", "use crate::store::{Commits, sql::Database};"), 0);
        assert_eq!(faults("migrations/src/lib.rs", "use sea_orm_migration::sea_orm::Schema;"), 0);
    }

    #[test]
    fn unit_tests_may_read_fixtures_and_no_clock() {
        let tests = "#[cfg(test)]\nmod tests {\n    use toml::from_str;\n";
        assert_eq!(faults("engine/src/decide.rs", tests), 0);
        assert_eq!(faults("engine/src/decide.rs", &format!("use toml::from_str;\n{tests}")), 1);
        assert_eq!(faults("engine/src/decide.rs", &format!("{tests} use std::time::Instant;")), 1);
    }

    #[test]
    fn the_line_is_named() {
        let found = broken(&Source {
            path: "engine/src/decide.rs".to_owned(),
            text: "\n\nuse std::{fmt, time::Instant};\n".to_owned(),
        });
        assert!(found.concat().starts_with("engine/src/decide.rs:3: names `std::time`: "), "{found:?}");
    }
}

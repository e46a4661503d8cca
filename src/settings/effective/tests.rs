//! What is promised of the values in effect: they can be read again, say where they come from, and hide secrets.

use std::path::Path;

use super::super::key::{KEYS, find};
use super::super::tests::{VALUES, is_default, of_environment, of_file};
use super::*;

#[test]
fn the_values_in_effect_can_be_read_again_and_say_where_they_come_from() {
    let (secrets, plain): (Vec<_>, Vec<_>) =
        VALUES.into_iter().partition(|(name, _)| find(name).unwrap().secret);
    let variables: Vec<_> = VALUES.iter().map(|(name, value)| (variable(name), *value)).collect();
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), *value)).collect();
    let settings = of_environment(&variables).unwrap();
    let text = settings.effective();
    let again = of_file(&text).unwrap();
    let second = again.effective();
    for (name, value) in plain {
        let (_, field) = name.split_once('.').unwrap();
        let source = format!("# environment variable {}", variable(name));
        let line = text.lines().find(|line| line.ends_with(&source)).unwrap();
        assert!(line.starts_with(&format!("{field} = ")) && line.contains(value), "{line}");
        // The same value, of the file.
        let value = line.split("  # ").next().unwrap();
        assert!(
            second.lines().any(|line| line.starts_with(&format!("{value}  # doorward.toml:"))),
            "{value}"
        );
    }
    for (name, value) in secrets {
        let hidden = format!("= (hidden)  # environment variable {}", variable(name));
        assert!(text.contains(&hidden), "{name}: {text}");
        assert!(!text.contains(&format!("\"{value}\"")), "{name}: {text}");
    }
}

#[test]
fn the_values_in_effect_of_nothing_are_the_defaults() {
    let text = Settings::default().effective();
    assert!(is_default(&of_file(&text).unwrap()), "{text}");
    assert!(text.contains("\nlisten = \"127.0.0.1:50051\"  # default\nworkers = 0  # default\n"), "{text}");
    assert!(text.contains("\n# operator_token is not set\n"), "{text}");
}

#[test]
fn a_path_that_is_no_text_of_a_comment_does_not_break_the_file() {
    let file = Some((Path::new("a\nlisten = \"x\""), "[log]\nlevel = \"warn\"\n"));
    let text = Settings::compose(file, Vec::new(), &[]).unwrap().effective();
    assert_eq!(of_file(&text).unwrap().log.level, "warn");
}

#[test]
fn what_a_running_service_takes_is_told_from_what_needs_a_restart() {
    let before = of_file("[limits]\nreads = 3\n[server]\nworkers = 2\n[log]\nlevel = \"info\"\n").unwrap();
    let after = of_file("[limits]\nreads = 4\nchecks = 4096\n[keys]\nroot = \"/k\"\n").unwrap();
    let changed = before.changed(&after);
    assert_eq!((changed.live, changed.restart), (vec!["limits.reads"], vec!["server.workers", "keys.root"]));
    let same = of_environment(&[("DOORWARD_LIMITS__READS", "3"), ("DOORWARD_SERVER__WORKERS", "2")]).unwrap();
    assert_eq!(before.changed(&same), Changed::default());
    // A default that is written down is no change, whatever kind of number it is.
    let spelt = of_file("[telemetry]\ntrace_ratio = 0.0\n").unwrap();
    assert_eq!(Settings::default().changed(&spelt), Changed::default());
}

/// A limit of another name is said to be taken by a running service: see that it is.
#[test]
fn every_limit_is_one_that_a_running_service_takes() {
    let limits: Vec<_> = KEYS.iter().filter_map(|key| key.name.strip_prefix("limits.")).collect();
    assert_eq!(
        limits,
        [
            "in_flight",
            "checks",
            "reads",
            "writes",
            "streams",
            "loads",
            "check_deadline_ms",
            "admin_deadline_ms",
            "tenant_calls_per_s",
            "tenant_checks_per_s",
            "accepts_per_s"
        ]
    );
}

#[test]
fn the_reference_has_every_setting_with_its_variable() {
    let text = reference();
    for key in KEYS {
        let (_, field) = key.name.split_once('.').unwrap();
        assert!(text.contains(&format!("\n{field}: {}\n    {};", key.allowed, variable(key.name))));
    }
    assert!(text.contains("DOORWARD_LOG__LEVEL; default: \"info\"; SIGHUP takes a new value"), "{text}");
}

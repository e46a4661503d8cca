//! `doorward bench`, end to end: of a service that it starts, and of one that runs.

use serde_json::Value;

use crate::binary::{Said, Server, run};
use crate::harness::TOKEN;
use crate::postgres;
use crate::redis::Redis;

const SMALL: [&str; 10] =
    ["bench", "--tenants", "2", "--resources", "5", "--seconds", "1", "--connections", "2", "--json"];

fn bench(arguments: &[&str], environment: &[(&str, &str)]) -> (Said, Value) {
    let said = run(&[&SMALL, arguments].concat(), environment);
    let report = serde_json::from_str(&said.stdout).unwrap_or(Value::Null);
    (said, report)
}

#[test]
fn a_service_of_its_own_is_filled_and_measured_beside_an_empty_call() {
    let (said, report) = bench(&["--members", "100", "--mode", "single"], &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let outcome = &report["outcomes"][0];
    let (service, floor) = (&outcome["service"], &outcome["floor"]);
    for figures in [service, floor] {
        assert_eq!((&figures["failed"], &figures["unsent"]), (&0.into(), &0.into()), "{report:#}");
        let known = |name: &str| figures[name].as_f64().unwrap_or_else(|| panic!("{name} in {report:#}"));
        assert!(known("cpu_us_per_check") > 0.0 && known("calls_per_s") > 0.0, "{report:#}");
        assert!(known("rss_bytes") > 1e6, "{report:#}");
        assert!(figures["latency"]["p99_us"].as_f64() >= figures["latency"]["p50_us"].as_f64(), "{report:#}");
    }
    assert!(outcome["cpu_of_floor"].as_f64().unwrap() > 1.0, "a check does more than nothing: {report:#}");
    assert_eq!((&report["filled"]["members"], &report["filled"]["tenants"]), (&200.into(), &2.into()));
}

#[test]
fn a_herd_of_a_service_of_its_own_is_answered_by_one_load_for_a_member() {
    let (said, report) = bench(&["--members", "10", "--mode", "herd", "--no-floor"], &[]);
    assert_eq!(said.code, Some(0), "{said:?}");
    let loads = report["outcomes"][0]["loads_per_key"].as_f64().unwrap();
    // One for each of 20 members, and a few of tenants.
    assert!((1.0..=1.2).contains(&loads), "{report:#}");
}

#[test]
fn a_service_that_runs_is_filled_once_and_its_data_are_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("doorward.db").display());
    let serve = ["serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--database-url", &url];
    let server = Server::start(&serve, &[("DOORWARD_AUTH__OPERATOR_TOKEN", TOKEN)]);
    let (address, pid) = (server.address(), server.pid().to_string());
    let arguments = ["--members", "3", "--address", &address, "--pid", &pid, "--no-floor", "--mode", "mixed"];
    for (tenants, rate) in [(2, "--rate=200"), (0, "--writes=0.1")] {
        let (said, report) = bench(&[&arguments[..], &[rate]].concat(), &[("DOORWARD_TOKEN", TOKEN)]);
        assert_eq!(said.code, Some(0), "{said:?}");
        assert_eq!(report["filled"]["tenants"], tenants, "{report:#}");
        let service = &report["outcomes"][0]["service"];
        assert_eq!(service["failed"], 0, "{report:#}");
        assert!(service["cpu_us_per_check"].as_f64().unwrap() > 0.0, "{report:#}");
        assert!(service["writes"]["calls"].as_u64().unwrap() > 0, "{report:#}");
    }
    let (said, _) = bench(&["--address", &address, "--mode", "cold"], &[("DOORWARD_TOKEN", TOKEN)]);
    assert!(said.code == Some(1) && said.stderr.contains("leave --address away"), "{said:?}");
}

#[test]
fn a_wrong_argument_says_what_is_allowed() {
    for (arguments, allowed) in [
        (["--choice", "zip"], "uniform, zipf, or zipf:EXPONENT"),
        (["--granted", "30"], "a number from 0 to 1"),
        (["--rate", "0"], "a number of calls from 1"),
        (["--address", "http://127.0.0.1:1"], "--token"),
        (["--database", "mysql://x"], "postgres://"),
    ] {
        let (said, _) = bench(&arguments, &[]);
        assert!(said.code == Some(1) && said.stderr.contains(allowed), "{arguments:?}: {said:?}");
    }
    let wrong = ["--address", "http://127.0.0.1:1", "--token", "x"];
    let (said, _) = bench(&wrong, &[]);
    assert!(said.stderr.contains("no service answers at 127.0.0.1:1"), "{said:?}");
}

#[test]
fn on_postgres_and_redis_a_first_check_is_answered_by_the_one_or_the_other() {
    let (database, redis) = (postgres::fresh_database(), Redis::start(""));
    let url = redis.url();
    // Of a tenant nothing is asked of Redis until its first load has told which catalogue is in force: few ask at once.
    let few = ["--members", "20", "--in-flight", "1", "--no-floor"];
    let on = [&few[..], &["--database", &database, "--redis", &url, "--mode"]].concat();
    let measured = |mode: &str| {
        let (said, report) = bench(&[&on[..], &[mode]].concat(), &[]);
        assert_eq!(said.code, Some(0), "{said:?}");
        let outcome = &report["outcomes"][0];
        assert_eq!(outcome["service"]["failed"], 0, "{report:#}");
        ["loads_per_key", "far_questions_per_key"].map(|name| outcome[name].as_f64())
    };
    // 40 members are asked about, of two tenants and five resources.
    let [loads, questions] = measured("redis");
    let (loads, questions) = (loads.unwrap(), questions.unwrap());
    assert!(loads < 0.2 && questions <= 1.2 && loads + questions >= 1.0, "{loads} {questions}");
    let [loads, questions] = measured("cold");
    assert!((1.0..=1.5).contains(&loads.unwrap()) && questions.is_none(), "{loads:?} {questions:?}");
    let (said, _) = bench(&["--mode", "redis"], &[]);
    assert!(said.code == Some(1) && said.stderr.contains("--redis"), "{said:?}");
}

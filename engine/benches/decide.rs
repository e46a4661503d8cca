//! How long a decision takes: `cargo bench -p doorward-engine --bench decide`, on a quiet machine. One that allocates fails.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot begin ends")]
#![expect(dead_code, unused_imports, reason = "the tests' worlds hold more than is measured")]

#[path = "../tests/it/compiled.rs"]
mod compiled;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::hint::black_box;

use criterion::Criterion;
use doorward_engine::decide::decide;

use self::compiled::Compiled;
use self::support::scenario;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    decisions(&mut criterion);
    criterion.final_summary();
}

fn decisions(criterion: &mut Criterion) {
    let grants: Vec<_> = (0..50).map(|n| format!("\"agent/agent-{n}\" = true")).collect();
    let file = format!(
        r#"
        title = "a busy tenant"
        now = 2026-03-01T12:00:00Z
        [[tenant]]
        id = "acme"
        switches = ["agentguard"]
        subscription = {{ state = "ACTIVE", period_end = 2026-03-31T00:00:00Z, grace_end = 2026-04-07T00:00:00Z }}
        firewall.country = {{ mode = "ALLOW_LIST", list = ["DE", "FR", "IN", "US"] }}
        member = [
            {{ id = "ada", role = "ADMIN" }},
            {{ id = "ben", sections = {{ agents = true, traces = true }}, grants = {{ {} }} }},
        ]
        resource = [{{ id = "agent/agent-17" }}, {{ id = "agent/agent-60" }}]
        key = [{{ id = "ci", scopes = ["traces", "agent:chat"] }}]
        [checks]
        "a user views a section" = {{ who = "user:u-ben", ask = "view section/traces", answer = "allow SECTION_GRANTED" }}
        "a user chats" = {{ who = "user:u-ben", ask = "chat agent/agent-17", country = "DE", answer = "allow RESOURCE_GRANTED" }}
        "a user without a grant" = {{ who = "user:u-ben", ask = "chat agent/agent-60", answer = "deny NOT_GRANTED, hide" }}
        "an admin chats" = {{ who = "user:u-ada", ask = "chat agent/agent-17", country = "DE", answer = "allow ROLE_ADMIN" }}
        "a key chats" = {{ who = "key:ci", ask = "chat agent/agent-17", country = "DE", answer = "allow KEY_SCOPE" }}
        "a SYSTEM section" = {{ who = "user:u-ben", ask = "view section/support", answer = "allow SYSTEM_SECTION" }}
        "#,
        grants.join(", ")
    );
    let scenario = scenario::parse(&file).unwrap();
    let compiled = Compiled::over(&scenario.world);
    let now = scenario.world.now;
    let mut group = criterion.benchmark_group("decide");
    for check in &scenario.checks {
        let measured = compiled.with(&check.ask, |facts, question| {
            let allocated = allocation_counter::measure(|| {
                black_box(decide(black_box(facts), black_box(question), now));
            });
            assert_eq!(allocated.count_total, 0, "{}", check.name);
            group.bench_function(&check.name, |bencher| {
                bencher.iter(|| decide(black_box(facts), black_box(question), black_box(now)));
            });
        });
        measured.unwrap();
    }
    group.finish();
}

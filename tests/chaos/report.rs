//! What a run says of itself: lines for people, and a page of Markdown.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::arguments::Arguments;
use crate::lab::Tuning;
use crate::latency::Measured;
use crate::load::Plan;
use crate::mutant::Mutant;
use crate::phase::Outcome;
use crate::runs::STALL_MS;
use crate::tally::Tally;
use crate::world::{AGENTS, KEYS, MEMBERS, TENANTS};

/// Prints a phase.
pub(crate) fn print(outcome: &Outcome) {
    let tally = &outcome.tally;
    let lines = numbers(tally).into_iter().map(|(name, value)| format!("  {name}: {value}"));
    println!("{}", lines.collect::<Vec<_>>().join("\n"));
    print_counts("errors", &tally.codes());
    print_counts("faults", &outcome.struck);
    print_counts("replicas counted", &outcome.counted);
    if tally.latencies().count > 0 {
        println!("  mutations after the healing: {}", tally.latencies());
    }
    for failure in tally.failures() {
        println!("  FAILURE {failure}");
    }
}

fn print_counts(name: &str, counts: &BTreeMap<String, u64>) {
    if !counts.is_empty() {
        println!("  {name}: {}", listed(counts));
    }
}

fn listed(counts: &BTreeMap<String, u64>) -> String {
    let counts = counts.iter().map(|(name, count)| format!("{name} {count}"));
    counts.collect::<Vec<_>>().join(", ")
}

/// Prints whether a mutant was found.
pub(crate) fn print_mutant(mutant: &Mutant, found: bool, outcome: &Outcome) {
    let (verdict, tally) = (if found { "found" } else { "NOT FOUND" }, &outcome.tally);
    println!(
        "\nmutant {}: {verdict} after {:.1} s, {} checks, {} mutations ({})",
        mutant.name,
        outcome.lasted.as_secs_f64(),
        tally.checks(),
        tally.mutations.get(),
        mutant.shows
    );
    if let Some((_, first)) = tally.first_stale_allow() {
        println!("  {first}");
    }
    if !found {
        print_counts("errors", &tally.codes());
        print_counts("faults", &outcome.struck);
    }
}

fn numbers(tally: &Tally) -> Vec<(&'static str, String)> {
    let count = |count: u64| count.to_string();
    vec![
        ("mutations acknowledged", count(tally.mutations.get())),
        ("of these replayed", count(tally.replayed.get())),
        ("of these not enforced", count(tally.unenforced.get())),
        ("mutations sent again", count(tally.retries.get())),
        ("checks", count(tally.checks())),
        ("allowed", count(tally.allowed.get())),
        ("denied", count(tally.denied.get())),
        ("unavailable", count(tally.unavailable.get())),
        ("stale allows", count(tally.stale_allows.get())),
        ("stale denials", count(tally.stale_denials.get())),
        ("lost mutations", count(tally.lost.get())),
        ("holes in revisions", count(tally.holes.get())),
        ("self-check mismatches", count(tally.mismatches.get())),
        ("success after healing", tally.success().map_or("-".to_owned(), |rate| format!("{rate:.3} %"))),
    ]
}

/// The page that the soak writes.
pub(crate) fn markdown(arguments: &Arguments, phases: &[Outcome], latencies: &[Measured]) -> String {
    let mut page = String::from("# Chaos: a soak run\n\n");
    let _ = writeln!(
        page,
        "`cargo test {}--features slips --test chaos -- {}`, seed {}.\n",
        if cfg!(debug_assertions) { "" } else { "--release " },
        arguments.line,
        arguments.seed
    );
    page.push_str(&parameters());
    page.push_str(&totals(phases));
    page.push_str(&by_phase(phases));
    page.push_str("\n## Faults\n\n| fault | times |\n|---|---|\n");
    for (kind, times) in sum(phases, |phase| &phase.struck) {
        let _ = writeln!(page, "| {kind} | {times} |");
    }
    page.push_str("\n## How long a revocation takes until it is acknowledged\n\n");
    page.push_str("| hints | p50 | p99 | max | samples |\n|---|---|---|---|---|\n");
    for Measured { name, spread } in latencies {
        let (p50, p99, max) = (spread.p50, spread.p99, spread.max);
        let _ = writeln!(page, "| {name} | {p50:.1?} | {p99:.1?} | {max:.1?} | {} |", spread.count);
    }
    page.push_str("\n## Failures\n\n");
    let failures: Vec<_> = phases.iter().flat_map(|phase| phase.tally.failures()).collect();
    if failures.is_empty() {
        page.push_str("None.\n");
    }
    for failure in failures {
        let _ = writeln!(page, "```\n{failure}\n```");
    }
    page
}

fn parameters() -> String {
    let (tuning, plan) = (Tuning::default(), Plan::default());
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    format!(
        "Three replicas (a {build} build), a Postgres and a Redis on one machine; a proxy in each link from a replica to \
         the database, to its feed and to Redis. Lease {} ms, poll {} ms, suspension after {} ms; one check in 50 that \
         is answered from caches pauses before its last look at the clock, for up to {} ms. \
         {TENANTS} tenants of {MEMBERS} members, {AGENTS} agents and {KEYS} keys; {} writers and {} checkers.\n",
        tuning.lease_ms,
        tuning.poll_ms,
        tuning.suspend_ms,
        STALL_MS,
        plan.writers_per_tenant * TENANTS,
        plan.checkers_per_replica * plan.asked.len(),
    )
}

fn totals(phases: &[Outcome]) -> String {
    let total = |of: fn(&Tally) -> u64| phases.iter().map(|phase| of(&phase.tally)).sum::<u64>();
    let (good, bad) = (total(|t| t.healed_good.get()), total(|t| t.healed_bad.get()));
    let rows = [
        ("mutations acknowledged", total(|t| t.mutations.get())),
        ("mutations sent again after an error", total(|t| t.retries.get())),
        ("mutations acknowledged as replays", total(|t| t.replayed.get())),
        ("mutations acknowledged as not enforced", total(|t| t.unenforced.get())),
        ("checks", total(Tally::checks)),
        ("allowed", total(|t| t.allowed.get())),
        ("denied", total(|t| t.denied.get())),
        ("unavailable", total(|t| t.unavailable.get())),
        ("**stale allows**", total(|t| t.stale_allows.get())),
        ("**stale denials**", total(|t| t.stale_denials.get())),
        ("**lost mutations**", total(|t| t.lost.get())),
        ("**holes in revisions**", total(|t| t.holes.get())),
        ("**self-check mismatches**", total(|t| t.mismatches.get())),
        ("checks from 10 s after the healing on", good + bad),
        ("of these without an answer", bad),
    ];
    let mut text = String::from("\n## In total\n\n| what | number |\n|---|---|\n");
    for (name, number) in rows {
        let _ = writeln!(text, "| {name} | {number} |");
    }
    let served = sum(phases, |phase| &phase.counted);
    if !served.is_empty() {
        let _ = writeln!(text, "\nThe replicas that could be asked counted: {}.", listed(&served));
    }
    text
}

fn by_phase(phases: &[Outcome]) -> String {
    let mut text = String::from(
        "\n## By phase\n\n| phase | mutations | checks | allowed | denied | unavailable | stale | lost | success after \
         healing | faults |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for (number, phase) in phases.iter().enumerate() {
        let tally = &phase.tally;
        let success = tally.success().map_or("-".to_owned(), |rate| format!("{rate:.2} %"));
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {} | {} | {} | {} | {success} | {} |",
            number + 1,
            tally.mutations.get(),
            tally.checks(),
            tally.allowed.get(),
            tally.denied.get(),
            tally.unavailable.get(),
            tally.violations(),
            tally.lost.get(),
            phase.struck.values().sum::<u64>(),
        );
    }
    text
}

fn sum(phases: &[Outcome], of: fn(&Outcome) -> &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut sum = BTreeMap::new();
    for (name, number) in phases.iter().flat_map(of) {
        *sum.entry(name.clone()).or_default() += number;
    }
    sum
}

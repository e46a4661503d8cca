//! What a run says of itself: lines for people while it goes on, and a page of Markdown.

use std::fmt::Write as _;

use crate::arguments::Arguments;
use crate::cores::Cores;
use crate::phase::{Course, Outcome, Phase};
use crate::tally::{OK, OVERLOADED, rate};
use crate::verdict::{self, ms};
use crate::world::World;

const MEGABYTE: u64 = 1024 * 1024;

/// Prints what came of a workload.
pub(crate) fn print(outcome: &Outcome) {
    println!("{}: sweep {}", outcome.workload.name, sweep(outcome));
    for phase in &outcome.phases {
        println!("  {}", cells(outcome, phase).join("  "));
        println!("      {}; cached: {}", phase.flood.told(), phase.cached.told());
    }
    for verdict in verdict::all(outcome) {
        println!("  {}: {}: {}", verdict.judgement.name(), verdict.target, verdict.measured);
    }
}

/// The page.
pub(crate) fn markdown(
    arguments: &Arguments,
    (cores, world, course): (&Cores, World, Course),
    outcomes: &[Outcome],
) -> String {
    let mut page = String::from("# Overload\n\n");
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let _ = writeln!(
        page,
        "`cargo test {}--test overload -- {}`, a {build} build, on {}.\n",
        if cfg!(debug_assertions) { "" } else { "--release " },
        arguments.line,
        cores.told()
    );
    let _ = writeln!(
        page,
        "One server as it is shipped, but for `limits.tenant_calls_per_s = 0`, as the load is one caller's; a Postgres of \
         its own, which has analyzed its tables; {} tenants of {} members and {} agents. The capacity is the goodput of \
         calls that follow each other, with as many outstanding as did best in a sweep, for as long as a flood. Then calls \
         are due at instants fixed in advance, whatever becomes of those before: latencies count from these instants, and \
         an answer is good that comes within a second. Each flood lasts {} s; {:.0} cached checks a second go on all the \
         time. Only what is compared within one run says something.\n",
        world.tenants,
        world.members,
        world.agents,
        course.flood.as_secs(),
        course.cached_rate,
    );
    for outcome in outcomes {
        page.push_str(&section(outcome));
    }
    page
}

fn section(outcome: &Outcome) -> String {
    let mut text = format!("## {}\n\n", outcome.workload.name);
    let _ = writeln!(
        text,
        "Goodput by calls outstanding: {}. Capacity: with {} {:.0} a second; {:.0} when all was over.\n",
        sweep(outcome),
        outcome.best,
        outcome.capacity,
        outcome.capacity_after
    );
    text.push_str("| target | measured | verdict |\n|---|---|---|\n");
    for verdict in verdict::all(outcome) {
        let _ =
            writeln!(text, "| {} | {} | {} |", verdict.target, verdict.measured, verdict.judgement.name());
    }
    let _ = writeln!(text, "\n| {} |\n|{}", HEAD.join(" | "), "---|".repeat(HEAD.len()));
    for phase in &outcome.phases {
        let _ = writeln!(text, "| {} |", cells(outcome, phase).join(" | "));
    }
    text.push('\n');
    text
}

const HEAD: [&str; 9] = [
    "offered",
    "calls/s due",
    "goodput/s",
    "of capacity",
    "refused/s",
    "answers p50, p99",
    "refusals p50, p99",
    "cores: server, Postgres, load",
    "server's memory",
];

fn cells(outcome: &Outcome, phase: &Phase) -> [String; 9] {
    let (flood, usage) = (&phase.flood, &phase.usage);
    let spread = |end| format!("{}, {}", ms(flood.at(end, 500)), ms(flood.at(end, 990)));
    [
        format!("{}×", phase.factor),
        format!("{:.0}", phase.offered),
        format!("{:.0}", flood.goodput()),
        format!("{:.2}", flood.goodput() / outcome.capacity),
        format!("{:.0}", rate(flood.count(OVERLOADED), flood.seconds)),
        spread(OK),
        spread(OVERLOADED),
        format!("{:.2}, {:.2}, {:.2}", usage.server, usage.postgres, usage.load),
        format!("{} MB", usage.memory / MEGABYTE),
    ]
}

fn sweep(outcome: &Outcome) -> String {
    let steps = outcome.sweep.iter().map(|(outstanding, goodput)| format!("{outstanding}: {goodput:.0}"));
    steps.collect::<Vec<_>>().join(", ")
}

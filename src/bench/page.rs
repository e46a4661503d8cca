//! The page of a suite, as Markdown, and its plots beside it. It knows results, and measures nothing.

use std::path::Path;

use super::Error;
use super::figures::Figures;
use super::mode::Outcome;
use super::plot::{self, Bar, Line};
use super::report::{PLAIN, known, machine_told, megabytes, name, paced, verdict};
use super::session::Session;
use super::suite::{Growth, Measure, Results, Verdict};

const METHOD: &str = "\
Each figure is the median of the rounds, and each ratio that of the rounds' own ratios. Floor and service take turns within the same minute, on the same machine, which the \
client shares with them: what counts is the ratio, and only figures of one run compare. The floor is a gRPC call that does \
nothing, in a process of its own: once on the service's layout of threads with its allocator, once as tonic's examples are \
(*plain tonic*: one runtime with several threads, the system's allocator). CPU is what the system says that the server's \
process used, for the process and within the kernel, divided by what was answered. In an open loop calls are due at instants \
fixed in advance, and latency counts from these, whatever became of the calls before. Authentication (a service's credential) \
and metrics are on, and traces are as the settings say (by default there are none); every answer is compared with what the data give.";

/// Writes the page, and its plots beside it.
pub(super) fn write(file: &Path, command: &str, session: &Session, results: &Results) -> Result<(), Error> {
    let stem = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let mut images = Vec::new();
    let mut plotted = |what: &str, svg: Option<String>| -> Result<(), Error> {
        if let Some(svg) = svg {
            let image = format!("{stem}-{what}.svg");
            std::fs::write(file.with_file_name(&image), svg)?;
            images.push((what.to_owned(), image));
        }
        Ok(())
    };
    plotted("cpu", cpu(&results.outcomes))?;
    plotted("latency", latency(&results.outcomes))?;
    plotted("growth", growth(&results.growth))?;
    std::fs::write(file, markdown(command, session, results, &images))?;
    Ok(())
}

fn markdown(command: &str, session: &Session, results: &Results, images: &[(String, String)]) -> String {
    let shape = &session.plan.shape;
    let image = |what: &str| {
        let found = images.iter().find(|(name, _)| name == what);
        found.map_or_else(String::new, |(name, file)| format!("![{name}]({file})\n\n"))
    };
    let mut text = format!(
        "# Performance\n\n`{command}` made this page, with version {}, on {}, {}.\n\nThe data: {} tenants of {} members, 7 \
         sections and {} resources each, {:.0} % granted. {}\n\n{METHOD}\n\n",
        env!("CARGO_PKG_VERSION"),
        machine_told(),
        session.database(),
        shape.tenants,
        shape.members,
        shape.resources,
        shape.granted * 100.0,
        if cfg!(debug_assertions) {
            "**A debug build: the figures say nothing.**"
        } else {
            "A release build."
        },
    );
    text.push_str("## The measures\n\n| measure | target | measured | verdict |\n|---|---|---|---|\n");
    text.extend(results.measures.iter().map(measure));
    text.push_str("\n## The loads\n\n");
    text.push_str(&image("cpu"));
    text.push_str(
        "| load | | calls/s | checks/s | CPU µs a call | a check | p50 µs | p99 µs | p99.9 µs | RSS MB |\n|---|---|---|---|---|---|---|---|---|---|\n",
    );
    for outcome in &results.outcomes {
        let title = format!("{}, {}", name(outcome.mode), paced(outcome));
        text.push_str(&row(&title, "service", &outcome.service));
        text.extend(outcome.floor.as_ref().map(|floor| row("", "empty call", floor)));
        text.extend(outcome.plain_floor.as_ref().map(|floor| row("", PLAIN, floor)));
    }
    text.push('\n');
    text.push_str(&image("latency"));
    if !results.growth.is_empty() {
        text.push_str("## Growth\n\nSingle checks, closed loop.\n\n");
        text.push_str(&image("growth"));
        text.push_str(
            "| tenants | members | CPU µs a check | ÷ the empty call's | p50 µs | p99 µs | RSS MB |\n|---|---|---|---|---|---|---|\n",
        );
        text.extend(results.growth.iter().map(grown));
    }
    text
}

fn measure(measure: &Measure) -> String {
    let emphasis = if measure.verdict == Verdict::Missed { "**" } else { "" };
    let verdict = verdict(measure.verdict);
    let Measure { what, target, measured, .. } = measure;
    format!("| {what} | {target} | {} | {emphasis}{verdict}{emphasis} |\n", measured.replace('|', "\\|"))
}

fn row(title: &str, who: &str, figures: &Figures) -> String {
    let latency = &figures.latency;
    format!(
        "| {title} | {who} | {:.0} | {:.0} | {} | {} | {:.0} | {:.0} | {:.0} | {} |\n",
        figures.calls_per_s,
        figures.checks_per_s,
        known(figures.cpu_us_per_call),
        known(figures.cpu_us_per_check),
        latency.p50_us,
        latency.p99_us,
        latency.p999_us,
        megabytes(figures.rss_bytes),
    )
}

fn grown(growth: &Growth) -> String {
    format!(
        "| {} | {} | {} | {} | {:.0} | {:.0} | {} |\n",
        growth.tenants,
        growth.people,
        known(growth.cpu_us_per_check),
        known(growth.cpu_of_floor),
        growth.p50_us,
        growth.p99_us,
        megabytes(growth.rss_bytes),
    )
}

/// Server CPU of a check in each load, beside an empty call's in the first one.
fn cpu(outcomes: &[Outcome]) -> Option<String> {
    let mut bars = Vec::new();
    let mut add = |name: String, value: Option<f64>| bars.extend(value.map(|value| Bar { name, value }));
    if let Some(first) = outcomes.first() {
        add(
            "plain tonic, empty".to_owned(),
            first.plain_floor.as_ref().and_then(|floor| floor.cpu_us_per_call),
        );
        add("empty".to_owned(), first.floor.as_ref().and_then(|floor| floor.cpu_us_per_call));
    }
    let closed = outcomes.iter().filter(|outcome| outcome.is_closed() && !outcome.is_cold());
    for outcome in closed {
        add(name(outcome.mode), outcome.service.cpu_us_per_check);
    }
    (!bars.is_empty()).then(|| plot::bars("Server CPU of a check, µs", &bars))
}

/// Latencies at the first open loop.
fn latency(outcomes: &[Outcome]) -> Option<String> {
    let open = outcomes.iter().find(|outcome| !outcome.is_closed())?;
    let line = |name: &str, figures: &Figures| {
        let of = figures.latency;
        Line { name: name.to_owned(), values: vec![of.p50_us, of.p90_us, of.p99_us, of.p999_us] }
    };
    let mut lines = vec![line("check", &open.service)];
    lines.extend(open.floor.as_ref().map(|floor| line("empty call", floor)));
    lines.extend(open.plain_floor.as_ref().map(|floor| line(PLAIN, floor)));
    let labels = ["p50", "p90", "p99", "p99.9"].map(str::to_owned);
    Some(plot::lines(&format!("Latency, {}, µs", paced(open)), &labels, &lines))
}

fn growth(growth: &[Growth]) -> Option<String> {
    let labels: Vec<_> = growth.iter().map(|one| format!("{}/{}", one.tenants, one.people)).collect();
    let values = growth.iter().map(|one| one.cpu_us_per_check.unwrap_or_default()).collect();
    let line = Line { name: "check".to_owned(), values };
    let title = "Server CPU of a check, µs, by tenants/members";
    (growth.len() > 1).then(|| plot::lines(title, &labels, &[line]))
}

//! What was measured, for people and as JSON. It knows figures, and measures nothing.

use serde_json::{Value, json};

use super::Error;
use super::figures::{Figures, Quantiles};
use super::fill::Filled;
use super::mode::{Mode, Outcome, Paced};
use super::session::Session;
use super::suite::{Measure, Results, Verdict};

/// How the floor of tonic's examples is named.
pub(super) const PLAIN: &str = "empty call, plain tonic";

/// One object with all that was measured.
pub(super) fn json(session: &Session, results: &Results) -> Result<String, Error> {
    let plan = &session.plan;
    let mut object = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "machine": machine(),
        "data": plan.shape,
        "load": {
            "threads": plan.threads,
            "connections": plan.connections,
            "choice": format!("{:?}", plan.choice).to_lowercase(),
            "seconds": plan.time.as_secs_f64(),
        },
        "filled": session.filled,
        "start_to_ready_ms": session.target.ready_after().map(|time| time.as_secs_f64() * 1e3),
        "outcomes": results.outcomes,
    });
    if let (Some(object), false) = (object.as_object_mut(), results.measures.is_empty()) {
        object.insert("measures".to_owned(), json!(results.measures));
        object.insert("growth".to_owned(), json!(results.growth));
    }
    serde_json::to_string_pretty(&object).map_err(|error| Error(error.to_string()))
}

/// The machine, as far as it matters for figures.
pub(super) fn machine() -> Value {
    json!({ "cores": cores(), "system": std::env::consts::OS, "architecture": std::env::consts::ARCH })
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(0, usize::from)
}

/// The same for people.
pub(super) fn machine_told() -> String {
    format!(
        "{} cores ({}, {}) that client and server share",
        cores(),
        std::env::consts::OS,
        std::env::consts::ARCH
    )
}

/// A verdict, for people.
pub(super) const fn verdict(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "met",
        Verdict::Missed => "missed",
        Verdict::Told => "–",
        Verdict::NotMeasured => "not measured",
    }
}

/// The measures of a suite, for people.
pub(super) fn measures(measures: &[Measure]) -> String {
    let mut rows = vec![["measure", "target", "measured", "verdict"].map(str::to_owned).to_vec()];
    rows.extend(measures.iter().map(|measure| {
        vec![
            measure.what.clone(),
            measure.target.clone(),
            measure.measured.clone(),
            verdict(measure.verdict).to_owned(),
        ]
    }));
    table(&rows)
}

/// Lines for people.
pub(super) fn text(session: &Session, results: &Results) -> String {
    let shape = &session.plan.shape;
    let mut lines = vec![format!(
        "data: {} tenants of {} members and {} resources, {:.0} % granted; client and service share {} cores",
        shape.tenants,
        shape.members,
        shape.resources,
        shape.granted * 100.0,
        cores(),
    )];
    lines.extend(filled(session.filled));
    for outcome in &results.outcomes {
        lines.push(String::new());
        lines.push(format!("{}, {}", name(outcome.mode), paced(outcome)));
        lines.push(table(&rows(outcome)));
        lines.extend(ratios(outcome));
        lines.extend(outcome.notes.iter().map(|note| format!("note: {note}")));
    }
    if let Some(time) = session.target.ready_after() {
        lines.push(format!("\nstart to ready: {:.0} ms", time.as_secs_f64() * 1e3));
    }
    if !results.measures.is_empty() {
        lines.push(format!("\n{}", measures(&results.measures)));
    }
    if session.floors.is_without_plain() {
        lines.push(
            "\nnot measured: the empty call as tonic's examples answer it (several threads on one runtime, the system's \
             allocator). Its program is built by `cargo build --release --example floor`, and given with --plain-floor."
                .to_owned(),
        );
    }
    lines.join("\n")
}

/// What had to be made, if anything had to.
fn filled(filled: Filled) -> Option<String> {
    let Filled { tenants, members, grants, seconds } = filled;
    (tenants > 0).then(|| {
        let rate = filled.grants_per_s();
        format!(
            "filled: {tenants} tenants with {members} members and {grants} grants in {seconds:.1} s: {rate:.0} grants/s"
        )
    })
}

/// A mode's name, as it is typed.
pub(super) fn name(mode: Mode) -> String {
    format!("{mode:?}").to_lowercase()
}

/// How calls were sent, for people.
pub(super) fn paced(outcome: &Outcome) -> String {
    let loads = match outcome.pace {
        Paced::Closed(in_flight) => format!("closed loop, {in_flight} in flight"),
        Paced::Open(rate) => format!("open loop, {rate:.0} calls/s"),
    };
    if outcome.rounds > 1 { format!("{loads}, median of {}", outcome.rounds) } else { loads }
}

fn rows(outcome: &Outcome) -> Vec<Vec<String>> {
    let heads =
        ["", "calls/s", "checks/s", "CPU µs/call", "CPU µs/check", "p50 µs", "p90", "p99", "p99.9", "RSS MB"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    rows.push(row("service", &outcome.service, &outcome.service.latency));
    if let Some(writes) = &outcome.service.writes {
        let figures = Figures { calls_per_s: writes.calls_per_s, ..Figures::default() };
        rows.push(row("of these writes", &figures, &writes.latency));
    }
    rows.extend(outcome.floor.as_ref().map(|floor| row("empty call", floor, &floor.latency)));
    rows.extend(outcome.plain_floor.as_ref().map(|floor| row(PLAIN, floor, &floor.latency)));
    rows
}

fn row(name: &str, figures: &Figures, latency: &Quantiles) -> Vec<String> {
    vec![
        name.to_owned(),
        format!("{:.0}", figures.calls_per_s),
        format!("{:.0}", figures.checks_per_s),
        known(figures.cpu_us_per_call),
        known(figures.cpu_us_per_check),
        format!("{:.0}", latency.p50_us),
        format!("{:.0}", latency.p90_us),
        format!("{:.0}", latency.p99_us),
        format!("{:.0}", latency.p999_us),
        megabytes(figures.rss_bytes),
    ]
}

/// A figure with two decimals, if there is one.
pub(super) fn known(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.2}"))
}

/// Bytes in megabytes, if they are known.
pub(super) fn megabytes(bytes: Option<u64>) -> String {
    bytes.map_or_else(|| "–".to_owned(), |bytes| format!("{:.0}", bytes as f64 / 1e6))
}

fn ratios(outcome: &Outcome) -> Vec<String> {
    let mut lines = Vec::new();
    let mut told = |what: &str, value: Option<f64>| {
        lines.extend(value.map(|value| format!("{what} {value:.2}")));
    };
    told("server CPU of a call ÷ that of an empty call:", outcome.cpu_of_floor);
    told("server CPU of a call ÷ that of an empty call of plain tonic:", outcome.cpu_of_plain_floor);
    told("p99 ÷ that of an empty call:", outcome.p99_of_floor);
    told("loads from the database for a member:", outcome.loads_per_key);
    told("questions to Redis for a member:", outcome.far_questions_per_key);
    lines
}

/// Columns, the first to the left and the others to the right.
fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, at: usize| row.get(at).map_or(0, |text| text.chars().count());
    let widths: Vec<_> =
        (0..columns).map(|at| rows.iter().map(|row| cell(row, at)).max().unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells = row.iter().zip(&widths).enumerate().map(|(at, (text, width))| {
            if at == 0 { format!("{text:<width$}") } else { format!("{text:>width$}") }
        });
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_below_each_other() {
        let rows =
            [["", "µs"], ["service", "1.25"], ["x", "10.00"]].map(|row| row.map(str::to_owned).to_vec());
        assert_eq!(table(&rows), "            µs\nservice   1.25\nx        10.00");
    }
}

//! `--suite readme`: every measure that the project has set itself, one after the other, with its figure beside the target.
//! What could not be measured is told with the reason, and the others go on.

use std::time::Duration;

use serde::Serialize;

use super::call::Calls;
use super::drive::Drive;
use super::figures::Figures;
use super::load::Pace;
use super::mode::{self, Mode, Outcome};
use super::session::Session;
use super::shape::Shape;
use super::{Error, Plan};

/// Calls a second of the open loop.
const RATE: f64 = 2_000.0;
/// Grants a second of an import.
const IMPORT: f64 = 50_000.0;
/// How many changes are made for the latency of a change.
const CHANGES: u64 = 500;
/// How many starts are timed.
const STARTS: usize = 5;
/// Replicas that have to know of a change.
const REPLICAS: usize = 3;
/// Members of a tenant where tenants grow.
const SMALL_TENANT: u64 = 10;

/// What is said of a measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Verdict {
    Met,
    Missed,
    /// There is a figure, and no target for it.
    Told,
    NotMeasured,
}

/// A measure.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Measure {
    pub(super) what: String,
    pub(super) target: String,
    pub(super) measured: String,
    pub(super) verdict: Verdict,
}

/// The cost of a check where there is more and more.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Growth {
    pub(super) tenants: u64,
    pub(super) people: u64,
    pub(super) cpu_us_per_check: Option<f64>,
    pub(super) cpu_of_floor: Option<f64>,
    pub(super) p50_us: f64,
    pub(super) p99_us: f64,
    pub(super) rss_bytes: Option<u64>,
}

/// All that came out.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) measures: Vec<Measure>,
    pub(super) outcomes: Vec<Outcome>,
    pub(super) growth: Vec<Growth>,
}

/// Measures everything. `growth`: how many members, over all tenants, or tenants of few members.
pub(super) fn run(session: &mut Session, growth: &[u64]) -> Results {
    let mut suite = Suite { session, results: Results::default() };
    suite.single();
    suite.open_loop();
    suite.batch();
    suite.stream();
    suite.others();
    suite.cold();
    suite.herd();
    suite.memory();
    suite.change();
    suite.start();
    suite.not_here();
    suite.growth(growth);
    suite.results
}

struct Suite<'a> {
    session: &'a mut Session,
    results: Results,
}

impl Suite<'_> {
    fn tell(&mut self, what: &str, target: &str, measured: Result<(String, Verdict), Error>) {
        let (measured, verdict) = measured.unwrap_or_else(|error| (error.to_string(), Verdict::NotMeasured));
        let (what, target) = (what.to_owned(), target.to_owned());
        self.results.measures.push(Measure { what, target, measured, verdict });
    }

    /// Measures a mode and keeps the outcome.
    fn mode(&mut self, mode: Mode, drive: Drive) -> Result<Outcome, Error> {
        let outcome = mode::at_pace(self.session, mode, drive)?;
        self.results.outcomes.push(outcome.clone());
        if outcome.service.failed > 0 || outcome.service.unsent > 0 {
            return Err(Error(outcome.notes.join("; ")));
        }
        Ok(outcome)
    }

    fn closed(&self) -> Drive {
        Drive { pace: Pace::Closed(self.session.plan.in_flight), ..self.session.drive() }
    }

    fn single(&mut self) {
        let drive = self.closed();
        let outcome = self.mode(Mode::Single, drive);
        let ratio = |of: fn(&Outcome) -> Option<f64>, floor: fn(&Outcome) -> Option<&Figures>, most: f64| {
            let outcome = outcome.as_ref().map_err(|error| Error(error.to_string()))?;
            let value = of(outcome).ok_or_else(|| Error("the floor's program is not there".to_owned()))?;
            let costs =
                (outcome.service.cpu_us_per_call, floor(outcome).and_then(|floor| floor.cpu_us_per_call));
            let costs = (costs.0.unwrap_or_default(), costs.1.unwrap_or_default());
            Ok((format!("{value:.2} ({:.2} µs, {:.2} µs)", costs.0, costs.1), at_most(value, most)))
        };
        let same = ratio(|outcome| outcome.cpu_of_floor, |outcome| outcome.floor.as_ref(), 1.15);
        let plain = ratio(|outcome| outcome.cpu_of_plain_floor, |outcome| outcome.plain_floor.as_ref(), 0.6);
        self.tell("single check: server CPU ÷ the empty call's, same layout", "≤ 1.15", same);
        self.tell("single check: server CPU ÷ the empty call's of plain tonic", "≤ 0.6", plain);
    }

    fn open_loop(&mut self) {
        let drive = Drive { pace: Pace::Open(RATE), ..self.closed() };
        let measured = self.mode(Mode::Single, drive).and_then(|outcome| {
            let value = outcome.p99_of_floor.ok_or_else(|| Error("no floor was measured".to_owned()))?;
            let floor = outcome.floor.map(|floor| floor.latency.p99_us).unwrap_or_default();
            let told = format!("{value:.2} ({:.0} µs, {floor:.0} µs)", outcome.service.latency.p99_us);
            Ok((told, at_most(value, 1.2)))
        });
        self.tell("p99 at 2,000 calls/s ÷ the empty call's", "≤ 1.2", measured);
    }

    fn batch(&mut self) {
        // Of calls that take a hundred times as long a few are enough.
        let drive = Drive { pace: Pace::Closed(2), ..self.closed() };
        let measured = self.mode(Mode::Batch, drive).and_then(|outcome| per_check(&outcome, 0.4));
        self.tell(&format!("batch of {}: server CPU a check", self.session.plan.batch), "≤ 0.4 µs", measured);
    }

    fn stream(&mut self) {
        let drive = self.closed();
        let measured = self.mode(Mode::Stream, drive).and_then(|outcome| per_check(&outcome, 0.7));
        self.tell("stream: server CPU a check", "≤ 0.7 µs", measured);
    }

    fn others(&mut self) {
        let drive = self.closed();
        let list = self.mode(Mode::List, Drive { pace: Pace::Closed(2), ..drive }).and_then(|outcome| {
            let cpu = known(outcome.service.cpu_us_per_call)?;
            Ok((format!("{cpu:.1} µs, p50 {:.0} µs", outcome.service.latency.p50_us), Verdict::Told))
        });
        self.tell("list of what a member has access to: server CPU", "–", list);
        let mixed = self.mode(Mode::Mixed, Drive { pace: Pace::Open(RATE), ..drive }).and_then(|outcome| {
            let cpu = known(outcome.service.cpu_us_per_check)?;
            Ok((format!("{cpu:.1} µs, p99 {:.0} µs", outcome.service.latency.p99_us), Verdict::Told))
        });
        let part = self.session.plan.writes * 100.0;
        self.tell(&format!("2,000 calls/s, {part} % of them writes: server CPU a check"), "–", mixed);
    }

    fn cold(&mut self) {
        let drive = Drive { pace: Pace::Closed(4), ..self.closed() };
        let measured = self.mode(Mode::Cold, drive).and_then(|outcome| {
            let loads = outcome.loads_per_key.unwrap_or_default();
            // A few more are of tenants.
            Ok((format!("{}, {loads:.2} statements", first_check(&outcome)?), at_most(loads, 1.05)))
        });
        self.tell("first check of a member, from the database: server CPU", "one statement", measured);
        let measured = self.mode(Mode::Redis, drive).and_then(|outcome| {
            let (loads, asked) = (outcome.loads_per_key, outcome.far_questions_per_key);
            let (loads, asked) = (loads.unwrap_or_default(), asked.unwrap_or_default());
            let told = format!("{}, {asked:.2} round trips, {loads:.2} statements", first_check(&outcome)?);
            Ok((told, at_most(asked.max(1.0 + loads), 1.05)))
        });
        self.tell("first check of a member, from Redis: server CPU", "one round trip", measured);
    }

    fn herd(&mut self) {
        let drive = self.closed();
        let measured = self.mode(Mode::Herd, drive).and_then(|outcome| {
            let loads = outcome.loads_per_key;
            let loads = loads.ok_or_else(|| Error("the service does not count its loads".to_owned()))?;
            // A few more are of tenants, and of checks that the service makes of itself.
            Ok((format!("{loads:.2}"), at_most(loads, 1.05)))
        });
        self.tell("a herd asks about a cold member: loads", "1", measured);
    }

    /// What a member takes in memory: between a service that has answered a few, and one that has answered all.
    fn memory(&mut self) {
        let measured = self.all_in_memory();
        self.tell(
            "growth of the process for each cached member, its grants among it",
            "≤ 300 bytes beyond its grants",
            measured,
        );
    }

    fn all_in_memory(&mut self) -> Result<(String, Verdict), Error> {
        let shape = self.session.plan.shape;
        self.session.target.restart(1)?;
        let drive = Drive { pace: Pace::Closed(4), ..self.closed() }.once();
        let first = Calls::everybody(&shape, shape.people() / 10);
        let rss = |figures: Figures| figures.rss_bytes.ok_or_else(|| Error("no memory is told".to_owned()));
        let before = rss(self.session.ask(&first, drive)?)?;
        let after = rss(self.session.ask(&Calls::everybody(&shape, u64::MAX), drive)?)?;
        let members = (shape.people() - shape.people() / 10).max(1);
        let each = after.saturating_sub(before) as f64 / members as f64;
        let grants = shape.resources as f64 * shape.granted;
        let told = format!(
            "{each:.0} bytes with {grants:.0} grants; {:.0} MB with {} members cached",
            after as f64 / 1e6,
            shape.people()
        );
        Ok((told, if each <= 300.0 { Verdict::Met } else { Verdict::Told }))
    }

    fn change(&mut self) {
        let one = self.changes(1).map(|p50| (format!("p50 {p50:.2} ms"), Verdict::Told));
        self.tell("a change of one grant, acknowledged, one process", "–", one);
        let three = if self.session.is_on_postgres() {
            self.changes(REPLICAS).map(|p50| (format!("p50 {p50:.2} ms"), at_most(p50, 5.0)))
        } else {
            Err(Error("needs --database postgres://…".to_owned()))
        };
        self.tell("a change of one grant, acknowledged by 3 replicas", "p50 ≤ 5 ms", three);
    }

    /// Changes that follow each other, one at a time; the median in milliseconds.
    fn changes(&mut self, replicas: usize) -> Result<f64, Error> {
        self.session.target.restart(replicas)?;
        let plan = &self.session.plan;
        let calls = Calls::writes(&plan.shape, plan.choice, CHANGES);
        let drive = Drive { pace: Pace::Closed(1), connections: 1, ..self.closed() }.once();
        let figures = self.session.ask(&calls, drive)?;
        if figures.failed > 0 {
            return Err(Error(format!("{} changes failed: {:?}", figures.failed, figures.errors)));
        }
        Ok(figures.latency.p50_us / 1e3)
    }

    fn start(&mut self) {
        let measured = self.starts();
        self.tell("start to ready, on SQLite, with these data", "≤ 300 ms", measured);
    }

    fn starts(&mut self) -> Result<(String, Verdict), Error> {
        if self.session.is_on_postgres() {
            return Err(Error("runs on Postgres".to_owned()));
        }
        let mut times = Vec::new();
        for _ in 0..STARTS {
            self.session.target.restart(1)?;
            times.extend(self.session.target.ready_after());
        }
        let median = super::figures::median(times.iter().map(Duration::as_secs_f64)) * 1e3;
        Ok((format!("{median:.0} ms"), at_most(median, 300.0)))
    }

    /// What this program cannot measure, and where it is.
    fn not_here(&mut self) {
        let decision = Error("`cargo bench -p doorward-engine --bench decide` measures it".to_owned());
        self.tell("the decision alone", "≤ 100 ns", Err(decision));
        let filled = self.session.filled;
        let rate = filled.grants_per_s();
        let told = format!("{rate:.0} grants/s on {}, members with their grants", self.session.database());
        let import = match filled.grants {
            0 => Err(Error("the data were there already".to_owned())),
            _ => Ok((told, if rate >= IMPORT { Verdict::Met } else { Verdict::Missed })),
        };
        self.tell("import", "≥ 50,000 grants/s", import);
    }

    fn growth(&mut self, sizes: &[u64]) {
        for size in sizes {
            let shape = self.session.plan.shape;
            let wider = Shape { members: (size / shape.tenants).max(1), ..shape };
            let more = Shape { tenants: (size / SMALL_TENANT).max(1), members: SMALL_TENANT, ..shape };
            for shape in [wider, more] {
                match grown(&self.session.plan, shape) {
                    Ok(growth) => self.results.growth.push(growth),
                    Err(error) => self.tell(&format!("growth to {size} members"), "flat", Err(error)),
                }
            }
        }
        let costs: Vec<f64> = self.results.growth.iter().filter_map(|growth| growth.cpu_of_floor).collect();
        let (least, most) =
            costs.iter().fold((f64::MAX, 0.0_f64), |(least, most), cost| (least.min(*cost), most.max(*cost)));
        if costs.len() > 1 {
            let told = format!("{least:.2} to {most:.2} × the empty call's");
            let verdict = at_most(most / least, 1.15);
            self.tell("server CPU of a check where data grow", "flat: within 15 %", Ok((told, verdict)));
        }
    }
}

/// A service of its own with other data, for a single check.
fn grown(plan: &Plan, shape: Shape) -> Result<Growth, Error> {
    let plan = Plan { shape, ..plan.clone() };
    let mut session = Session::start(&plan)?;
    let outcome = mode::run(&mut session, Mode::Single)?;
    let service = outcome.service;
    Ok(Growth {
        tenants: shape.tenants,
        people: shape.people(),
        cpu_us_per_check: service.cpu_us_per_check,
        cpu_of_floor: outcome.cpu_of_floor,
        p50_us: service.latency.p50_us,
        p99_us: service.latency.p99_us,
        rss_bytes: service.rss_bytes,
    })
}

fn first_check(outcome: &Outcome) -> Result<String, Error> {
    let cpu = known(outcome.service.cpu_us_per_check)?;
    Ok(format!("{cpu:.0} µs, p50 {:.0} µs", outcome.service.latency.p50_us))
}

fn per_check(outcome: &Outcome, most: f64) -> Result<(String, Verdict), Error> {
    let cpu = known(outcome.service.cpu_us_per_check)?;
    Ok((format!("{cpu:.2} µs"), at_most(cpu, most)))
}

fn known(value: Option<f64>) -> Result<f64, Error> {
    value.ok_or_else(|| Error("the server's process is not known".to_owned()))
}

fn at_most(value: f64, most: f64) -> Verdict {
    if value <= most { Verdict::Met } else { Verdict::Missed }
}

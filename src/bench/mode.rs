//! The modes: what is asked in each, how the service is prepared for it, and what comes out. Floor and service take turns, so
//! that both meet the machine as it is in the same minute.

use serde::Serialize;

use super::Error;
use super::call::Calls;
use super::drive::Drive;
use super::figures::{Figures, median};
use super::load::Pace;
use super::session::Session;

/// The most members that are asked about in a cold round.
const COLD_MAX: u64 = 1_000_000;
/// How many members a herd asks about, one after the other.
const HERD_KEYS: u64 = 200;
/// The metrics that count loads from the database, and questions to Redis.
const LOADS: &str = "doorward_loads_total";
const FAR_QUESTIONS: &str = "doorward_far_questions_total";

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// One question a call, of members whose facts are in memory.
    Single,
    /// Many questions a call.
    Batch,
    /// Questions on streams that stay open, one for each connection.
    Stream,
    /// Single questions, with writes among them.
    Mixed,
    /// What a member has access to, as a list.
    List,
    /// Who has access to a resource: a page of members.
    Holders,
    /// A page of the matrix of members and resources.
    Matrix,
    /// The first question about each member, of a service without Redis.
    Cold,
    /// The same of one that has just started, and that finds the facts in Redis.
    Redis,
    /// Many ask about one member at once, who is in nobody's memory; without Redis.
    Herd,
}

/// What came out of a mode.
#[derive(Clone, Debug, Serialize)]
pub(super) struct Outcome {
    pub(super) mode: Mode,
    pub(super) pace: Paced,
    /// The median of the rounds.
    pub(super) service: Figures,
    /// Of the empty call on the service's own layout of threads, between the same rounds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) floor: Option<Figures>,
    /// Of the empty call as tonic's examples answer it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) plain_floor: Option<Figures>,
    /// Server CPU of a call beside that of an empty one; the median of the rounds' own.
    pub(super) cpu_of_floor: Option<f64>,
    pub(super) cpu_of_plain_floor: Option<f64>,
    /// The 99th percentile of latency beside that of an empty call; the median of the rounds' own.
    pub(super) p99_of_floor: Option<f64>,
    /// Loads from the database for each member that was asked about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) loads_per_key: Option<f64>,
    /// Questions to Redis for each of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) far_questions_per_key: Option<f64>,
    pub(super) rounds: usize,
    /// What has to be known beside the figures.
    pub(super) notes: Vec<String>,
}

/// How calls were sent.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Paced {
    /// So many outstanding, each followed by another.
    Closed(usize),
    /// So many a second.
    Open(f64),
}

impl Mode {
    const fn is_cold(self) -> bool {
        matches!(self, Self::Cold | Self::Redis | Self::Herd)
    }
}

impl Outcome {
    /// Whether calls followed each other.
    pub(super) fn is_closed(&self) -> bool {
        matches!(self.pace, Paced::Closed(_))
    }

    /// Whether the service began without facts in memory.
    pub(super) fn is_cold(&self) -> bool {
        self.mode.is_cold()
    }
}

impl Paced {
    pub(super) fn of(drive: Drive) -> Self {
        match drive.pace {
            Pace::Closed(in_flight) => Self::Closed(in_flight * drive.connections),
            Pace::Open(rate) => Self::Open(rate),
        }
    }
}

/// Figures of one round.
struct Round {
    floor: Option<Figures>,
    plain: Option<Figures>,
    service: Figures,
    per_key: PerKey,
}

/// What the service asked of others for each member.
#[derive(Clone, Copy, Default)]
struct PerKey {
    loads: Option<f64>,
    far_questions: Option<f64>,
}

/// Measures a mode as the plan says.
pub(super) fn run(session: &mut Session, mode: Mode) -> Result<Outcome, Error> {
    let drive = session.drive();
    at_pace(session, mode, drive)
}

/// Measures a mode at another pace.
pub(super) fn at_pace(session: &mut Session, mode: Mode, drive: Drive) -> Result<Outcome, Error> {
    if mode == Mode::Redis && !session.has_redis() {
        return Err(Error("needs --redis redis://…".to_owned()));
    }
    let calls = calls(session, mode);
    if !mode.is_cold() {
        session.warm(&calls)?;
    }
    let asking = Drive { is_streaming: mode == Mode::Stream, ..drive };
    if mode == Mode::Stream {
        is_offered(session, asking)?;
    }
    let mut rounds = Vec::new();
    for _ in 0..session.plan.rounds.max(1) {
        let (floor, plain) = (session.floors.same(drive)?, session.floors.plain(drive)?);
        let (service, per_key) = if mode.is_cold() {
            from_cold(session, mode, &calls, drive)?
        } else {
            (session.ask(&calls, asking)?, PerKey::default())
        };
        if mode == Mode::Mixed {
            let pace = Pace::Closed(session.plan.in_flight);
            session.ask(&calls.turned_back(), Drive { pace, ..drive }.once())?;
        }
        rounds.push(Round { floor, plain, service, per_key });
    }
    Ok(outcome(mode, drive, &rounds))
}

/// Asks one question on a stream.
fn is_offered(session: &Session, drive: Drive) -> Result<(), Error> {
    let one = Drive { connections: 1, pace: Pace::Closed(1), ..drive };
    let tried = session.ask(&Calls::everybody(&session.plan.shape, 1), one.once())?;
    match tried.errors.keys().next() {
        None => Ok(()),
        Some(error) => Err(Error(format!("the service answers no questions on a stream: {error}"))),
    }
}

fn calls(session: &Session, mode: Mode) -> Calls {
    let (plan, shape) = (&session.plan, &session.plan.shape);
    match mode {
        Mode::Single | Mode::Stream => Calls::single(shape, plan.choice),
        Mode::Batch => Calls::batches(shape, plan.choice, plan.batch),
        Mode::Mixed => Calls::mixed(shape, plan.choice, plan.writes),
        Mode::List => Calls::lists(shape, plan.choice),
        Mode::Holders => Calls::holders(shape, plan.choice),
        Mode::Matrix => Calls::matrices(shape, plan.choice),
        Mode::Cold | Mode::Redis => Calls::everybody(shape, COLD_MAX),
        Mode::Herd => Calls::herd(shape, HERD_KEYS, plan.connections * plan.in_flight),
    }
}

/// After a start, each call once; and how often the database and Redis were asked for a member.
fn from_cold(
    session: &mut Session,
    mode: Mode,
    calls: &Calls,
    drive: Drive,
) -> Result<(Figures, PerKey), Error> {
    if !session.target.is_own() {
        return Err(Error(
            "cold, redis and herd need a service without facts in memory: leave --address away, and one is started anew \
             for each round"
                .to_owned(),
        ));
    }
    if mode == Mode::Redis {
        // Another process leaves the facts there: the one that is measured begins without any.
        session.target.restart(1)?;
        session.ask(&calls.once(), drive.once())?;
        session.target.restart(1)?;
    } else {
        session.target.restart_without_redis()?;
    }
    let counted = |session: &Session| [LOADS, FAR_QUESTIONS].map(|name| session.target.counted(name));
    let before = counted(session);
    let figures = session.ask(&calls.once(), drive.once())?;
    let after = counted(session);
    let members = calls.members().max(1) as f64;
    let each = |before: Option<f64>, after: Option<f64>| Some((after? - before?) / members);
    let ([loads, far], [loads_after, far_after]) = (before, after);
    let far_questions = (mode == Mode::Redis).then(|| each(far, far_after)).flatten();
    Ok((figures, PerKey { loads: each(loads, loads_after), far_questions }))
}

fn outcome(mode: Mode, drive: Drive, rounds: &[Round]) -> Outcome {
    let medians = |of: fn(&Round) -> Option<&Figures>| {
        let all: Vec<_> = rounds.iter().filter_map(of).cloned().collect();
        (!all.is_empty()).then(|| Figures::median(&all))
    };
    let ratio = |of: fn(&Round) -> Option<f64>| {
        let all: Vec<_> = rounds.iter().filter_map(of).collect();
        (!all.is_empty()).then(|| median(all.into_iter()))
    };
    let service = medians(|round| Some(&round.service)).unwrap_or_default();
    Outcome {
        mode,
        pace: Paced::of(drive),
        notes: notes(&service),
        service,
        floor: medians(|round| round.floor.as_ref()),
        plain_floor: medians(|round| round.plain.as_ref()),
        cpu_of_floor: ratio(|round| {
            Some(round.service.cpu_us_per_call? / round.floor.as_ref()?.cpu_us_per_call?)
        }),
        cpu_of_plain_floor: ratio(|round| {
            Some(round.service.cpu_us_per_call? / round.plain.as_ref()?.cpu_us_per_call?)
        }),
        p99_of_floor: ratio(|round| {
            Some(round.service.latency.p99_us / round.floor.as_ref()?.latency.p99_us)
        }),
        loads_per_key: ratio(|round| round.per_key.loads),
        far_questions_per_key: ratio(|round| round.per_key.far_questions),
        rounds: rounds.len(),
    }
}

fn notes(service: &Figures) -> Vec<String> {
    let mut notes = Vec::new();
    if service.failed > 0 {
        let all: Vec<_> = service.errors.iter().map(|(error, count)| format!("{count} × {error}")).collect();
        notes.push(format!("{} calls failed: {}", service.failed, all.join("; ")));
    }
    if service.unsent > 0 {
        notes.push(format!("{} calls were due and not sent: too many were outstanding", service.unsent));
    }
    if service.cpu_us_per_check.is_none() && service.calls > 0 {
        notes.push(
            "the server's process is not known, so neither is its CPU: give --pid where it runs here"
                .to_owned(),
        );
    }
    notes
}

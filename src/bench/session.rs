//! A run's service, its data and its floors, once they are there.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::ExposeSecret;

use super::call::Calls;
use super::child::Listening;
use super::connection::Tokens;
use super::drive::Drive;
use super::figures::Figures;
use super::fill::{self, Filled};
use super::load::Pace;
use super::target::Target;
use super::{Error, Plan, Whom};

/// The most of a round that is not counted.
const WARMUP_MAX: Duration = Duration::from_millis(500);
/// How the program of the plain floor is called, beside this one.
const PLAIN: &str = "examples/floor";

/// Everything a measurement needs.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) plan: Plan,
    pub(super) target: Target,
    pub(super) filled: Filled,
    pub(super) floors: Floors,
}

/// The floors that could be had.
#[derive(Debug, Default)]
pub(super) struct Floors {
    /// On the service's own layout of threads, and with its allocator.
    same: Option<Listening>,
    /// As tonic's examples are.
    plain: Option<Listening>,
}

impl Session {
    /// Finds or starts the service, and fills it.
    pub(super) fn start(plan: &Plan) -> Result<Self, Error> {
        let floors = Floors::start(plan)?;
        let target = Target::start(&plan.whom)?;
        let filled = fill::fill(target.grpc, target.token(), &plan.shape)?;
        Ok(Self { plan: plan.clone(), target, filled, floors })
    }

    /// Whether the service was started on Postgres.
    pub(super) fn is_on_postgres(&self) -> bool {
        match &self.plan.whom {
            Whom::Own { database: Some(url), .. } => !url.expose_secret().starts_with("sqlite:"),
            _ => false,
        }
    }

    /// Whether the service was started with Redis.
    pub(super) fn has_redis(&self) -> bool {
        matches!(&self.plan.whom, Whom::Own { redis: Some(_), .. })
    }

    /// What the service stands on, for people.
    pub(super) fn database(&self) -> &'static str {
        match &self.plan.whom {
            Whom::Running { .. } => "the database of a service that ran",
            Whom::Own { redis: Some(_), .. } if self.is_on_postgres() => "Postgres and Redis",
            Whom::Own { .. } if self.is_on_postgres() => "Postgres without Redis",
            Whom::Own { .. } => "SQLite",
        }
    }

    /// How the plan says that calls are sent.
    pub(super) fn drive(&self) -> Drive {
        let plan = &self.plan;
        let pace = plan.rate.map_or(Pace::Closed(plan.in_flight), Pace::Open);
        let (threads, connections, time) = (plan.threads, plan.connections, plan.time);
        let warmup = WARMUP_MAX.min(time / 4);
        Drive { threads, connections, pace, warmup, time, is_streaming: false }
    }

    /// Asks the service.
    pub(super) fn ask(&self, calls: &Calls, drive: Drive) -> Result<Figures, Error> {
        drive.run((self.target.grpc, &self.target.tokens), calls, || self.target.usage())
    }

    /// Asks each of the calls once, so that the service has what it needs in memory.
    pub(super) fn warm(&self, calls: &Calls) -> Result<(), Error> {
        let pace = Pace::Closed(self.plan.in_flight);
        self.ask(&calls.once(), Drive { pace, ..self.drive() }.once()).map(drop)
    }
}

impl Floors {
    fn start(plan: &Plan) -> Result<Self, Error> {
        if plan.without_floor {
            return Ok(Self::default());
        }
        let this = std::env::current_exe()?;
        let beside = this.parent().map(|folder| folder.join(PLAIN)).filter(|program| program.is_file());
        let same = Some(Listening::start(&this, &["bench", "floor"], &[])?);
        let start = |program: PathBuf| Listening::start(&program, &[], &[]);
        let plain = plan.plain_floor.clone().or(beside).map(start).transpose()?;
        Ok(Self { same, plain })
    }

    /// The empty call on the service's own layout; none: it is not measured.
    pub(super) fn same(&self, drive: Drive) -> Result<Option<Figures>, Error> {
        self.same.as_ref().map(|floor| ask(floor, drive)).transpose()
    }

    /// Whether the program of the plain floor is not there.
    pub(super) fn is_without_plain(&self) -> bool {
        self.same.is_some() && self.plain.is_none()
    }

    /// The empty call as tonic's examples answer it; none: its program is not there.
    pub(super) fn plain(&self, drive: Drive) -> Result<Option<Figures>, Error> {
        self.plain.as_ref().map(|floor| ask(floor, drive)).transpose()
    }
}

fn ask(floor: &Listening, drive: Drive) -> Result<Figures, Error> {
    drive.run((floor.grpc, &Tokens::default()), &Calls::floor(), || floor.usage())
}

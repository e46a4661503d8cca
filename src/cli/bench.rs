//! `bench`: how fast a service is. It understands arguments; what is measured is in `bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use secrecy::SecretString;

use super::{Exit, Failure, output, serve};
use crate::bench::{self, Choice, Layout, Plan, Shape, Wanted, Whom};

/// Arguments of `bench`.
#[derive(Args, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub(super) struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    whom: WhomArguments,
    #[command(flatten)]
    data: DataArguments,
    #[command(flatten)]
    load: LoadArguments,
    /// What is asked.
    #[arg(long, value_enum, default_value_t, conflicts_with = "suite")]
    mode: Mode,
    #[command(flatten)]
    suite: SuiteArguments,
    /// One JSON object instead of text.
    #[arg(long)]
    json: bool,
}

/// What the benchmark starts of itself, as processes of their own.
#[derive(Debug, Subcommand)]
enum Command {
    /// The empty call.
    #[command(hide = true)]
    Floor,
    /// The service; it ends with the process that started it.
    #[command(hide = true)]
    Server(serve::Arguments),
}

/// Which service. Without an address one is started: a process of its own, with the settings of the environment.
#[derive(Args, Debug)]
struct WhomArguments {
    /// A service that runs: http://HOST:PORT. Its data are made there, and left there for the next run.
    #[arg(long, value_name = "URL", requires = "token")]
    address: Option<String>,
    /// The operator's token there. In the environment it cannot be seen by others on this machine.
    #[arg(allow_hyphen_values = true, long, env = "DOORWARD_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
    /// The number of that service's process, where it runs on this machine: for its CPU and memory.
    #[arg(long, value_name = "NUMBER", requires = "address")]
    pid: Option<u32>,
    /// The database of the service that is started, of the benchmark's own: postgres://… or sqlite:///path. Data of the
    /// same shape are found there by the next run. Default: a SQLite file that is gone at the end.
    #[arg(long, value_name = "URL", conflicts_with = "address")]
    database: Option<SecretString>,
    /// The Redis of the service that is started.
    #[arg(long, value_name = "URL", conflicts_with = "address")]
    redis: Option<SecretString>,
}

/// The data.
#[derive(Args, Debug)]
struct DataArguments {
    /// Tenants.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    tenants: u64,
    /// Members of each tenant.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(1..=10_000_000))]
    members: u64,
    /// Resources of each tenant.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    resources: u64,
    /// The part of the resources that a member is granted, from 0 to 1.
    #[arg(long, default_value_t = 0.3, value_parser = part)]
    granted: f64,
    /// Another seed makes other data and asks other questions.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Whom is asked about: `uniform`, `zipf` (0.99) or `zipf:EXPONENT`.
    #[arg(long, default_value = "uniform", value_parser = choice, value_name = "HOW")]
    choice: Choice,
}

/// The load.
#[derive(Args, Debug)]
struct LoadArguments {
    /// How long each load takes, in seconds.
    #[arg(long, default_value_t = 5.0, value_parser = seconds)]
    seconds: f64,
    /// How often floor and service take turns; what is told is the median. Default: 1, and 3 for a suite.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=99))]
    rounds: Option<u32>,
    /// Calls in a second, due at instants fixed in advance (an open loop; latencies count from these instants). Without it
    /// calls follow each other (a closed loop).
    #[arg(long, value_parser = rate, value_name = "CALLS")]
    rate: Option<f64>,
    /// Connections.
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    connections: u32,
    /// In a closed loop: calls outstanding on each connection.
    #[arg(long, default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=256))]
    in_flight: u32,
    /// Threads that ask. 0: one for every two cores.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=256))]
    threads: u32,
    /// Questions of a batch.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    batch: u32,
    /// With `--mode mixed`: writes, as a part of all calls.
    #[arg(long, default_value_t = 0.01, value_parser = part)]
    writes: f64,
    /// A program that answers the empty call as tonic's examples do, with the system's allocator: `cargo build --release
    /// --example floor` makes it. Default: `examples/floor` beside this program, where that is.
    #[arg(long, value_name = "FILE")]
    plain_floor: Option<PathBuf>,
    /// Does not measure what an empty call costs.
    #[arg(long, conflicts_with = "plain_floor")]
    no_floor: bool,
}

/// Several loads, one after the other.
#[derive(Args, Debug)]
struct SuiteArguments {
    /// `readme`: every measure that the project has set itself, with its figure beside the target.
    #[arg(long, value_enum)]
    suite: Option<Suite>,
    /// Where the suite's page goes, as Markdown; its plots go beside it.
    #[arg(long, value_name = "FILE", requires = "suite")]
    report: Option<PathBuf>,
    /// The sizes of data that the suite measures a single check with besides: members over all tenants.
    #[arg(
        long,
        value_delimiter = ',',
        default_value = "1000,10000",
        requires = "suite",
        value_name = "MEMBERS,…"
    )]
    growth: Vec<u64>,
}

/// Several loads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Suite {
    /// Every measure that the project has set itself.
    Readme,
}

/// What is asked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
enum Mode {
    /// One question a call, about members whose facts are in memory.
    #[default]
    Single,
    /// Many questions a call.
    Batch,
    /// Questions on streams that stay open.
    Stream,
    /// Single questions, with writes among them.
    Mixed,
    /// What a member has access to, as a list.
    List,
    /// Who has access to a resource: a page of members.
    Holders,
    /// A page of the matrix of members and resources.
    Matrix,
    /// The first question about each member, after a start without Redis.
    Cold,
    /// The same with facts that another process left in Redis.
    Redis,
    /// Many ask about one member at once, after a start.
    Herd,
    /// Nothing: the data are made where they are not there yet, and the rate is told.
    Fill,
}

impl From<Mode> for Wanted {
    fn from(mode: Mode) -> Self {
        Self::Mode(match mode {
            Mode::Fill => return Self::Data,
            Mode::Single => bench::Mode::Single,
            Mode::Batch => bench::Mode::Batch,
            Mode::Stream => bench::Mode::Stream,
            Mode::Mixed => bench::Mode::Mixed,
            Mode::List => bench::Mode::List,
            Mode::Holders => bench::Mode::Holders,
            Mode::Matrix => bench::Mode::Matrix,
            Mode::Cold => bench::Mode::Cold,
            Mode::Redis => bench::Mode::Redis,
            Mode::Herd => bench::Mode::Herd,
        })
    }
}

/// Measures, and prints what came out.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    match &arguments.command {
        Some(Command::Floor) => {
            bench::end_with_parent();
            let listening = |address| output::line(&format!("listening grpc={address}"));
            bench::serve_floor(Layout::Cores, listening)?;
        }
        Some(Command::Server(arguments)) => {
            bench::end_with_parent();
            return serve::run(arguments);
        }
        None => output::line(&bench::run(&plan(arguments), &wanted(arguments), arguments.json)?),
    }
    Ok(Exit::Done)
}

fn wanted(arguments: &Arguments) -> Wanted {
    let SuiteArguments { suite, report, growth } = &arguments.suite;
    match suite {
        None => arguments.mode.into(),
        Some(Suite::Readme) => {
            let (growth, page) = (growth.clone(), report.clone());
            Wanted::Measures { growth, page, command: command(arguments) }
        }
    }
}

/// What another has to type, without what is secret.
fn command(arguments: &Arguments) -> String {
    let (whom, data, load) = (&arguments.whom, &arguments.data, &arguments.load);
    let mut text = format!(
        "doorward bench --suite readme --tenants {} --members {} --resources {} --granted {} --seconds {}",
        data.tenants, data.members, data.resources, data.granted, load.seconds
    );
    for (flag, is_given) in [
        ("--address", whom.address.is_some()),
        ("--database", whom.database.is_some()),
        ("--redis", whom.redis.is_some()),
    ] {
        if is_given {
            text.push_str(&format!(" {flag} …"));
        }
    }
    text
}

fn plan(arguments: &Arguments) -> Plan {
    let (data, load) = (&arguments.data, &arguments.load);
    let DataArguments { tenants, members, resources, granted, seed, choice } = *data;
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    Plan {
        whom: whom(&arguments.whom),
        shape: Shape { tenants, members, resources, granted, seed },
        choice,
        time: Duration::from_secs_f64(load.seconds),
        rounds: load.rounds.unwrap_or(if arguments.suite.suite.is_some() { 3 } else { 1 }) as usize,
        threads: if load.threads == 0 { cores().div_ceil(2) } else { load.threads as usize },
        connections: load.connections as usize,
        in_flight: load.in_flight as usize,
        rate: load.rate,
        batch: load.batch,
        writes: load.writes,
        plain_floor: load.plain_floor.clone(),
        without_floor: load.no_floor || arguments.mode == Mode::Fill,
    }
}

fn whom(arguments: &WhomArguments) -> Whom {
    let WhomArguments { address, token, pid, database, redis } = arguments;
    match (address, token) {
        (Some(address), Some(token)) => {
            Whom::Running { address: address.clone(), token: token.clone(), pid: *pid }
        }
        _ => Whom::Own { database: database.clone(), redis: redis.clone() },
    }
}

fn number(text: &str, allowed: std::ops::RangeInclusive<f64>, what: &str) -> Result<f64, String> {
    let number = text.parse::<f64>().ok().filter(|number| allowed.contains(number));
    number.ok_or_else(|| format!("allowed: {what}"))
}

fn part(text: &str) -> Result<f64, String> {
    number(text, 0.0..=1.0, "a number from 0 to 1, for example 0.3")
}

fn seconds(text: &str) -> Result<f64, String> {
    number(text, 0.1..=86_400.0, "a number of seconds from 0.1 to 86400")
}

fn rate(text: &str) -> Result<f64, String> {
    number(text, 1.0..=10_000_000.0, "a number of calls from 1 to 10000000, for example 2000")
}

fn choice(text: &str) -> Result<Choice, String> {
    let allowed = "allowed: uniform, zipf, or zipf:EXPONENT with an exponent from 0.1 to 10";
    match text.split_once(':') {
        None if text == "uniform" => Ok(Choice::Uniform),
        None if text == "zipf" => Ok(Choice::Zipf(0.99)),
        Some(("zipf", exponent)) => {
            number(exponent, 0.1..=10.0, "").map(Choice::Zipf).map_err(|_| allowed.to_owned())
        }
        _ => Err(allowed.to_owned()),
    }
}

//! The command line: what is to be run, for how long, from which seed.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::mutant::{self, Mutant};

pub(crate) const USAGE: &str = "\
usage: cargo test --features slips --test chaos -- [COMMAND] [OPTIONS]

commands
  all                 a smoke run, then every mutant (default)
  smoke               load and random faults; nothing may be stale or lost
  mutant [NAME]       a rule of the protocol is broken on purpose: the violation must be found
  control [NAME]      the schedule of a mutant with the unbroken protocol: nothing may be found
  soak                smoke in phases, and a report
  upgrade             two replicas beside one of another binary (--from), in peace; nothing may be stale or fail
  latency             how long a revocation takes, with each kind of hint and with none
  help                this text

options
  --seed N            the seed of everything random (default: the time)
  --seconds N         how long the smoke run, a control or the upgrade takes
  --from FILE         the binary of the release before
  --minutes N         how long the soak takes (default: 30)
  --report FILE       where the soak writes its report, as Markdown";

/// What is to be run.
#[derive(Clone, Debug)]
pub(crate) enum Command {
    All,
    Smoke,
    Mutants(Vec<&'static Mutant>),
    Controls(Vec<&'static Mutant>),
    Soak,
    Upgrade,
    Latency,
    Help,
}

/// All that was said.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) seed: u64,
    pub(crate) seconds: Option<u64>,
    pub(crate) minutes: u64,
    pub(crate) report: Option<PathBuf>,
    pub(crate) from: Option<PathBuf>,
    /// As it was typed.
    pub(crate) line: String,
}

impl Arguments {
    /// Understands the words after the program's name.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let words: Vec<_> = words.collect();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO).as_secs();
        let line = words.join(" ");
        let mut arguments = Self {
            command: Command::All,
            seed: now,
            seconds: None,
            minutes: 30,
            report: None,
            from: None,
            line,
        };
        let mut names = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
            match word.as_str() {
                "--seed" => arguments.seed = number(&value()?)?,
                "--seconds" => arguments.seconds = Some(number(&value()?)?),
                "--minutes" => arguments.minutes = number(&value()?)?,
                "--from" => arguments.from = Some(PathBuf::from(value()?)),
                "--report" => arguments.report = Some(PathBuf::from(value()?)),
                "--help" | "-h" => names.push("help".to_owned()),
                option if option.starts_with('-') => return Err(format!("unknown option `{option}`")),
                _ => names.push(word),
            }
        }
        arguments.command = command(&names)?;
        if matches!(arguments.command, Command::Upgrade) && arguments.from.is_none() {
            return Err("`upgrade` needs `--from`".to_owned());
        }
        Ok(arguments)
    }
}

fn command(names: &[String]) -> Result<Command, String> {
    let mut names = names.iter().map(String::as_str);
    let command = names.next().unwrap_or("all");
    let rest: Vec<_> = names.collect();
    match (command, rest.as_slice()) {
        ("mutant", mutants) => Ok(Command::Mutants(find(mutants)?)),
        ("control", mutants) => Ok(Command::Controls(find(mutants)?)),
        (_, [extra, ..]) => Err(format!("unexpected `{extra}`")),
        ("all", []) => Ok(Command::All),
        ("smoke", []) => Ok(Command::Smoke),
        ("soak", []) => Ok(Command::Soak),
        ("upgrade", []) => Ok(Command::Upgrade),
        ("latency", []) => Ok(Command::Latency),
        ("help", []) => Ok(Command::Help),
        (other, []) => Err(format!("unknown command `{other}`")),
    }
}

fn find(names: &[&str]) -> Result<Vec<&'static Mutant>, String> {
    if names.is_empty() {
        return Ok(mutant::ALL.iter().collect());
    }
    let one = |name: &&str| {
        let found = mutant::ALL.iter().find(|mutant| mutant.name == *name);
        let known: Vec<_> = mutant::ALL.iter().map(|mutant| mutant.name).collect();
        found.ok_or(format!("unknown mutant `{name}`; there are {}", known.join(", ")))
    };
    names.iter().map(one).collect()
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

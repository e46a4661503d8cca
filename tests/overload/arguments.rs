//! The command line: which run, for how long, where the report goes.

use std::path::PathBuf;

pub(crate) const USAGE: &str = "\
usage: cargo test --release --test overload -- [COMMAND] [OPTIONS]

commands
  smoke               a few seconds; fails only where a promise is broken that no noise can break (default)
  full                what the server can do, and twice and ten times as much, against the targets
  help                this text

options of full
  --seconds N         how long each flood takes (default: 10)
  --only NAME         this workload alone: checks or lists
  --report FILE       where the report is written, as Markdown";

/// What is to be run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Smoke,
    Full,
    Help,
}

/// All that was said.
#[derive(Clone, Debug)]
pub(crate) struct Arguments {
    pub(crate) command: Command,
    pub(crate) seconds: u64,
    pub(crate) only: Option<String>,
    pub(crate) report: Option<PathBuf>,
    /// As it was typed.
    pub(crate) line: String,
}

impl Arguments {
    /// Understands the words after the program's name.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self, String> {
        let words: Vec<_> = words.collect();
        let line = words.join(" ");
        let mut arguments = Self { command: Command::Smoke, seconds: 10, only: None, report: None, line };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or(format!("`{word}` needs a value"));
            match word.as_str() {
                "--seconds" => {
                    let text = value()?;
                    arguments.seconds = text.parse().map_err(|_| format!("`{text}` is not a number"))?;
                }
                "--only" => arguments.only = Some(value()?),
                "--report" => arguments.report = Some(PathBuf::from(value()?)),
                "smoke" => arguments.command = Command::Smoke,
                "full" => arguments.command = Command::Full,
                "help" | "--help" | "-h" => arguments.command = Command::Help,
                other => return Err(format!("unexpected `{other}`")),
            }
        }
        Ok(arguments)
    }
}

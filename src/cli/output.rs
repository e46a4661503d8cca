//! What is printed. A reader that has gone away is no failure of the command.

use std::io::Write;

use clap::ValueEnum;

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// For people.
    #[default]
    Text,
    /// For programs: one object.
    Json,
}

/// Prints a line, at once: who waits for it may not see it else.
pub(super) fn line(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{text}").and_then(|()| stdout.flush());
}

/// Prints why a command failed.
pub(super) fn failure(what: &str) {
    let _ = writeln!(std::io::stderr().lock(), "doorward: {what}");
}

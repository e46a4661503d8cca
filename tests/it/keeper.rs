//! A shell script that owns a server for this process and ends it with the process, however that ends: it reads from a
//! pipe that only this process writes to, and the pipe's end of file is its order to stop. Knows no server.
#![expect(clippy::panic, reason = "a test without its server must fail, and say why")]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// The running script and the one pipe that keeps it and its server alive.
pub(crate) struct Keeper {
    what: &'static str,
    child: Child,
    orders: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
    /// The server's files; it goes with the keeper.
    pub(crate) directory: PathBuf,
}

impl Keeper {
    /// Runs a script for `/bin/sh`, as another user where one is given (user and group id). It makes a directory and
    /// says which, keeps a `log` there, and then says a line to each order.
    pub(crate) fn start(
        what: &'static str,
        script: &str,
        arguments: &[&Path],
        user: Option<(u32, u32)>,
    ) -> Self {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script, "keeper"]).args(arguments).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        if let Some((user, group)) = user {
            command.uid(user).gid(group);
        }
        let mut child = command.spawn().unwrap_or_else(|error| panic!("could not run `/bin/sh`: {error}"));
        let (orders, answers) = (child.stdin.take(), child.stdout.take().map(BufReader::new));
        let answers = answers.unwrap_or_else(|| panic!("the keeper of {what} has no stdout"));
        let mut keeper = Self { what, child, orders, answers, directory: PathBuf::new() };
        keeper.directory = PathBuf::from(keeper.answer());
        if !keeper.directory.is_absolute() {
            panic!("no directory for {what} could be made below TMPDIR or /tmp");
        }
        keeper
    }

    /// What it says to an order.
    pub(crate) fn order(&mut self, order: &str) -> String {
        let sent = self.orders.as_mut().is_some_and(|orders| writeln!(orders, "{order}").is_ok());
        if !sent {
            panic!("the keeper of {} does not listen:\n{}", self.what, self.log());
        }
        self.answer()
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        match self.answers.read_line(&mut line) {
            Ok(_) => line.trim_end().to_owned(),
            Err(error) => panic!("the keeper of {} does not answer: {error}", self.what),
        }
    }

    /// What the server and the script have written.
    pub(crate) fn log(&self) -> String {
        let bytes = std::fs::read(self.directory.join("log")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.take());
        // It ends by itself at the pipe's end; a failure to wait for that leaves nothing to do.
        let _ = self.child.wait();
    }
}

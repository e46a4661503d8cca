//! Runs the real binary: commands to their end, and services until they are told to stop. Nothing outlives its test.
#![expect(clippy::panic, reason = "a test whose service does not start must fail, and say why")]
#![expect(clippy::disallowed_methods, reason = "what a developer has set must not reach the binary")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// How long a service may take to start, and a command to end. A debug build on a busy machine is slow.
const PATIENCE: Duration = Duration::from_secs(60);

/// Waits until something is so, and fails where it is not in time.
pub(crate) fn until(patience: Duration, what: &str, is_so: impl Fn() -> bool) {
    let end = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < end, "not in time: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The binary, with nothing set of what a developer may have set.
pub(crate) fn doorward(arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_doorward"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("DOORWARD_") {
            command.env_remove(name);
        }
    }
    command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null());
    command
}

/// What a command said, and its exit code.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

/// Runs a command to its end.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Said {
    finish(spawn(&mut doorward(arguments, environment)))
}

/// Starts a command whose output is kept.
pub(crate) fn spawn(command: &mut Command) -> Child {
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    child.unwrap_or_else(|error| panic!("could not run {command:?}: {error}"))
}

/// Waits for a command's end; one that does not end is killed, and fails the test.
pub(crate) fn finish(mut child: Child) -> Said {
    if wait(&mut child).is_none() {
        let _ = child.kill();
        let said = child.wait_with_output().map(Said::from);
        panic!("the command did not end: {said:?}");
    }
    match child.wait_with_output() {
        Ok(output) => output.into(),
        Err(error) => panic!("the command's output is lost: {error}"),
    }
}

fn wait(child: &mut Child) -> Option<ExitStatus> {
    let end = Instant::now() + PATIENCE;
    while Instant::now() < end {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    None
}

/// A service that runs.
pub(crate) struct Server {
    child: Child,
    lines: Receiver<String>,
    /// Where it answers, as its line `listening` says.
    pub(crate) grpc: String,
    pub(crate) admin: String,
    /// Its temporary files: one that is killed cannot remove them itself.
    _temporary: TempDir,
}

impl Server {
    /// Starts a service, and waits until it says where it listens.
    pub(crate) fn start(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let mut server = Self::launch(arguments, environment);
        server.wait_until_listening();
        server
    }

    /// Starts a service that may have to wait for something.
    pub(crate) fn launch(arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::launch_logging_to(Stdio::inherit(), arguments, environment)
    }

    /// The same, its log somewhere else.
    pub(crate) fn launch_logging_to(log: Stdio, arguments: &[&str], environment: &[(&str, &str)]) -> Self {
        let temporary = tempfile::tempdir().unwrap_or_else(|error| panic!("no directory: {error}"));
        let mut command = doorward(arguments, &[]);
        command.env("TMPDIR", temporary.path()).envs(environment.iter().copied());
        let child = command.stdout(Stdio::piped()).stderr(log).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("could not run {command:?}: {error}"));
        let stdout = child.stdout.take().unwrap_or_else(|| panic!("no stdout"));
        let (sender, lines) = sync_channel(1024);
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self { child, lines, grpc: String::new(), admin: String::new(), _temporary: temporary }
    }

    /// Waits for the line that says where it listens.
    pub(crate) fn wait_until_listening(&mut self) {
        let found = self.lines_until(|line| line.starts_with("listening "));
        let line = found.last().cloned().unwrap_or_default();
        let after = |name: &str| {
            let word = line.split(' ').find_map(|word| word.strip_prefix(name));
            word.unwrap_or_else(|| panic!("no {name} in `{line}`")).to_owned()
        };
        (self.grpc, self.admin) = (after("grpc="), after("admin="));
    }

    /// The lines up to one that is wanted, which is the last.
    pub(crate) fn lines_until(&mut self, is_wanted: impl Fn(&str) -> bool) -> Vec<String> {
        let end = Instant::now() + PATIENCE;
        let mut lines = Vec::new();
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => lines.push(line),
                Err(RecvTimeoutError::Timeout) => panic!("waited too long after {lines:?}"),
                Err(RecvTimeoutError::Disconnected) => panic!("it ended after {lines:?}"),
            }
            if lines.last().is_some_and(|line| is_wanted(line)) {
                return lines;
            }
        }
    }

    /// The lines that have come since.
    pub(crate) fn lines_until_now(&self) -> Vec<String> {
        self.lines.try_iter().collect()
    }

    /// The address that clients are given.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.grpc)
    }

    /// Whether it still has not ended.
    pub(crate) fn is_running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// The number that the system has for it.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal by its name: `HUP`.
    pub(crate) fn signal(&self, name: &str) {
        let (order, pid) = (format!("kill -{name} \"$0\""), self.pid().to_string());
        let sent = Command::new("/bin/sh").args(["-c", &order, &pid]).status();
        assert!(sent.is_ok_and(|sent| sent.success()), "the signal was not sent");
    }

    /// SIGTERM: how it ended, and how long that took.
    pub(crate) fn stop(self) -> (ExitStatus, Duration) {
        self.signal("TERM");
        self.ended()
    }

    /// After a signal: how it ended, and how long that took.
    pub(crate) fn ended(mut self) -> (ExitStatus, Duration) {
        let started = Instant::now();
        match wait(&mut self.child) {
            Some(status) => (status, started.elapsed()),
            None => panic!("it did not end after SIGTERM"),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body of a GET.
pub(crate) fn get(address: &str, path: &str) -> (u16, String) {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: doorward\r\nConnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = ask().unwrap_or_else(|error| panic!("GET http://{address}{path}: {error}"));
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok());
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    (status.unwrap_or_default(), body.to_owned())
}

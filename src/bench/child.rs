//! Processes that a run starts and ends: what they use of the machine is theirs alone. They end with whoever started them.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use super::Error;
use super::usage::{self, Usage};
use crate::clock::Stopwatch;

/// How long a process may take to say where it listens.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long it may take to end when it is asked to.
const GRACE: Duration = Duration::from_secs(15);
/// Between two looks whether it has ended.
const LOOK: Duration = Duration::from_millis(10);

/// A process that listens.
#[derive(Debug)]
pub(super) struct Listening {
    child: Child,
    pub(super) grpc: SocketAddr,
    /// Where it answers metrics, if it does.
    pub(super) admin: Option<SocketAddr>,
    /// How long it took until it listened.
    pub(super) ready_after: Duration,
}

impl Listening {
    /// Starts a program, and waits until it says `listening grpc=… admin=…`.
    pub(super) fn start(
        program: &Path,
        arguments: &[&str],
        environment: &[(&str, &str)],
    ) -> Result<Self, Error> {
        let watch = Stopwatch::start();
        let mut command = Command::new(program);
        command.args(arguments).envs(environment.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut child =
            child.map_err(|error| Error(format!("{} cannot be run: {error}", program.display())))?;
        let lines = lines_of(&mut child);
        let addresses = wait_for(&lines);
        let ready_after = watch.elapsed();
        match addresses {
            Ok((grpc, admin)) => Ok(Self { child, grpc, admin, ready_after }),
            Err(what) => {
                let _ = child.kill();
                let _ = child.wait();
                Err(Error(format!("`{} {}` {what}", program.display(), arguments.join(" "))))
            }
        }
    }

    /// What it has used by now.
    pub(super) fn usage(&self) -> Option<Usage> {
        usage::of(self.child.id())
    }

    pub(super) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        #[cfg(unix)]
        if let Some(pid) = i32::try_from(self.child.id()).ok().and_then(rustix::process::Pid::from_raw) {
            // One that has ended already needs no signal.
            let _ = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let watch = Stopwatch::start();
            while watch.elapsed() < GRACE && matches!(self.child.try_wait(), Ok(None)) {
                std::thread::sleep(LOOK);
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its end.
pub(super) fn finish(program: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> Result<(), Error> {
    let mut command = Command::new(program);
    let output = command.args(arguments).envs(environment.iter().copied()).stdin(Stdio::null()).output();
    let output = output.map_err(|error| Error(format!("{} cannot be run: {error}", program.display())))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(Error(format!("`{} {}` failed: {}", program.display(), arguments.join(" "), said.trim())))
}

/// From now on this process ends when the one that started it does.
pub fn end_with_parent() {
    #[cfg(target_os = "linux")]
    {
        // A system that refuses leaves it to the one who started this process.
        let _ = rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM));
    }
}

/// Its standard output, read to the end, so that it never waits for a reader.
fn lines_of(child: &mut Child) -> Receiver<String> {
    let (sender, receiver) = sync_channel(64);
    if let Some(stdout) = child.stdout.take() {
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                let _ = sender.try_send(line);
            }
        });
    }
    receiver
}

fn wait_for(lines: &Receiver<String>) -> Result<(SocketAddr, Option<SocketAddr>), String> {
    let watch = Stopwatch::start();
    loop {
        match lines.recv_timeout(PATIENCE.saturating_sub(watch.elapsed())) {
            Ok(line) => {
                if let Some(found) = addresses(&line) {
                    return Ok(found);
                }
            }
            Err(RecvTimeoutError::Timeout) => return Err("did not say where it listens".to_owned()),
            Err(RecvTimeoutError::Disconnected) => return Err("has ended; why is above".to_owned()),
        }
    }
}

fn addresses(line: &str) -> Option<(SocketAddr, Option<SocketAddr>)> {
    let words = line.strip_prefix("listening ")?;
    let after = |name: &str| words.split(' ').find_map(|word| word.strip_prefix(name)?.parse().ok());
    Some((after("grpc=")?, after("admin=")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_that_tells_addresses_is_understood() {
        let both = addresses("listening grpc=127.0.0.1:1 admin=127.0.0.1:2");
        assert_eq!(both, Some(("127.0.0.1:1".parse().unwrap(), Some("127.0.0.1:2".parse().unwrap()))));
        assert_eq!(addresses("listening grpc=127.0.0.1:1"), Some(("127.0.0.1:1".parse().unwrap(), None)));
        assert_eq!(addresses("waiting"), None);
    }
}

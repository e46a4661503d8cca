//! Processes that end with this one, however it ends: knows signals and a pipe, nothing of what the processes are.
//!
//! A shell script reads from a pipe that only this process writes to. The pipe's end of file, which a `kill -9` brings
//! too, is the order to end every process that was named to it and to remove the directory. A process begins only once
//! the script knows its id.

use std::fs::File;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

const SCRIPT: &str = r#"
trap '' INT TERM HUP PIPE
kept=
while read -r order signal pid; do
    rest=
    for one in $kept; do
        [ "${one#*:}" = "$pid" ] || rest="$rest $one"
    done
    kept=$rest
    if [ "$order" = keep ]; then kept="$kept $signal:$pid"; fi
done
for one in $kept; do
    kill -CONT "${one#*:}"
    kill -"${one%%:*}" "${one#*:}"
done
for one in $kept; do
    tries=0
    while [ "$tries" -lt 60 ] && kill -0 "${one#*:}"; do
        tries=$((tries + 1))
        sleep 0.05
    done
done
rm -rf "$1"
"#;
/// What a process does first: it waits until the keeper knows it.
const GATE: &str = r#"read -r go && exec "$@" </dev/null"#;

/// The script, and the directory of the run.
pub(crate) struct Keeper {
    child: Mutex<Child>,
    orders: Mutex<Option<ChildStdin>>,
    directory: PathBuf,
}

impl Keeper {
    /// Starts the script, with a new directory that everyone may enter.
    pub(crate) fn start() -> Arc<Self> {
        let directory = tempfile::Builder::new().prefix("doorward-chaos.").tempdir().unwrap().keep();
        let everyone = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&directory, everyone).unwrap();
        let mut command = Command::new("/bin/sh");
        command.args(["-c", SCRIPT, "keeper"]).arg(&directory).current_dir("/").process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        let orders = Mutex::new(child.stdin.take());
        Arc::new(Self { child: Mutex::new(child), orders, directory })
    }

    /// Where the run's files are.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    fn order(&self, order: &str, signal: &str, pid: u32) {
        let mut orders = self.orders.lock().unwrap();
        writeln!(orders.as_mut().expect("the keeper has ended"), "{order} {signal} {pid}").unwrap();
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        drop(self.orders.lock().unwrap().take());
        // It ends by itself at the pipe's end; a failure to wait for that leaves nothing to do.
        let _ = self.child.lock().unwrap().wait();
    }
}

/// What is to be started.
pub(crate) struct Program<'a> {
    /// Names the log file.
    pub(crate) name: &'a str,
    pub(crate) path: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, String)>,
    /// User and group id, where it must not be this process's.
    pub(crate) user: Option<(u32, u32)>,
    /// The signal that ends it at once.
    pub(crate) last_signal: &'static str,
}

/// A process that runs.
pub(crate) struct Process {
    child: Child,
    last_signal: &'static str,
    keeper: Arc<Keeper>,
}

impl Process {
    /// Starts a program; what it says on stderr is appended to `<name>.log` in the run's directory.
    pub(crate) fn start(keeper: &Arc<Keeper>, program: &Program<'_>) -> Self {
        let log = keeper.directory.join(format!("{}.log", program.name));
        let log = File::options().create(true).append(true).open(log).unwrap();
        let mut command = Command::new("/bin/sh");
        for (name, _) in std::env::vars_os() {
            let shown = name.to_string_lossy();
            if shown.starts_with("DOORWARD_") || shown.starts_with("PG") {
                command.env_remove(&name);
            }
        }
        command.args(["-c", GATE, program.name]).arg(&program.path).args(&program.arguments);
        command.envs(program.environment.iter().cloned()).current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        if let Some((user, group)) = program.user {
            command.uid(user).gid(group);
        }
        let mut child = command.spawn().unwrap();
        keeper.order("keep", program.last_signal, child.id());
        let mut gate = child.stdin.take().unwrap();
        writeln!(gate, "go").unwrap();
        Self { child, last_signal: program.last_signal, keeper: keeper.clone() }
    }

    /// What it says on stdout; it can be taken once.
    pub(crate) fn stdout(&mut self) -> ChildStdout {
        self.child.stdout.take().unwrap()
    }

    /// Sends a signal, by its name without `SIG`.
    pub(crate) fn signal(&self, signal: &str) {
        let pid = self.child.id().to_string();
        let sent = Command::new("/bin/sh").args(["-c", r#"kill -"$0" "$1""#, signal, &pid]).status();
        assert!(sent.unwrap().success(), "the signal {signal} was not sent");
    }

    /// Whether it ended well; `None` while it runs.
    pub(crate) fn ended(&mut self) -> Option<bool> {
        self.child.try_wait().unwrap().map(|status| status.success())
    }

    /// Waits for its end: whether it ended well, or `None` if it did not end in time.
    pub(crate) async fn wait(&mut self, patience: Duration) -> Option<bool> {
        let end = Instant::now() + patience;
        while Instant::now() < end {
            if let Some(well) = self.ended() {
                return Some(well);
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        None
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.ended().is_none() {
            self.signal("CONT");
            self.signal(self.last_signal);
        }
        let _ = self.child.wait();
        self.keeper.order("drop", "-", self.child.id());
    }
}

/// The end of a process's log, for a failure's text.
pub(crate) fn tail(keeper: &Keeper, name: &str) -> String {
    let bytes = std::fs::read(keeper.directory.join(format!("{name}.log"))).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}

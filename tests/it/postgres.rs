//! Private Postgres servers for the tests: starts a cluster, hands out databases; knows nothing of Doorward.
//!
//! A cluster belongs to this process and ends with it, however it ends. The shell script below owns the server and reads
//! from a pipe that only this process writes to: the pipe's end of file, which a `kill -9` brings too, is the order to
//! stop the server and to remove its directory. A machine's own Postgres is never used.
#![expect(clippy::panic, reason = "a test without its database must fail, and say why")]
#![expect(clippy::disallowed_methods, reason = "the harness is configured by the environment")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::keeper::Keeper;
use crate::machine::{free_port, programs, unprivileged};

const START_ATTEMPTS_MAX: u32 = 5;

/// Arguments: the directory of the programs, then options for the server. Answers on stdout: first the directory it
/// made, then, for each port and signal read from stdin, `ready` or `failed`; a server that runs is ended with the
/// signal first. The log of a failure is `$directory/log`.
///
/// Names sort as people sort them where Postgres can do that (ICU), so that a query that relies on byte order is found.
const KEEPER: &str = r#"
trap '' INT TERM HUP PIPE
programs=$1; shift
directory=$(mktemp -d "${TMPDIR:-/tmp}/doorward-postgres.XXXXXX" 2>/dev/null ||
    mktemp -d /tmp/doorward-postgres.XXXXXX) || exit 1
server=
finish() {
    if [ -n "$server" ]; then kill -QUIT "$server"; wait "$server"; fi
    rm -rf "$directory"
}
trap finish EXIT
exec 2>>"$directory/log"
echo "$directory"

create() {
    "$programs/initdb" --pgdata="$directory/data" --username=postgres --auth=trust --encoding=UTF8 --locale=C \
        --no-sync "$@" >>"$directory/log" </dev/null
}
create --locale-provider=icu --icu-locale=en || create

is_up() { grep -q -e '^ready' -e '^standby' "$directory/data/postmaster.pid" 2>/dev/null; }
start() {
    port=$1; shift
    "$programs/postgres" -D "$directory/data" -p "$port" -c listen_addresses=127.0.0.1 \
        -c unix_socket_directories= -c max_connections=300 -c fsync=off -c full_page_writes=off \
        "$@" >>"$directory/log" 2>&1 </dev/null &
    server=$!
    tries=0
    until is_up; do
        tries=$((tries + 1))
        if [ "$tries" -gt 1200 ] || ! kill -0 "$server"; then return 1; fi
        sleep 0.05
    done
}

while read -r wanted signal; do
    if [ -n "$server" ]; then kill "-$signal" "$server"; wait "$server"; server=; fi
    if [ "$wanted" = none ] || start "$wanted" "$@"; then
        echo ready
    else
        kill -QUIT "$server"; wait "$server"; server=
        echo failed
    fi
done
"#;

/// The address of a new, empty database in the cluster that this process's tests share.
pub(crate) fn fresh_database() -> String {
    shared().fresh_database()
}

/// A cluster of its own that logs each statement; it ends when the value is dropped.
pub(crate) fn cluster_with_log() -> LoggedCluster {
    LoggedCluster { cluster: Cluster::start(&["-c", "log_statement=all", "-c", "log_line_prefix=@%d@ "]) }
}

/// A cluster of its own that can be restarted; it ends when the value is dropped.
pub(crate) fn cluster() -> Cluster {
    Cluster::start(&[])
}

/// A cluster of its own that speaks TLS alone, with a certificate and a key that it may read.
pub(crate) fn cluster_with_tls(cert: &Path, key: &Path) -> Cluster {
    if let Some((user, group)) = unprivileged() {
        let owned = std::os::unix::fs::chown(key, Some(user), Some(group));
        owned.unwrap_or_else(|error| panic!("{}: {error}", key.display()));
    }
    let (cert, key) =
        (format!("ssl_cert_file={}", cert.display()), format!("ssl_key_file={}", key.display()));
    Cluster::start(&["-c", "ssl=on", "-c", &cert, "-c", &key])
}

/// The cluster that this process's tests share.
pub(crate) fn shared() -> &'static Cluster {
    static SHARED: OnceLock<Cluster> = OnceLock::new();
    SHARED.get_or_init(|| Cluster::start(&[]))
}

/// A cluster whose statements can be read.
pub(crate) struct LoggedCluster {
    cluster: Cluster,
}

impl LoggedCluster {
    /// The address of a new, empty database.
    pub(crate) fn fresh_database(&self) -> String {
        self.cluster.fresh_database()
    }

    /// The statements that the database at `url` has begun to execute until now, oldest first; of a statement of
    /// several lines, the first. One is logged before it runs: what has been answered is here.
    pub(crate) fn statements(&self, url: &str) -> Vec<String> {
        let database = url.rsplit('/').next().unwrap_or_default();
        let prefix = format!("@{database}@ LOG:  ");
        self.cluster.log().lines().filter_map(|line| statement(line.strip_prefix(&prefix)?)).collect()
    }

    /// The same, each with the values of its parameters.
    pub(crate) fn executed(&self, url: &str) -> Vec<(String, Vec<String>)> {
        let prefix = format!("@{}@ ", url.rsplit('/').next().unwrap_or_default());
        let mut executed: Vec<(String, Vec<String>)> = Vec::new();
        // What one connection logs of a statement, it logs at once.
        for entry in self.cluster.log().lines().filter_map(|line| line.strip_prefix(&prefix)) {
            if let Some(text) = entry.strip_prefix("LOG:  ").and_then(statement) {
                executed.push((text, Vec::new()));
            } else if let Some(values) = entry.strip_prefix("DETAIL:  ").and_then(values)
                && let Some(last) = executed.last_mut()
            {
                last.1 = values;
            }
        }
        executed
    }

    /// What the database at `url` answers to statements: values with `|` between them.
    pub(crate) fn ask(&self, url: &str, query: &str) -> String {
        self.cluster.ask(url, query)
    }
}

/// The values of a log entry `parameters: $1 = 'a', $2 = NULL`, as they are written in a statement; no value of a test's has
/// `, $` in it.
fn values(entry: &str) -> Option<Vec<String>> {
    let values = entry.strip_prefix("parameters: ")?.split(", $");
    values.map(|value| Some(value.split_once(" = ")?.1.to_owned())).collect()
}

/// The text of a log entry `statement: …` (simple protocol) or `execute NAME: …` (extended protocol).
fn statement(entry: &str) -> Option<String> {
    let (kind, text) = entry.split_once(": ")?;
    (kind == "statement" || kind.starts_with("execute ")).then(|| text.to_owned())
}

/// A server with its directory.
pub(crate) struct Cluster {
    programs: PathBuf,
    port: u16,
    databases: AtomicU32,
    keeper: Keeper,
}

impl Cluster {
    fn start(options: &[&str]) -> Self {
        let programs = programs();
        let arguments: Vec<_> = std::iter::once(&*programs).chain(options.iter().map(Path::new)).collect();
        let mut keeper = Keeper::start("Postgres", KEEPER, &arguments, unprivileged());
        let started = (0..START_ATTEMPTS_MAX).find_map(|_| {
            let port = free_port();
            serves_on(&mut keeper, port, "QUIT").then_some(port)
        });
        match started {
            Some(port) => Self { programs, port, databases: AtomicU32::new(0), keeper },
            None => panic!("Postgres of `{}` did not start:\n{}", programs.display(), keeper.log()),
        }
    }

    /// Ends the server in order and starts it again, on the same directory and port.
    pub(crate) fn restart(&mut self) {
        self.start_again("INT");
    }

    /// Ends the server in order.
    pub(crate) fn stop(&mut self) {
        serves_on(&mut self.keeper, "none", "INT");
    }

    /// Starts one that was stopped.
    pub(crate) fn start_stopped(&mut self) {
        self.start_again("INT");
    }

    /// The same without any order: it has to recover.
    pub(crate) fn crash(&mut self) {
        self.start_again("QUIT");
    }

    /// Starts the server again as a standby without a primary: it is in recovery until it is promoted.
    pub(crate) fn restart_as_standby(&mut self) {
        let signal = self.keeper.directory.join("data/standby.signal");
        std::fs::write(&signal, "").unwrap_or_else(|error| panic!("{}: {error}", signal.display()));
        self.restart();
    }

    fn start_again(&mut self, signal: &str) {
        if !serves_on(&mut self.keeper, self.port, signal) {
            panic!("Postgres did not start again:\n{}", self.log());
        }
    }

    /// The address of a new database that holds what a dump of the one at `url` holds.
    pub(crate) fn restored(&self, url: &str) -> String {
        let restored = self.fresh_database();
        self.restore(&restored, &self.dump(url), &[]);
        restored
    }

    /// A dump of the database at `url`.
    pub(crate) fn dump(&self, url: &str) -> Vec<u8> {
        self.client("pg_dump", &["--format=custom", "--dbname", url], &[])
    }

    /// Restores a dump into the database at `url`, with more options for `pg_restore`.
    pub(crate) fn restore(&self, url: &str, dump: &[u8], options: &[&str]) {
        let mut arguments = vec!["--exit-on-error", "--dbname", url];
        arguments.extend(options);
        self.client("pg_restore", &arguments, dump);
    }

    /// Copies the data directory while the server is stopped. The copy goes with the cluster.
    pub(crate) fn copy_data(&mut self) {
        self.stop();
        self.copy("data", "copy");
        self.start_stopped();
    }

    /// Puts the copy in the place of the data directory while the server is stopped.
    pub(crate) fn return_to_copy(&mut self) {
        self.stop();
        let data = self.keeper.directory.join("data");
        std::fs::remove_dir_all(&data).unwrap_or_else(|error| panic!("{}: {error}", data.display()));
        self.copy("copy", "data");
        self.start_stopped();
    }

    fn copy(&self, from: &str, to: &str) {
        let paths = [from, to].map(|name| self.keeper.directory.join(name));
        let copied = Command::new("cp").arg("-a").args(&paths).status();
        assert!(copied.is_ok_and(|status| status.success()), "`cp -a` of {paths:?} failed");
    }

    /// What the database at `url` answers to a query: values with `|` between them.
    pub(crate) fn ask(&self, url: &str, query: &str) -> String {
        let answer = self.client("psql", &["--no-psqlrc", "-At", "-c", query, url], &[]);
        String::from_utf8_lossy(&answer).trim().to_owned()
    }

    /// What a program beside the server's answers on stdout.
    fn client(&self, program: &str, arguments: &[&str], input: &[u8]) -> Vec<u8> {
        let path = self.programs.join(program);
        if !path.is_file() {
            panic!(
                "`{program}` is not beside the server's programs: install the package `postgresql-client`"
            );
        }
        let mut command = Command::new(&path);
        without_variables(&mut command).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let spawned = command.stderr(Stdio::piped()).spawn();
        let mut child = spawned.unwrap_or_else(|error| panic!("could not run `{program}`: {error}"));
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(input).unwrap_or_else(|error| panic!("`{program}` does not read: {error}"));
        }
        let output = child.wait_with_output().unwrap_or_else(|error| panic!("`{program}`: {error}"));
        if !output.status.success() {
            panic!("`{program}` failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        output.stdout
    }

    /// The address of a new, empty database.
    pub(crate) fn fresh_database(&self) -> String {
        let name = format!("test_{}", self.databases.fetch_add(1, Ordering::Relaxed));
        let output = self.createdb(&name);
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            panic!("could not create the database `{name}`: {said}\n{}", self.log());
        }
        format!("postgres://postgres@127.0.0.1:{}/{name}", self.port)
    }

    fn createdb(&self, name: &str) -> Output {
        let mut command = Command::new(self.programs.join("createdb"));
        without_variables(&mut command).args([
            "--host=127.0.0.1",
            "--username=postgres",
            "--no-password",
            "--maintenance-db=postgres",
        ]);
        command.arg(format!("--port={}", self.port)).arg(name);
        command
            .stdin(Stdio::null())
            .output()
            .unwrap_or_else(|error| panic!("could not run `createdb`: {error}"))
    }

    fn log(&self) -> String {
        self.keeper.log()
    }
}

/// Whether a server listens there, after one that runs was ended with the signal.
fn serves_on(keeper: &mut Keeper, port: impl std::fmt::Display, signal: &str) -> bool {
    keeper.order(&format!("{port} {signal}")) == "ready"
}

/// A client that is told where to go by its arguments alone.
fn without_variables(command: &mut Command) -> &mut Command {
    for variable in
        std::env::vars_os().map(|(key, _)| key).filter(|key| key.to_string_lossy().starts_with("PG"))
    {
        command.env_remove(variable);
    }
    command
}

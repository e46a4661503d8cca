//! A private Postgres that can be stopped at once and started again on the same port and data.

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::keeper::{Keeper, Process, Program, tail};

/// Names the directory that holds `initdb` and `postgres`; what it says is never overruled.
const DIRECTORY_VARIABLE: &str = "DOORWARD_TEST_POSTGRES";
/// Where packages put the programs: a parent, the start of the versioned name, the rest of the path.
const INSTALLED: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
];
const PATIENCE: Duration = Duration::from_secs(60);

/// The server.
pub(crate) struct Postgres {
    keeper: Arc<Keeper>,
    programs: PathBuf,
    user: Option<(u32, u32)>,
    data: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Postgres {
    /// Makes a cluster and starts it.
    pub(crate) async fn start(keeper: &Arc<Keeper>) -> Self {
        let (programs, user) = (programs(), unprivileged());
        let home = keeper.directory().join("postgres");
        std::fs::create_dir(&home).unwrap();
        if let Some((user, group)) = user {
            std::os::unix::fs::chown(&home, Some(user), Some(group)).unwrap();
        }
        let data = home.join("data");
        let arguments = ["--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"];
        let mut arguments = arguments.map(str::to_owned).to_vec();
        arguments.push(format!("--pgdata={}", data.display()));
        let program = Program {
            name: "initdb",
            path: programs.join("initdb"),
            arguments,
            environment: Vec::new(),
            user,
            last_signal: "KILL",
        };
        let made = Process::start(keeper, &program).wait(PATIENCE).await;
        assert_eq!(made, Some(true), "initdb failed:\n{}", tail(keeper, "initdb"));
        let mut postgres = Self { keeper: keeper.clone(), programs, user, data, port: 0, process: None };
        for _ in 0..5 {
            postgres.port = free_port();
            if postgres.try_to_serve().await {
                return postgres;
            }
        }
        panic!("Postgres did not start:\n{}", tail(keeper, "postgres"));
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// An immediate stop, as a crash is: every connection is lost, and the next start recovers.
    pub(crate) async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.signal("QUIT");
            let _ = process.wait(PATIENCE).await;
        }
    }

    /// Starts it again.
    pub(crate) async fn serve(&mut self) {
        let served = self.process.is_some() || self.try_to_serve().await;
        assert!(served, "Postgres did not start again:\n{}", tail(&self.keeper, "postgres"));
    }

    async fn try_to_serve(&mut self) -> bool {
        let mut arguments = vec!["-D".to_owned(), self.data.display().to_string()];
        arguments.extend(["-p".to_owned(), self.port.to_string()]);
        let settings = ["listen_addresses=127.0.0.1", "unix_socket_directories=", "max_connections=300"];
        for setting in settings.into_iter().chain(["fsync=off", "full_page_writes=off"]) {
            arguments.extend(["-c".to_owned(), setting.to_owned()]);
        }
        let program = Program {
            name: "postgres",
            path: self.programs.join("postgres"),
            arguments,
            environment: Vec::new(),
            user: self.user,
            last_signal: "QUIT",
        };
        let mut process = Process::start(&self.keeper, &program);
        let end = Instant::now() + PATIENCE;
        while Instant::now() < end && process.ended().is_none() {
            let state = std::fs::read_to_string(self.data.join("postmaster.pid")).unwrap_or_default();
            if state.lines().any(|line| line.starts_with("ready")) {
                self.process = Some(process);
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }
}

/// The directory of the programs: the variable's, else one on PATH, else the newest installed.
fn programs() -> PathBuf {
    let has = |directory: &PathBuf| {
        directory.is_absolute()
            && ["initdb", "postgres"].iter().all(|program| directory.join(program).is_file())
    };
    if let Some(named) = std::env::var_os(DIRECTORY_VARIABLE).map(PathBuf::from) {
        assert!(has(&named), "{DIRECTORY_VARIABLE} names no directory of Postgres: {}", named.display());
        return named;
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).find(has);
    let newest = || installed().into_iter().filter(|(_, directory)| has(directory)).max();
    let found = on_path.or_else(|| newest().map(|(_, directory)| directory));
    found.expect("no Postgres was found; `./scripts/test.sh` installs it")
}

fn installed() -> Vec<(u32, PathBuf)> {
    let below = |(parent, start, rest): (&str, &str, &str)| {
        let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
        let versioned = entries.filter_map(|entry| {
            let version = entry.file_name().to_str()?.strip_prefix(start)?.parse().ok()?;
            Some((version, entry.path().join(rest)))
        });
        versioned.collect::<Vec<_>>()
    };
    INSTALLED.into_iter().flat_map(below).collect()
}

/// Whom the server runs as where this process is root, which Postgres refuses: user and group id.
fn unprivileged() -> Option<(u32, u32)> {
    if id(&["-u"])? != 0 {
        return None;
    }
    let known =
        ["postgres", "nobody"].into_iter().find_map(|name| Some((id(&["-u", name])?, id(&["-g", name])?)));
    Some(known.expect("Postgres does not run as root, and there is no user `postgres` or `nobody`"))
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).stdin(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// A port that was free a moment ago; who loses it to another process in between asks again.
pub(crate) fn free_port() -> u16 {
    TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port()
}

//! A private Postgres that can be stopped at once and started again on the same port and data.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::keeper::{Keeper, Process, Program, tail};
use crate::machine::{free_port, programs, unprivileged};

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

//! A replica: the real binary as a process that is killed, paused, drained and started again, and clients of it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, RwLock};
use std::time::{Duration, Instant};

use doorward::proto::access_service_client::AccessServiceClient;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use crate::keeper::{Keeper, Process, Program, tail};

/// The operator's token.
pub(crate) const TOKEN: &str = "chaos-operator-token-0123456789";
/// How long a start may take where nothing is broken.
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) type Client = AccessServiceClient<Channel>;

/// A place for a process of the service.
pub(crate) struct Replica {
    name: String,
    binary: PathBuf,
    keeper: Arc<Keeper>,
    environment: Vec<(String, String)>,
    process: tokio::sync::Mutex<Option<Process>>,
    channel: RwLock<Channel>,
    admin: Mutex<String>,
}

impl Replica {
    /// Nothing runs yet. Without another binary it is this build's.
    pub(crate) fn new(
        keeper: &Arc<Keeper>,
        number: usize,
        binary: Option<&Path>,
        environment: Vec<(String, String)>,
    ) -> Self {
        Self {
            name: format!("replica-{number}"),
            binary: binary.unwrap_or(Path::new(env!("CARGO_BIN_EXE_doorward"))).to_owned(),
            keeper: keeper.clone(),
            environment,
            process: tokio::sync::Mutex::new(None),
            channel: RwLock::new(endpoint("127.0.0.1:1")),
            admin: Mutex::new(String::new()),
        }
    }

    /// Starts it unless it runs, and waits until it listens. One that gives up is started again.
    pub(crate) async fn start(&self) {
        let mut slot = self.process.lock().await;
        let end = Instant::now() + PATIENCE;
        while slot.is_none() {
            assert!(Instant::now() < end, "{} did not start:\n{}", self.name, tail(&self.keeper, &self.name));
            let mut process = self.launch(vec!["serve".to_owned()]);
            let lines = lines(process.stdout());
            while Instant::now() < end {
                let found = lines.try_iter().find(|line| line.starts_with("listening "));
                if let Some(line) = found {
                    self.listens(&line);
                    *slot = Some(process);
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
                if process.ended().is_some() {
                    break;
                }
            }
        }
    }

    fn listens(&self, line: &str) {
        let after = |name: &str| line.split(' ').find_map(|word| word.strip_prefix(name)).unwrap().to_owned();
        *self.channel.write().unwrap() = endpoint(&after("grpc="));
        *self.admin.lock().unwrap() = after("admin=");
    }

    /// Runs another command of the binary to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) {
        let mut process = self.launch(arguments.iter().map(|&argument| argument.to_owned()).collect());
        let ended = process.wait(PATIENCE).await;
        assert_eq!(ended, Some(true), "{arguments:?} failed:\n{}", tail(&self.keeper, &self.name));
    }

    fn launch(&self, arguments: Vec<String>) -> Process {
        let program = Program {
            name: &self.name,
            path: self.binary.clone(),
            arguments,
            environment: self.environment.clone(),
            user: None,
            last_signal: "KILL",
        };
        Process::start(&self.keeper, &program)
    }

    /// kill -9.
    pub(crate) async fn kill(&self) {
        *self.process.lock().await = None;
    }

    /// SIGTERM: it drains. Answers whether it ended well, and in time.
    pub(crate) async fn terminate(&self, patience: Duration) -> bool {
        let mut slot = self.process.lock().await;
        let Some(mut process) = slot.take() else { return true };
        process.signal("TERM");
        process.wait(patience).await == Some(true)
    }

    /// Sends a signal, if it runs.
    pub(crate) async fn signal(&self, signal: &str) {
        if let Some(process) = self.process.lock().await.as_ref() {
            process.signal(signal);
        }
    }

    /// A client; a new one is needed after a new start.
    pub(crate) fn client(&self) -> Client {
        AccessServiceClient::new(self.channel.read().unwrap().clone())
    }

    /// Its metrics, if it answers.
    pub(crate) async fn metrics(&self) -> Option<String> {
        let address = self.admin.lock().unwrap().clone();
        let ask = async {
            let mut stream = TcpStream::connect(address).await.ok()?;
            stream
                .write_all(b"GET /metrics HTTP/1.1\r\nHost: chaos\r\nConnection: close\r\n\r\n")
                .await
                .ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.ok()?;
            Some(answer)
        };
        tokio::time::timeout(Duration::from_secs(2), ask).await.ok().flatten()
    }
}

fn lines(stdout: std::process::ChildStdout) -> Receiver<String> {
    let (sender, lines) = sync_channel(64);
    std::thread::spawn(move || {
        // It goes on reading when nobody listens any more: a full pipe would stop the service.
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            let _ = sender.try_send(line);
        }
    });
    lines
}

fn endpoint(address: &str) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect_timeout(Duration::from_secs(1)).connect_lazy()
}

/// A request of the operator, with a deadline.
pub(crate) fn signed<T>(message: T, deadline: Duration) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request.set_timeout(deadline);
    request
}

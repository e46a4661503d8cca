//! The server under load: the real binary on a private Postgres, set as it is shipped but for what the load needs.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use doorward::proto::access_service_client::AccessServiceClient;
use sea_orm::{ConnectionTrait, Database};
use tonic::Request;
use tonic::transport::{Channel, Endpoint};

use crate::keeper::{Keeper, Process, Program, tail};
use crate::postgres::Postgres;

/// The operator's token.
pub(crate) const TOKEN: &str = "overload-operator-token-0123456789";
const ROOT: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";
const NAME: &str = "server";
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that answers, until it is dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    process: Process,
    postgres: Postgres,
    keeper: Arc<Keeper>,
}

impl Server {
    /// Starts it on an empty database, with some limits other than the shipped ones.
    pub(crate) async fn start(limits: &[(&str, &str)]) -> Self {
        let keeper = Keeper::start();
        let postgres = Postgres::start(&keeper).await;
        let environment = environment(postgres.address().port(), limits);
        let launch = |argument: &[&str]| {
            let program = Program {
                name: NAME,
                path: PathBuf::from(env!("CARGO_BIN_EXE_doorward")),
                arguments: argument.iter().map(|&argument| argument.to_owned()).collect(),
                environment: environment.clone(),
                user: None,
                last_signal: "KILL",
            };
            Process::start(&keeper, &program)
        };
        let migrated = launch(&["migrate", "up"]).wait(PATIENCE).await;
        assert_eq!(migrated, Some(true), "the schema was not made:\n{}", tail(&keeper, NAME));
        let mut process = launch(&["serve"]);
        let lines = lines(process.stdout());
        let end = Instant::now() + PATIENCE;
        let line = loop {
            if let Some(line) = lines.try_iter().find(|line| line.starts_with("listening ")) {
                break line;
            }
            let waits = Instant::now() < end && process.ended().is_none();
            assert!(waits, "the server did not start:\n{}", tail(&keeper, NAME));
            tokio::time::sleep(Duration::from_millis(10)).await;
        };
        let address = line.split(' ').find_map(|word| word.strip_prefix("grpc=")).unwrap().parse().unwrap();
        Self { address, process, postgres, keeper }
    }

    /// A client for what is not load.
    pub(crate) fn client(&self) -> AccessServiceClient<Channel> {
        let endpoint = Endpoint::from_shared(format!("http://{}", self.address)).unwrap();
        AccessServiceClient::new(endpoint.connect_lazy())
    }

    /// Lets the database learn what is in it, as it does by itself within a minute or so.
    pub(crate) async fn analyze(&self) {
        let url = format!("postgres://postgres@127.0.0.1:{}/postgres", self.postgres.address().port());
        let database = Database::connect(url).await.unwrap();
        database.execute_unprepared("ANALYZE").await.unwrap();
    }

    /// Whether it has not ended.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// What it has said last on stderr.
    pub(crate) fn last_words(&self) -> String {
        tail(&self.keeper, NAME)
    }
}

fn environment(postgres: u16, limits: &[(&str, &str)]) -> Vec<(String, String)> {
    let set = [
        ("SERVER__LISTEN", "127.0.0.1:0".to_owned()),
        ("ADMIN__LISTEN", "127.0.0.1:0".to_owned()),
        ("DATABASE__URL", format!("postgres://postgres@127.0.0.1:{postgres}/postgres")),
        ("AUTH__OPERATOR_TOKEN", TOKEN.to_owned()),
        ("KEYS__ROOT", ROOT.to_owned()),
        ("LOG__LEVEL", "warn".to_owned()),
        // The load is one caller's.
        ("LIMITS__TENANT_CALLS_PER_S", "0".to_owned()),
    ];
    let limits = limits.iter().map(|(name, value)| (format!("LIMITS__{name}"), (*value).to_owned()));
    let set = set.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(limits);
    set.map(|(name, value)| (format!("DOORWARD_{name}"), value)).collect()
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

/// A request of the operator.
pub(crate) fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request.set_timeout(PATIENCE);
    request
}

//! A private Redis that can be killed, emptied, set back to old data, and spoilt key by key.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

use crate::keeper::{Keeper, Process, Program, tail};
use crate::machine::free_port;

const PATIENCE: Duration = Duration::from_secs(20);
/// How many keys a poisoning looks at.
const KEYS_MAX: usize = 2_000;

/// The server.
pub(crate) struct Redis {
    keeper: Arc<Keeper>,
    home: PathBuf,
    port: u16,
    process: Option<Process>,
}

impl Redis {
    /// Starts an empty one.
    pub(crate) async fn start(keeper: &Arc<Keeper>) -> Self {
        let home = keeper.directory().join("redis");
        std::fs::create_dir(&home).unwrap();
        let mut redis = Self { keeper: keeper.clone(), home, port: free_port(), process: None };
        redis.serve(false).await;
        redis
    }

    pub(crate) fn address(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.port))
    }

    /// Kills it: what it held is gone.
    pub(crate) fn kill(&mut self) {
        self.process = None;
    }

    /// Starts it again, if it does not run: empty, or with what [`Self::remember`] kept.
    pub(crate) async fn serve(&mut self, with_old_data: bool) {
        if self.process.is_some() {
            return;
        }
        let (dump, old) = (self.home.join("dump.rdb"), self.home.join("old.rdb"));
        if with_old_data && old.exists() {
            std::fs::copy(&old, &dump).unwrap();
        } else if dump.exists() {
            std::fs::remove_file(&dump).unwrap();
        }
        let port = self.port.to_string();
        let home = self.home.display().to_string();
        let arguments =
            ["--port", &port, "--bind", "127.0.0.1", "--dir", &home, "--save", "", "--logfile", ""];
        let program = Program {
            name: "redis",
            path: PathBuf::from("redis-server"),
            arguments: arguments.map(str::to_owned).to_vec(),
            environment: Vec::new(),
            user: None,
            last_signal: "KILL",
        };
        self.process = Some(Process::start(&self.keeper, &program));
        let end = Instant::now() + PATIENCE;
        while self.ask(&[b"PING"]).await.is_none_or(|answer| answer != b"PONG") {
            assert!(Instant::now() < end, "Redis did not start:\n{}", tail(&self.keeper, "redis"));
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Keeps what it holds now, to be restored later.
    pub(crate) async fn remember(&self) {
        if self.ask(&[b"SAVE"]).await.is_some() {
            std::fs::copy(self.home.join("dump.rdb"), self.home.join("old.rdb")).unwrap();
        }
    }

    /// Forgets everything.
    pub(crate) async fn flush(&self) {
        self.ask(&[b"FLUSHALL"]).await;
    }

    /// Answers nobody for a while, and then everybody.
    pub(crate) async fn pause(&self, milliseconds: u64) {
        self.ask(&[b"CLIENT", b"PAUSE", milliseconds.to_string().as_bytes(), b"ALL"]).await;
    }

    /// Spoils values: cut short, a bit turned, or something else altogether.
    pub(crate) async fn poison(&self, rng: &mut StdRng) -> usize {
        let Some(mut connection) = Connection::open(self.address()).await else { return 0 };
        let keys = connection.keys().await;
        let mut spoilt = 0;
        for key in &keys {
            if rng.random_bool(0.5) {
                let value = connection.ask(&[b"GET", key]).await.and_then(Answer::bytes).unwrap_or_default();
                let value = spoil(value, rng);
                spoilt += usize::from(connection.ask(&[b"SET", key, &value]).await.is_some());
            }
        }
        spoilt
    }

    /// Gives keys the values of other keys.
    pub(crate) async fn swap(&self, rng: &mut StdRng) -> usize {
        let Some(mut connection) = Connection::open(self.address()).await else { return 0 };
        let keys = connection.keys().await;
        let mut swapped = 0;
        for one in &keys {
            if let Some(other) = keys.choose(rng).filter(|other| *other != one) {
                let away: &[u8] = b"chaos-swap";
                for pair in [[one.as_slice(), away], [other.as_slice(), one], [away, other]] {
                    swapped += usize::from(connection.ask(&[b"RENAME", pair[0], pair[1]]).await.is_some());
                }
            }
        }
        swapped / 3
    }

    async fn ask(&self, words: &[&[u8]]) -> Option<Vec<u8>> {
        let mut connection = Connection::open(self.address()).await?;
        connection.ask(words).await?.bytes()
    }
}

fn spoil(mut value: Vec<u8>, rng: &mut StdRng) -> Vec<u8> {
    match rng.random_range(0..3) {
        0 => value.truncate(rng.random_range(0..=value.len())),
        1 if !value.is_empty() => {
            let at = rng.random_range(0..value.len());
            value[at] ^= 1 << rng.random_range(0..8);
        }
        _ => value = (0..rng.random_range(0..200)).map(|_| rng.random()).collect(),
    }
    value
}

/// What Redis answers, as far as it is used here.
enum Answer {
    Bytes(Vec<u8>),
    Nothing,
    List(Vec<Answer>),
}

impl Answer {
    fn bytes(self) -> Option<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Some(bytes),
            Self::Nothing | Self::List(_) => None,
        }
    }
}

/// A connection that speaks RESP 2.
struct Connection {
    stream: BufReader<TcpStream>,
}

impl Connection {
    async fn open(address: SocketAddr) -> Option<Self> {
        Some(Self { stream: BufReader::new(TcpStream::connect(address).await.ok()?) })
    }

    /// `None` for an error of any kind.
    async fn ask(&mut self, words: &[&[u8]]) -> Option<Answer> {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend(format!("${}\r\n", word.len()).into_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        let exchange = async {
            self.stream.get_mut().write_all(&request).await?;
            self.answer().await
        };
        tokio::time::timeout(PATIENCE, exchange).await.ok()?.ok()
    }

    async fn keys(&mut self) -> Vec<Vec<u8>> {
        let Some(Answer::List(keys)) = self.ask(&[b"KEYS", b"*"]).await else { return Vec::new() };
        keys.into_iter().filter_map(Answer::bytes).take(KEYS_MAX).collect()
    }

    async fn answer(&mut self) -> std::io::Result<Answer> {
        let mut line = String::new();
        self.stream.read_line(&mut line).await?;
        let line = line.trim_end();
        let (kind, rest) = line.split_at_checked(1).ok_or(ErrorKind::UnexpectedEof)?;
        let length = || rest.parse::<i64>().map_err(|_| ErrorKind::InvalidData);
        match kind {
            "+" | ":" => Ok(Answer::Bytes(rest.as_bytes().to_vec())),
            "$" => match usize::try_from(length()?) {
                Err(_) => Ok(Answer::Nothing),
                Ok(length) => {
                    let mut bytes = vec![0; length + 2];
                    self.stream.read_exact(&mut bytes).await?;
                    bytes.truncate(length);
                    Ok(Answer::Bytes(bytes))
                }
            },
            "*" => {
                let mut list = Vec::new();
                for _ in 0..length()? {
                    list.push(Box::pin(self.answer()).await?);
                }
                Ok(Answer::List(list))
            }
            _ => Err(ErrorKind::Other.into()),
        }
    }
}

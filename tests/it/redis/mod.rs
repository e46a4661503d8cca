//! Private Redis servers for the tests: starts one, stops it, holds it, speaks to it; knows nothing of Doorward.
//!
//! A server belongs to this process and ends with it, however it ends: the shell script below owns it and reads from a
//! pipe that only this process writes to. The pipe's end of file is the order to kill the server and to remove its
//! directory. A machine's own Redis is never used.
#![expect(clippy::panic, reason = "a test without its Redis must fail, and say why")]
#![expect(clippy::disallowed_methods, reason = "a server that does not start is waited for so long")]

mod forms;
mod link;

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) use self::forms::{Tls, Watched, cluster};
pub(crate) use self::link::Link;
use crate::binary::until;
use crate::keeper::Keeper;
use crate::machine::free_port;

const START_ATTEMPTS_MAX: u32 = 5;
const READY_MAX: Duration = Duration::from_secs(20);

/// Answers on stdout: first the directory it made, then a line for each order: `start [OPTION]`, `stop`, `pause`,
/// `resume`. The server's configuration is `redis.conf` in the directory.
const KEEPER: &str = r#"
trap '' INT TERM HUP PIPE
directory=$(mktemp -d "${TMPDIR:-/tmp}/doorward-redis.XXXXXX" 2>/dev/null ||
    mktemp -d /tmp/doorward-redis.XXXXXX) || exit 1
server=
stop() {
    if [ -n "$server" ]; then kill -CONT "$server"; kill -KILL "$server"; wait "$server"; server=; fi
}
finish() { stop; rm -rf "$directory"; }
trap finish EXIT
cd "$directory" || exit 1
exec 2>>"$directory/log"
echo "$directory"
while read -r order option; do
    case $order in
    start)
        redis-server "$directory/redis.conf" $option >>"$directory/log" 2>&1 </dev/null &
        server=$!
        ;;
    stop) stop ;;
    pause) kill -STOP "$server" ;;
    resume) kill -CONT "$server" ;;
    esac
    echo done
done
"#;

/// A server of its own; it ends when the value is dropped.
pub(crate) struct Redis {
    keeper: Keeper,
    port: u16,
    option: &'static str,
}

/// What a server answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Text(String),
    Error(String),
    Number(i64),
    Bytes(Option<Vec<u8>>),
    List(Vec<Reply>),
}

impl Redis {
    /// A server with these lines of configuration besides a port.
    pub(crate) fn start(lines: &str) -> Self {
        Self::start_as(lines, "")
    }

    fn start_as(lines: &str, option: &'static str) -> Self {
        let mut keeper = keeper();
        for _ in 0..START_ATTEMPTS_MAX {
            let port = free_port();
            let lines = format!("bind 127.0.0.1\nport {port}\nsave \"\"\nappendonly no\n{lines}\n");
            let lines =
                if option.is_empty() { lines } else { lines.replace("save \"\"\nappendonly no\n", "") };
            write(&keeper, "redis.conf", lines.as_bytes());
            let mut redis = Self { keeper, port, option };
            if redis.try_start() {
                return redis;
            }
            redis.stop();
            keeper = redis.keeper;
        }
        panic!("redis-server did not start:\n{}", keeper.log())
    }

    /// The address of the plain port.
    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// `redis://…` of the plain port.
    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address())
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// A file in the server's directory.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.keeper.directory.join(name)
    }

    fn order(&mut self, order: &str) {
        if self.keeper.order(order) != "done" {
            panic!("the keeper of Redis does not obey:\n{}", self.keeper.log());
        }
    }

    /// Kills the server: what it held is gone.
    pub(crate) fn stop(&mut self) {
        self.order("stop");
    }

    /// Starts it again, on the same port.
    pub(crate) fn start_again(&mut self) {
        if !self.try_start() {
            panic!("redis-server did not start again on port {}:\n{}", self.port, self.keeper.log());
        }
    }

    /// Holds the server as it is: connections stay open, nothing is answered.
    pub(crate) fn pause(&mut self) {
        self.order("pause");
    }

    /// Lets it go on.
    pub(crate) fn resume(&mut self) {
        self.order("resume");
    }

    /// Empties it.
    pub(crate) fn flush(&self) {
        assert_eq!(self.command(&["FLUSHALL"]), Reply::Text("OK".to_owned()));
    }

    /// What it answers to a command.
    pub(crate) fn command<T: AsRef<[u8]>>(&self, words: &[T]) -> Reply {
        match self.try_command(words) {
            Ok(reply) => reply,
            Err(error) => panic!("redis-server on port {} does not answer: {error}", self.port),
        }
    }

    fn try_command<T: AsRef<[u8]>>(&self, words: &[T]) -> std::io::Result<Reply> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port))?;
        stream.set_read_timeout(Some(READY_MAX))?;
        let mut message = format!("*{}\r\n", words.len()).into_bytes();
        for word in words.iter().map(AsRef::as_ref) {
            message.extend(format!("${}\r\n", word.len()).into_bytes());
            message.extend(word);
            message.extend(b"\r\n");
        }
        stream.write_all(&message)?;
        reply(&mut BufReader::new(stream))
    }

    fn try_start(&mut self) -> bool {
        self.order(&format!("start {}", self.option));
        let ours = self.file("redis.conf");
        let until = Instant::now() + READY_MAX;
        while Instant::now() < until {
            match self.try_command(&["INFO", "server"]) {
                Ok(Reply::Bytes(Some(said))) => {
                    // Another process's server may have the port.
                    return String::from_utf8_lossy(&said)
                        .contains(&format!("config_file:{}", ours.display()));
                }
                _ if self.keeper.log().contains("Address already in use") => return false,
                _ => std::thread::sleep(Duration::from_millis(10)),
            }
        }
        false
    }
}

fn reply(from: &mut impl BufRead) -> std::io::Result<Reply> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let broken = || std::io::Error::other(format!("not a reply: {line:?}"));
    let rest = line.get(1..).unwrap_or_default().trim_end();
    let number = || rest.parse::<i64>().map_err(|_| broken());
    match line.chars().next() {
        Some('+') => Ok(Reply::Text(rest.to_owned())),
        Some('-') => Ok(Reply::Error(rest.to_owned())),
        Some(':') => Ok(Reply::Number(number()?)),
        Some('$') => {
            let Ok(length) = usize::try_from(number()?) else { return Ok(Reply::Bytes(None)) };
            let mut bytes = vec![0; length + 2];
            from.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(Reply::Bytes(Some(bytes)))
        }
        Some('*') => (0..number()?).map(|_| reply(from)).collect::<std::io::Result<_>>().map(Reply::List),
        _ => Err(broken()),
    }
}

fn keeper() -> Keeper {
    let found = Command::new("redis-server").arg("--version").stdin(Stdio::null()).output();
    if let Err(error) = found {
        panic!("`redis-server` does not run ({error}): install it; `./scripts/test.sh` does");
    }
    Keeper::start("Redis", KEEPER, &[], None)
}

fn write(keeper: &Keeper, name: &str, bytes: &[u8]) {
    if let Err(error) = std::fs::write(keeper.directory.join(name), bytes) {
        panic!("{}: {error}", keeper.directory.display());
    }
}

//! What the machine of a test has: Postgres's programs, a user to run them as, a free port. Knows no server.
#![expect(clippy::panic, reason = "a test without its database must fail, and say why")]
#![expect(clippy::disallowed_methods, reason = "the harness is configured by the environment")]

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Names the directory that holds `initdb`, `postgres` and `createdb`; what it says is never overruled.
const DIRECTORY_VARIABLE: &str = "DOORWARD_TEST_POSTGRES";
const PROGRAMS: [&str; 3] = ["initdb", "postgres", "createdb"];

/// Where packages put the programs without putting them on PATH: parent, start of the versioned name, rest of the path.
const INSTALLED: [(&str, &str, &str); 5] = [
    ("/usr/lib/postgresql", "", "bin"),
    ("/usr/libexec", "postgresql", ""),
    ("/usr", "pgsql-", "bin"),
    ("/opt/homebrew/opt", "postgresql@", "bin"),
    ("/usr/local/opt", "postgresql@", "bin"),
];

/// The directory of the programs: the variable's or none; else one on PATH, else the newest installed.
pub(crate) fn programs() -> PathBuf {
    if let Some(named) = std::env::var_os(DIRECTORY_VARIABLE) {
        let named = PathBuf::from(named);
        return match lacking(&named) {
            None => named,
            Some(program) => {
                panic!("{DIRECTORY_VARIABLE} is `{}`, which has no `{program}`", named.display())
            }
        };
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).find(|directory| lacking(directory).is_none());
    found.or_else(newest_installed).unwrap_or_else(|| {
        panic!(
            "no Postgres server was found (`initdb`, `postgres`, `createdb`): install the package `postgresql`, \
             or let {DIRECTORY_VARIABLE} name the directory that holds them; `./scripts/test.sh` installs it"
        )
    })
}

fn lacking(directory: &Path) -> Option<&'static str> {
    PROGRAMS.into_iter().find(|program| !directory.is_absolute() || !directory.join(program).is_file())
}

fn newest_installed() -> Option<PathBuf> {
    let mut found: Vec<(u32, PathBuf)> = INSTALLED.into_iter().flat_map(installed_below).collect();
    found.retain(|(_, directory)| lacking(directory).is_none());
    found.into_iter().max().map(|(_, directory)| directory)
}

fn installed_below((parent, start, rest): (&str, &str, &str)) -> Vec<(u32, PathBuf)> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let versioned = entries.filter_map(|entry| {
        let version = entry.file_name().to_str()?.strip_prefix(start)?.parse().ok()?;
        Some((version, entry.path().join(rest)))
    });
    versioned.collect()
}

/// Whom the server runs as where this process is root, which Postgres refuses: user and group id.
pub(crate) fn unprivileged() -> Option<(u32, u32)> {
    if id(&["-u"])? != 0 {
        return None;
    }
    let known =
        ["postgres", "nobody"].into_iter().find_map(|name| Some((id(&["-u", name])?, id(&["-g", name])?)));
    Some(known.unwrap_or_else(|| {
        panic!("Postgres does not run as root, and there is no user `postgres` or `nobody`")
    }))
}

fn id(arguments: &[&str]) -> Option<u32> {
    let output = Command::new("id").args(arguments).stdin(Stdio::null()).output().ok()?;
    String::from_utf8_lossy(&output.stdout).trim().parse().ok()
}

/// A port that was free a moment ago; who loses it to another process in between asks again.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).and_then(|listener| listener.local_addr());
    listener.unwrap_or_else(|error| panic!("no free port on 127.0.0.1: {error}")).port()
}

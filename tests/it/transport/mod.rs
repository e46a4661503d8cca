//! Sockets and connections: TLS that follows its files, limits of connections, clients that are hostile, a graceful end.
#![expect(clippy::disallowed_methods, reason = "how long a connection is borne is what is tested")]

pub(crate) mod certificates;
mod end;
pub(crate) mod frames;
mod hostile;
mod limits;
mod measured;
mod stores;
mod tls;
pub(crate) mod victim;

/// The value of a series of the metrics.
pub(crate) fn counted(admin: &str, series: &str) -> f64 {
    let (_, text) = crate::binary::get(admin, "/metrics");
    let found = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok());
    found.unwrap_or_else(|| panic!("no `{series}` in:\n{text}"))
}

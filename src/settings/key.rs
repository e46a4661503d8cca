//! Every setting there is: its name, what it may be, and where it goes.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use secrecy::SecretString;

use super::oidc;
use super::problem::{Given, Problems, Value};
use super::root::Root;
use super::telemetry;
use super::{ClientAuth, Coherence, LogFormat, Settings};

/// A setting.
pub(super) struct Key {
    /// Section and name, with a dot between them.
    pub(super) name: &'static str,
    /// What it may be, for people.
    pub(super) allowed: &'static str,
    /// Whether a value must not be repeated.
    pub(super) secret: bool,
    /// Takes a value, unless it is not allowed.
    set: fn(&mut Settings, &str) -> bool,
}

impl Key {
    const fn new(name: &'static str, allowed: &'static str, set: fn(&mut Settings, &str) -> bool) -> Self {
        Self { name, allowed, secret: false, set }
    }

    /// Its section and the name within it.
    pub(super) fn parts(&self) -> (&'static str, &'static str) {
        self.name.split_once('.').unwrap_or((self.name, ""))
    }

    const fn secret(name: &'static str, allowed: &'static str, set: fn(&mut Settings, &str) -> bool) -> Self {
        Self { name, allowed, secret: true, set }
    }
}

const ADDRESS: &str = "an address and a port, such as 127.0.0.1:50051 or [::]:0";
const CONNECTIONS: &str = "a number from 1 to 1000";
const CALLS: &str = "a number of calls from 1 to 1000000";
const DEADLINE: &str = "milliseconds from 1 to 600000";
const RATE: &str = "a number from 0 (no limit) to 1000000";
const PEM: &str = "the path of a PEM file";
const REDIS: &str = "redis://HOST, rediss://HOST, redis+cluster://HOST,HOST or redis+sentinel://HOST,HOST/MASTER, \
                     with USER:PASSWORD@ before the host where there is one";
const ROOT: &str = "32 bytes as 64 hexadecimal digits or as base64, or the path of a file that holds them";

/// All of them.
pub(super) const KEYS: &[Key] = &[
    Key::new("server.listen", ADDRESS, |s, text| parse(&mut s.server.listen, text)),
    Key::new("server.workers", "a number from 0 (one for each core) to 1024", |s, text| {
        number(&mut s.server.workers, text, 0..=1024)
    }),
    Key::new("server.grace_ms", "milliseconds from 0 to 600000", |s, text| {
        number(&mut s.server.grace_ms, text, 0..=600_000)
    }),
    Key::new("server.connections_max", "a number from 1 to 1000000", |s, text| {
        number(&mut s.server.connections_max, text, 1..=1_000_000)
    }),
    Key::new("server.streams_max", "a number from 1 to 10000", |s, text| {
        number(&mut s.server.streams_max, text, 1..=10_000)
    }),
    Key::new("server.connection_age_s", "seconds from 1 to 86400", |s, text| {
        number(&mut s.server.connection_age_s, text, 1..=86_400)
    }),
    Key::new("server.greeting_ms", "milliseconds from 100 to 60000", |s, text| {
        number(&mut s.server.greeting_ms, text, 100..=60_000)
    }),
    Key::new("server.stall_ms", "milliseconds from 100 to 600000", |s, text| {
        number(&mut s.server.stall_ms, text, 100..=600_000)
    }),
    Key::new("tls.cert_file", PEM, |s, text| file(&mut s.tls.cert_file, text)),
    Key::new("tls.key_file", PEM, |s, text| file(&mut s.tls.key_file, text)),
    Key::new("tls.client_ca_file", PEM, |s, text| file(&mut s.tls.client_ca_file, text)),
    Key::new("tls.client_auth", "none, optional or required", |s, text| {
        client_auth(&mut s.tls.client_auth, text)
    }),
    Key::new("admin.listen", ADDRESS, |s, text| parse(&mut s.admin.listen, text)),
    Key::secret("database.url", "postgres://USER:PASSWORD@HOST/DATABASE or sqlite:///PATH", |s, text| {
        url(&mut s.database.url, text)
    }),
    Key::new("database.reads_max", CONNECTIONS, |s, text| number(&mut s.database.reads_max, text, 1..=1000)),
    Key::new("database.writes_max", CONNECTIONS, |s, text| {
        number(&mut s.database.writes_max, text, 1..=1000)
    }),
    Key::secret("database.direct_url", "postgres://USER:PASSWORD@HOST/DATABASE", |s, text| {
        direct_url(&mut s.database.direct_url, text)
    }),
    Key::secret("redis.url", REDIS, |s, text| redis_url(&mut s.redis.url, text)),
    Key::new("redis.ca_file", PEM, |s, text| file(&mut s.redis.ca_file, text)),
    Key::new("redis.ttl_s", "seconds from 1 to 604800", |s, text| {
        number(&mut s.redis.ttl_s, text, 1..=604_800)
    }),
    Key::new("cache.near_mb", "megabytes from 1 to 1048576", |s, text| {
        number(&mut s.cache.near_mb, text, 1..=1_048_576)
    }),
    Key::new("cache.lease_ms", "milliseconds from 100 to 60000", |s, text| {
        number(&mut s.cache.lease_ms, text, 100..=60_000)
    }),
    Key::new("cache.poll_ms", "milliseconds from 5 to 10000, at most half of the lease", |s, text| {
        number(&mut s.cache.poll_ms, text, 5..=10_000)
    }),
    Key::new("cache.suspend_ms", "milliseconds from 50 to 60000", |s, text| {
        number(&mut s.cache.suspend_ms, text, 50..=60_000)
    }),
    Key::new("cache.coherence", "registry or wait_only", |s, text| coherence(&mut s.cache.coherence, text)),
    Key::new("cache.stale_ms", "milliseconds from 0 (never) to 86400000", |s, text| {
        number(&mut s.cache.stale_ms, text, 0..=86_400_000)
    }),
    Key::new("limits.in_flight", CALLS, |s, text| number(&mut s.limits.in_flight, text, 1..=1_000_000)),
    Key::new("limits.checks", CALLS, |s, text| number(&mut s.limits.checks, text, 1..=1_000_000)),
    Key::new("limits.reads", CALLS, |s, text| number(&mut s.limits.reads, text, 1..=1_000_000)),
    Key::new("limits.writes", CALLS, |s, text| number(&mut s.limits.writes, text, 1..=1_000_000)),
    Key::new("limits.streams", CALLS, |s, text| number(&mut s.limits.streams, text, 1..=1_000_000)),
    Key::new("limits.loads", "a number of questions from 1 to 1000000", |s, text| {
        number(&mut s.limits.loads, text, 1..=1_000_000)
    }),
    Key::new("limits.check_deadline_ms", DEADLINE, |s, text| {
        number(&mut s.limits.check_deadline_ms, text, 1..=600_000)
    }),
    Key::new("limits.admin_deadline_ms", DEADLINE, |s, text| {
        number(&mut s.limits.admin_deadline_ms, text, 1..=600_000)
    }),
    Key::new("limits.tenant_calls_per_s", RATE, |s, text| {
        number(&mut s.limits.tenant_calls_per_s, text, 0..=1_000_000)
    }),
    Key::new("limits.tenant_checks_per_s", RATE, |s, text| {
        number(&mut s.limits.tenant_checks_per_s, text, 0..=1_000_000)
    }),
    Key::new("limits.accepts_per_s", RATE, |s, text| {
        number(&mut s.limits.accepts_per_s, text, 0..=1_000_000)
    }),
    Key::secret(
        "auth.operator_token",
        "16 to 512 visible ASCII characters, not beginning with dws_ or dwk_",
        |s, text| token(&mut s.auth.operator_token, text),
    ),
    Key::new("auth.services_file", "the path of a TOML file", |s, text| {
        optional(&mut s.auth.services_file, text, |path| Some(PathBuf::from(path)))
    }),
    Key::new("auth.oidc_issuer", oidc::PROVIDER, |s, text| oidc::url(&mut s.auth.provider.issuer, text)),
    Key::new("auth.oidc_audience", "at most 512 bytes without control characters", |s, text| {
        oidc::audience(&mut s.auth.provider.audience, text)
    }),
    Key::new("auth.oidc_jwks_url", oidc::PROVIDER, |s, text| oidc::url(&mut s.auth.provider.jwks_url, text)),
    Key::new("auth.oidc_algorithms", oidc::ALGORITHMS, |s, text| {
        oidc::algorithms(&mut s.auth.provider.algorithms, text)
    }),
    Key::new("auth.oidc_ca_file", "the path of a PEM file", |s, text| {
        optional(&mut s.auth.provider.ca_file, text, |path| Some(PathBuf::from(path)))
    }),
    Key::secret("keys.root", ROOT, |s, text| optional(&mut s.keys.root, text, Root::parse)),
    Key::secret("keys.previous", ROOT, |s, text| optional(&mut s.keys.previous, text, Root::parse)),
    Key::new("catalogue.file", "the path of a TOML file", |s, text| file(&mut s.catalogue.file, text)),
    Key::new("policy.trial_days", "days from 0 to 3650", |s, text| {
        number(&mut s.policy.trial_days, text, 0..=3650)
    }),
    Key::new("policy.grace_days", "days from 0 to 3650", |s, text| {
        number(&mut s.policy.grace_days, text, 0..=3650)
    }),
    Key::new("policy.invitation_hours", "hours from 1 to 87600", |s, text| {
        number(&mut s.policy.invitation_hours, text, 1..=87_600)
    }),
    Key::new("log.format", "text or json", |s, text| format(&mut s.log.format, text)),
    Key::new(
        "log.level",
        "off, error, warn, info, debug or trace, also per module: warn,doorward=debug",
        |s, text| level(&mut s.log.level, text),
    ),
    Key::new("telemetry.otlp_endpoint", telemetry::ENDPOINT, |s, text| {
        telemetry::endpoint(&mut s.telemetry.otlp_endpoint, text)
    }),
    Key::new("telemetry.otlp_ca_file", PEM, |s, text| file(&mut s.telemetry.otlp_ca_file, text)),
    Key::new("telemetry.otlp_timeout_ms", "milliseconds from 1 to 60000", |s, text| {
        number(&mut s.telemetry.otlp_timeout_ms, text, 1..=60_000)
    }),
    Key::new("telemetry.trace_ratio", "a number from 0 (none) to 1 (all)", |s, text| {
        number(&mut s.telemetry.trace_ratio, text, 0.0..=1.0)
    }),
    Key::new("telemetry.trace_queue", "a number of spans from 1 to 1000000", |s, text| {
        number(&mut s.telemetry.trace_queue, text, 1..=1_000_000)
    }),
];

/// The setting of that name.
pub(super) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

/// Takes a value that a layer gives.
pub(super) fn set(settings: &mut Settings, given: &Given, problems: &mut Problems) {
    let Some(key) = find(&given.name) else {
        return problems.unknown(given);
    };
    let taken = match &given.value {
        Value::Text(text) => (key.set)(settings, text),
        Value::Other(_) => false,
    };
    if taken {
        settings.origins.note(key, given);
    } else {
        problems.not_allowed(given, key);
    }
}

fn keep<T>(slot: &mut T, value: Option<T>) -> bool {
    let taken = value.is_some();
    if let Some(value) = value {
        *slot = value;
    }
    taken
}

fn parse<T: FromStr>(slot: &mut T, text: &str) -> bool {
    keep(slot, text.parse().ok())
}

fn number<T: FromStr + PartialOrd>(slot: &mut T, text: &str, range: RangeInclusive<T>) -> bool {
    keep(slot, text.parse().ok().filter(|number| range.contains(number)))
}

/// An empty text is one that is not set.
fn optional<T>(slot: &mut Option<T>, text: &str, understand: impl Fn(&str) -> Option<T>) -> bool {
    let value = if text.is_empty() { Some(None) } else { understand(text).map(Some) };
    keep(slot, value)
}

fn file(slot: &mut Option<PathBuf>, text: &str) -> bool {
    optional(slot, text, |path| Some(PathBuf::from(path)))
}

fn client_auth(slot: &mut ClientAuth, text: &str) -> bool {
    let client_auth = match text {
        "none" => Some(ClientAuth::None),
        "optional" => Some(ClientAuth::Optional),
        "required" => Some(ClientAuth::Required),
        _ => None,
    };
    keep(slot, client_auth)
}

fn url(slot: &mut SecretString, text: &str) -> bool {
    let starts = ["postgres://", "postgresql://", "sqlite://"];
    let rest = starts.iter().find_map(|start| text.strip_prefix(start));
    keep(slot, rest.filter(|rest| !rest.is_empty()).map(|_| text.into()))
}

/// An empty one: it is that of the pools. A file has no pooler.
fn direct_url(slot: &mut SecretString, text: &str) -> bool {
    let good = text.is_empty() || !text.starts_with("sqlite:") && url(&mut SecretString::default(), text);
    keep(slot, good.then(|| text.into()))
}

/// An empty one: there is no Redis.
fn redis_url(slot: &mut SecretString, text: &str) -> bool {
    let starts = ["redis", "rediss", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel"];
    let good = match text.split_once("://") {
        Some((start, rest)) => starts.contains(&start) && !rest.is_empty(),
        None => text.is_empty(),
    };
    keep(slot, good.then(|| text.into()))
}

fn coherence(slot: &mut Coherence, text: &str) -> bool {
    let coherence = match text {
        "registry" => Some(Coherence::Registry),
        "wait_only" => Some(Coherence::WaitOnly),
        _ => None,
    };
    keep(slot, coherence)
}

/// It travels in a header, where nothing else can.
fn token(slot: &mut SecretString, text: &str) -> bool {
    // What begins as a service's secret or a key's is looked up as one.
    let is_anothers = ["dws_", "dwk_"].iter().any(|prefix| text.starts_with(prefix));
    let good = (16..=512).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) && !is_anothers;
    keep(slot, good.then(|| text.into()))
}

fn format(slot: &mut LogFormat, text: &str) -> bool {
    let format = match text {
        "text" => Some(LogFormat::Text),
        "json" => Some(LogFormat::Json),
        _ => None,
    };
    keep(slot, format)
}

/// Stricter than the filter itself, which takes a misspelt level for the name of a module.
fn level(slot: &mut String, text: &str) -> bool {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let is_module = |name: &str| {
        !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b':' | b'-'))
    };
    let good = text.split(',').all(|directive| {
        let (module, level) = directive.split_once('=').unwrap_or(("all", directive));
        is_module(module) && LEVELS.contains(&level)
    });
    keep(slot, good.then(|| text.to_owned()))
}

/// Whether a section of that name has settings.
pub(super) fn has_section(section: &str) -> bool {
    KEYS.iter().any(|key| key.parts().0 == section)
}

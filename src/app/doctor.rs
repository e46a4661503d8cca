//! What is wrong with a deployment, as `serve` would find it: settings, database, Redis, files. It changes nothing, and no
//! finding repeats a secret or a host.

use doorward_engine::instant::Instant;
use secrecy::ExposeSecret;

use super::{caches, callers, opening, tls};
use crate::cache::Far;
use crate::clock::Clock;
use crate::settings::{RootSource, Settings};
use crate::store::StoreError;
use crate::store::sql::{self, Examined, Unfit};

const MICROS: i64 = 1_000_000;
const DAY: i64 = 24 * 60 * 60 * MICROS;
/// A certificate that ends sooner is told of.
const EXPIRY_NEAR: i64 = 14 * DAY;
/// How far two clocks may be apart: tokens and certificates are judged by this machine's, all else by the database's.
const CLOCK_NEAR: i64 = 5 * MICROS;

/// How serious a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing is to be done.
    Ok,
    /// Something is to be done before long.
    Warning,
    /// The service would not start, or not work.
    Failed,
    /// It was not looked at.
    Skipped,
}

/// What was found out about something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// About what, in a word or two.
    pub about: &'static str,
    /// How serious it is.
    pub verdict: Verdict,
    /// What it is, and what to do.
    pub what: String,
}

impl Finding {
    /// All is well.
    pub fn ok(about: &'static str, what: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Ok, what: what.into() }
    }

    /// It would not work.
    pub fn failed(about: &'static str, what: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Failed, what: what.into() }
    }

    fn warning(about: &'static str, what: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Warning, what: what.into() }
    }

    fn skipped(about: &'static str, what: impl Into<String>) -> Self {
        Self { about, verdict: Verdict::Skipped, what: what.into() }
    }
}

/// Looks at everything.
pub async fn examine(settings: &Settings, clock: &Clock) -> Vec<Finding> {
    let mut findings = local(settings, clock);
    findings.extend(database(settings, clock).await);
    findings.push(redis(settings).await);
    findings
}

/// What needs no connection.
fn local(settings: &Settings, clock: &Clock) -> Vec<Finding> {
    let required = match settings.require_for_serving() {
        Ok(()) => vec![Finding::ok("settings", "valid, and complete enough to serve")],
        Err(error) => error.to_string().lines().map(|line| Finding::failed("settings", line)).collect(),
    };
    let rest = [keys(settings), callers(settings), certificate(settings, clock), catalogue(settings)];
    required.into_iter().chain(rest).collect()
}

fn keys(settings: &Settings) -> Finding {
    match settings.look_at_keys() {
        Ok(RootSource::Given) => Finding::ok("keys", "the root is given"),
        Ok(RootSource::Beside) => Finding::ok("keys", "the root lies beside the database's file: back it up"),
        Ok(RootSource::ToBeMade) => {
            Finding::ok("keys", "the first start makes a root beside the database's file")
        }
        Err(error) => Finding::failed("keys", error.to_string()),
    }
}

fn callers(settings: &Settings) -> Finding {
    let services = match callers::services(settings) {
        Ok(services) => services,
        Err(error) => return Finding::failed("callers", error.to_string()),
    };
    let auth = &settings.auth;
    let known = [
        (!auth.operator_token.expose_secret().is_empty()).then(|| "the operator's token".to_owned()),
        (services > 0).then(|| format!("{services} services of the file")),
        (!auth.provider.issuer.is_empty()).then(|| format!("people of {}", auth.provider.issuer)),
    ];
    let known: Vec<_> = known.into_iter().flatten().collect();
    if known.is_empty() {
        return Finding::failed("callers", "nobody could call: set auth.operator_token");
    }
    Finding::ok("callers", format!("{}; those of the database besides", known.join(", ")))
}

fn certificate(settings: &Settings, clock: &Clock) -> Finding {
    match tls::Tls::expiry(&settings.tls) {
        Err(problem) => Finding::failed("tls", problem.to_string()),
        Ok(None) => Finding::ok("tls", "off: the gRPC port speaks plain text, tls.cert_file turns it on"),
        Ok(Some(expiry)) => judge_expiry(expiry, clock.now()),
    }
}

fn judge_expiry(expiry: Instant, now: Instant) -> Finding {
    let left = expiry.micros().saturating_sub(now.micros());
    let days = left / DAY;
    if left <= 0 {
        Finding::failed("tls", format!("the certificate has ended, {expiry}: renew it"))
    } else if left < EXPIRY_NEAR {
        Finding::warning("tls", format!("the certificate ends in {days} days, {expiry}: renew it"))
    } else {
        Finding::ok("tls", format!("the certificate ends in {days} days, {expiry}"))
    }
}

fn catalogue(settings: &Settings) -> Finding {
    match opening::catalogue_document(settings) {
        Ok(_) if settings.catalogue.file.is_none() => {
            Finding::ok("catalogue", "the shipped one, for an empty database")
        }
        Ok(_) => Finding::ok("catalogue", "the file is valid; it is for an empty database"),
        Err(error) => Finding::failed("catalogue", error.to_string()),
    }
}

async fn database(settings: &Settings, clock: &Clock) -> Vec<Finding> {
    if let Err(error) = settings.require_database() {
        return vec![Finding::skipped("database", error.to_string())];
    }
    let found = match sql::examine(settings.database.url.expose_secret(), clock).await {
        Ok(found) => found,
        Err(error) => return vec![Finding::failed("database", unreachable("database.url", &error))],
    };
    let took = found.took.as_secs_f64() * 1e3;
    let about = if found.is_primary {
        Finding::ok("database", format!("{}, answers in {took:.1} ms", found.version))
    } else {
        Finding::failed(
            "database",
            format!("{} is a standby and takes no writes: name the primary", found.version),
        )
    };
    let mut findings = vec![about, schema(settings, &found), permissions(&found), time(&found)];
    let direct = settings.database.direct_url().expose_secret();
    if direct != settings.database.url.expose_secret() {
        findings.push(direct_url(&found, sql::examine(direct, clock).await));
    }
    findings
}

/// The cause may name a host, which is the operator's own; never a password.
fn unreachable(setting: &str, error: &StoreError) -> String {
    format!("{error}: check {setting}, that the server runs, and that this machine may reach it")
}

fn schema(settings: &Settings, found: &Examined) -> Finding {
    let unfit = found.schema.as_ref().map(|schema| (schema, schema.unfit()));
    match unfit {
        None => Finding::ok("schema", "`serve` makes it"),
        Some((_, Some(Unfit::Missing | Unfit::Older { .. }))) if !settings.database.is_postgres() => {
            Finding::ok("schema", "older than this version: `serve` brings it up to date")
        }
        Some((_, Some(unfit))) => Finding::failed("schema", unfit.to_string()),
        Some((schema, None)) => {
            let newest = schema.applied.last().map_or("", String::as_str);
            match schema.newer.last() {
                None => Finding::ok("schema", format!("{newest}, this version's")),
                Some(newer) => Finding::ok("schema", format!("{newer}, newer than this version's {newest}")),
            }
        }
    }
}

fn permissions(found: &Examined) -> Finding {
    if found.denied.is_empty() {
        return Finding::ok("permissions", "the role may do all that it has to");
    }
    Finding::failed("permissions", format!("the database's role needs {}: GRANT it", found.denied.join(", ")))
}

fn time(found: &Examined) -> Finding {
    let seconds = found.clock_ahead_us.unsigned_abs() / MICROS.unsigned_abs();
    let side = if found.clock_ahead_us > 0 { "ahead of" } else { "behind" };
    if found.clock_ahead_us.abs() < CLOCK_NEAR {
        Finding::ok("clock", "this machine's and the database's agree")
    } else {
        let what = format!("the database's is {seconds} s {side} this machine's: set both by NTP");
        Finding::failed("clock", what)
    }
}

fn direct_url(found: &Examined, direct: Result<Examined, StoreError>) -> Finding {
    match direct {
        Err(error) => Finding::failed("direct url", unreachable("database.direct_url", &error)),
        Ok(direct) if direct.identity != found.identity => {
            let what =
                "database.direct_url leads to another database than database.url: it must be the same one";
            Finding::failed("direct url", what)
        }
        Ok(_) => Finding::ok("direct url", "leads to the same database"),
    }
}

async fn redis(settings: &Settings) -> Finding {
    let Some(options) = caches::far_options(&settings.redis) else {
        return Finding::ok("redis", "none: facts are kept in memory and read from the database");
    };
    match Far::probe(&options).await {
        Ok(Ok(())) => Finding::ok("redis", "answers in time"),
        Ok(Err(reason)) => {
            let what = format!("{reason}: check redis.url; without it every fact is read from the database");
            Finding::failed("redis", what)
        }
        Err(problem) => Finding::failed("redis", problem.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_judged_by_what_is_left_of_it() {
        let now = Instant::from_micros(1_772_366_400_000_000);
        let verdict = |days: i64| judge_expiry(Instant::from_micros(now.micros() + days * DAY), now).verdict;
        assert_eq!(
            [-1, 0, 1, 13, 14, 90].map(verdict),
            [Verdict::Failed, Verdict::Failed, Verdict::Warning, Verdict::Warning, Verdict::Ok, Verdict::Ok]
        );
    }

    #[test]
    fn clocks_that_are_apart_are_told_with_the_side() {
        let found = |clock_ahead_us| Examined {
            version: String::new(),
            is_primary: true,
            took: std::time::Duration::ZERO,
            clock_ahead_us,
            schema: None,
            denied: Vec::new(),
            identity: String::new(),
        };
        assert_eq!(time(&found(4_999_999)).verdict, Verdict::Ok);
        let behind = time(&found(-90_000_000));
        assert_eq!(behind.verdict, Verdict::Failed);
        assert!(behind.what.contains("90 s behind"), "{behind:?}");
    }

    #[test]
    fn a_role_that_may_not_do_all_is_told_what_it_needs() {
        let mut found = Examined {
            version: String::new(),
            is_primary: true,
            took: std::time::Duration::ZERO,
            clock_ahead_us: 0,
            schema: None,
            denied: vec!["DELETE on member".to_owned()],
            identity: "one".to_owned(),
        };
        assert!(permissions(&found).what.contains("DELETE on member"));
        let other = Examined { identity: "other".to_owned(), ..found.clone() };
        assert_eq!(direct_url(&found, Ok(other)).verdict, Verdict::Failed);
        assert_eq!(direct_url(&found, Ok(found.clone())).verdict, Verdict::Ok);
        found.denied.clear();
        assert_eq!(permissions(&found).verdict, Verdict::Ok);
    }
}

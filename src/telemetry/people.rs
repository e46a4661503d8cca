//! Metrics of people's tokens: how the provider's keys are fetched, how old they are, what tokens come to. No person is
//! ever a label.

use std::sync::atomic::AtomicU64;
use std::time::Duration;

use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::{Registry, Unit};

use super::outcomes::Outcomes;

/// How a fetch of the provider's keys ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyFetch {
    /// It brought keys.
    Done,
    /// The provider could not be reached, or broke off.
    Unreachable,
    /// The provider took too long.
    Timeout,
    /// The provider answered with something else than 200.
    Status,
    /// What came is too large or not what it should be.
    Malformed,
}

impl KeyFetch {
    /// Every outcome.
    pub const ALL: [Self; 5] = [Self::Done, Self::Unreachable, Self::Timeout, Self::Status, Self::Malformed];

    /// The name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Done => "done",
            Self::Unreachable => "unreachable",
            Self::Timeout => "timeout",
            Self::Status => "status",
            Self::Malformed => "malformed",
        }
    }
}

/// What a person's token came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verification {
    /// It had been verified before.
    Cached,
    /// It was verified.
    Verified,
    /// It was refused.
    Invalid,
    /// There have never been keys to verify it with.
    Unavailable,
}

impl Verification {
    /// Every outcome.
    pub const ALL: [Self; 4] = [Self::Cached, Self::Verified, Self::Invalid, Self::Unavailable];

    /// The name that metrics use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cached => "cached",
            Self::Verified => "verified",
            Self::Invalid => "invalid",
            Self::Unavailable => "unavailable",
        }
    }
}

/// The metrics of people's tokens.
#[derive(Debug)]
pub struct People {
    fetches: Outcomes<{ KeyFetch::ALL.len() }>,
    keys_age: Gauge<f64, AtomicU64>,
    tokens: Outcomes<{ Verification::ALL.len() }>,
}

impl People {
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let fetches = Outcomes::of("outcome", KeyFetch::ALL.map(KeyFetch::name));
        let help = "Fetches of the keys of people's tokens, by how they ended";
        let fetches = fetches.registered(registry, "doorward_oidc_fetches", help);
        let tokens = Outcomes::of("outcome", Verification::ALL.map(Verification::name));
        let help = "Tokens of people, by what they came to";
        let tokens = tokens.registered(registry, "doorward_oidc_tokens", help);
        let keys_age = Gauge::default();
        let help = "The age of the keys of people's tokens; 0 where no provider is set";
        registry.register_with_unit("doorward_oidc_keys_age", help, Unit::Seconds, keys_age.clone());
        Self { fetches, keys_age, tokens }
    }

    /// A fetch of the keys has ended.
    pub fn fetch(&self, outcome: KeyFetch) {
        self.fetches.inc(outcome as usize);
    }

    /// How old the keys are; none: there have never been any.
    pub fn keys_age(&self, age: Option<Duration>) {
        self.keys_age.set(age.map_or(f64::INFINITY, |age| age.as_secs_f64()));
    }

    /// A token has been judged.
    pub fn token(&self, outcome: Verification) {
        self.tokens.inc(outcome as usize);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_of_people_are_seen_under_the_names_that_docs_give() {
        let mut registry = Registry::default();
        let people = People::registered(&mut registry);
        KeyFetch::ALL.into_iter().for_each(|outcome| people.fetch(outcome));
        Verification::ALL.into_iter().for_each(|outcome| people.token(outcome));
        people.fetch(KeyFetch::Timeout);
        let text = |registry: &Registry| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, registry).unwrap();
            text
        };
        assert!(text(&registry).contains("doorward_oidc_keys_age_seconds 0.0\n"));
        people.keys_age(None);
        assert!(text(&registry).contains("doorward_oidc_keys_age_seconds inf\n"));
        people.keys_age(Some(Duration::from_millis(1500)));
        let text = text(&registry);
        for line in [
            r#"doorward_oidc_fetches_total{outcome="done"} 1"#,
            r#"doorward_oidc_fetches_total{outcome="unreachable"} 1"#,
            r#"doorward_oidc_fetches_total{outcome="timeout"} 2"#,
            r#"doorward_oidc_fetches_total{outcome="status"} 1"#,
            r#"doorward_oidc_fetches_total{outcome="malformed"} 1"#,
            "doorward_oidc_keys_age_seconds 1.5",
            r#"doorward_oidc_tokens_total{outcome="cached"} 1"#,
            r#"doorward_oidc_tokens_total{outcome="verified"} 1"#,
            r#"doorward_oidc_tokens_total{outcome="invalid"} 1"#,
            r#"doorward_oidc_tokens_total{outcome="unavailable"} 1"#,
        ] {
            assert!(text.lines().any(|found| found == line), "{line}\n{text}");
        }
    }
}

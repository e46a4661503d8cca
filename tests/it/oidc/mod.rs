//! People's tokens, over real HTTP: a provider of the test's own publishes keys, and what they have signed names people.

mod keys;
mod outage;
pub(crate) mod provider;
pub(crate) mod signer;
mod tokens;

use std::sync::Arc;
use std::time::Duration;

use doorward::caller::oidc::{Algorithm, Oidc, Options, Refusal};
use doorward::clock::{Clock, Steady};
use doorward::telemetry::Metrics;
use serde_json::{Value, json};
use tokio::runtime::Handle;

use self::provider::{KEYS, Provider};
use self::signer::Signer;
use crate::harness::NOW;

pub(crate) const AUDIENCE: &str = "doorward";

/// Who verifies, with what a test can see and move.
struct Verifier {
    oidc: Oidc,
    clock: Clock,
    steady: Steady,
    metrics: Arc<Metrics>,
}

fn options(provider: &Provider) -> Options {
    Options {
        issuer: provider.issuer(),
        audience: AUDIENCE.to_owned(),
        jwks_url: Some(provider.url(KEYS)),
        algorithms: Algorithm::USUAL.into(),
        ca_file: None,
    }
}

impl Verifier {
    fn open(options: Options) -> Self {
        let (clock, steady, metrics) = (Clock::manual(NOW), Steady::manual(), Arc::new(Metrics::new()));
        let oidc =
            Oidc::open(options, clock.clone(), steady.clone(), Arc::clone(&metrics), Handle::current());
        Self { oidc: oidc.unwrap(), clock, steady, metrics }
    }

    async fn user(&self, token: &str) -> Result<String, Refusal> {
        self.oidc.verify(token).await.map(|person| person.user.as_str().to_owned())
    }

    #[track_caller]
    fn says(&self, line: &str) {
        let text = self.metrics.encode();
        assert!(text.lines().any(|found| found == line), "{line}\n{text}");
    }

    fn fetched(&self, outcome: &str) -> u64 {
        let start = format!("doorward_oidc_fetches_total{{outcome=\"{outcome}\"}} ");
        let text = self.metrics.encode();
        text.lines().find_map(|line| line.strip_prefix(&start)).unwrap().parse().unwrap()
    }
}

/// What a good token says, at the time of the tests.
pub(crate) fn claims(provider: &Provider) -> Value {
    let now = NOW.micros() / 1_000_000;
    json!({ "iss": provider.issuer(), "aud": AUDIENCE, "sub": "auth0|ann", "exp": now + 600, "iat": now, "nbf": now })
}

/// Waits for what must happen, and fails where it does not.
async fn until(what: &str, happens: impl AsyncFn() -> bool) {
    for _ in 0..400 {
        if happens().await {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("it did not happen within 10 s: {what}");
}

const ANN: Result<&str, Refusal> = Ok("auth0|ann");

#[track_caller]
fn is_ann(found: &Result<String, Refusal>) {
    assert_eq!(found.as_deref().map_err(Clone::clone), ANN);
}

fn publish(provider: &Provider, signers: &[&Signer]) {
    provider.publish(&signers.iter().map(|signer| signer.jwk()).collect::<Vec<_>>());
}

//! Secrets and people's data, planted in every input of the real binary: nothing that it says of itself repeats them, in
//! whatever form: not its log at its most talkative, its metrics, its traces, its statuses or its audit events.

mod planted;
mod probe;

use std::fs::File;
use std::path::Path;

use doorward::settings::{Root, Settings};
use tokio::runtime::Runtime;

use self::planted::{Planted, forms};
use self::probe::Probe;
use crate::binary::{Server, get};
use crate::oidc::AUDIENCE;
use crate::oidc::provider::{KEYS, Provider};
use crate::oidc::signer::Signer;
use crate::postgres;
use crate::redis::Redis;
use crate::telemetry::collector::{Collector, Manner};

/// Everything that was heard, by where.
struct Heard {
    log: String,
    stdout: String,
    metrics: String,
    spans: String,
    statuses: String,
    audit: String,
}

impl Heard {
    /// What is found of a text, in any form: where, and around what.
    fn finds(&self, planted: &str, places: &[&str]) -> Vec<String> {
        let all = [
            ("log", &self.log),
            ("stdout", &self.stdout),
            ("metrics", &self.metrics),
            ("spans", &self.spans),
            ("statuses", &self.statuses),
            ("audit", &self.audit),
        ];
        let mut found = Vec::new();
        for (place, heard) in all.into_iter().filter(|(place, _)| places.contains(place)) {
            for form in forms(planted) {
                if let Some(at) = heard.find(&form) {
                    let from = heard.floor_char_boundary(at.saturating_sub(120));
                    let to = heard.floor_char_boundary(at + form.len() + 60);
                    found.push(format!("{place}: …{}…", heard[from..to].escape_debug()));
                }
            }
        }
        found
    }

    #[track_caller]
    fn holds_none_of(&self, planted: &Planted) {
        let mut found = Vec::new();
        for (name, secret) in &planted.secrets {
            let everywhere = ["log", "stdout", "metrics", "spans", "statuses", "audit"];
            found.extend(
                self.finds(secret, &everywhere).into_iter().map(|place| format!("{name} in {place}")),
            );
        }
        // A person's data may be told to who has sent it, and to nobody else.
        for person in &planted.people {
            let found_of = self.finds(person, &["log", "stdout", "metrics", "spans", "audit"]);
            found.extend(found_of.into_iter().map(|place| format!("`{person}` in {place}")));
        }
        assert!(found.is_empty(), "{} found:\n{}", found.len(), found.join("\n"));
        assert!(self.log.contains("TRACE") && self.log.contains("refused"), "the log says too little");
        assert!(
            self.spans.matches("doorward.v1.AccessService/").count() > 200
                && self.spans.contains("db.operation.name")
        );
        assert!(
            self.statuses.len() > 10_000 && self.metrics.contains("doorward_") && self.audit.len() > 1_000
        );
    }
}

/// The binary at its most talkative, with a secret in each setting that takes one.
fn serve(environment: &[(&str, &str)], log: &Path) -> Server {
    let all: Vec<_> = environment
        .iter()
        .copied()
        .chain([
            ("DOORWARD_LOG__LEVEL", "trace"),
            ("DOORWARD_SERVER__LISTEN", "127.0.0.1:0"),
            ("DOORWARD_SERVER__WORKERS", "1"),
            ("DOORWARD_ADMIN__LISTEN", "127.0.0.1:0"),
            ("DOORWARD_LIMITS__TENANT_CALLS_PER_S", "0"),
            ("DOORWARD_LIMITS__ACCEPTS_PER_S", "0"),
        ])
        .collect();
    let mut server = Server::launch_logging_to(File::create(log).unwrap().into(), &["serve"], &all);
    server.wait_until_listening();
    server
}

/// Calls whatever there is to call; `stop` takes the database away.
fn heard(database: &[(&str, &str)], planted: &mut Planted, stop: impl FnOnce()) -> Heard {
    let runtime = Runtime::new().unwrap();
    let signer = Signer::ed25519("k1");
    let provider = runtime.block_on(Provider::start());
    provider.publish(&[signer.jwk()]);
    let (issuer, keys) = (provider.issuer(), provider.url(KEYS));
    let collector = runtime.block_on(Collector::start(Manner::Takes, None));
    let endpoint = collector.url();
    let (operator, root) = (planted.secret("operator token"), planted.root_hex());
    let mut environment = vec![
        ("DOORWARD_AUTH__OPERATOR_TOKEN", operator.as_str()),
        ("DOORWARD_KEYS__ROOT", root.as_str()),
        ("DOORWARD_AUTH__OIDC_ISSUER", issuer.as_str()),
        ("DOORWARD_AUTH__OIDC_AUDIENCE", AUDIENCE),
        ("DOORWARD_AUTH__OIDC_JWKS_URL", keys.as_str()),
        ("DOORWARD_TELEMETRY__OTLP_ENDPOINT", endpoint.as_str()),
        ("DOORWARD_TELEMETRY__TRACE_RATIO", "1"),
        ("DOORWARD_TELEMETRY__TRACE_QUEUE", "100000"),
    ];
    environment.extend(database);
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("log");
    let server = serve(&environment, &log);
    let mut probe = runtime.block_on(Probe::over(&server, operator));
    runtime.block_on(async {
        probe.furnish(planted).await;
        probe.present_everything(planted, &provider, &signer).await;
        probe.spoil_everything(planted).await;
        probe.listen().await;
    });
    stop();
    runtime.block_on(async {
        // Each of these waits for a database that does not come.
        probe.ask_every(12, planted).await;
    });
    let (_, metrics) = get(&server.admin, "/metrics");
    let stdout = server.lines_until_now().join("\n");
    server.stop();
    let log = std::fs::read_to_string(&log).unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let spans = collector.everything();
    Heard { log, stdout, metrics, spans, statuses: text(&probe.statuses), audit: text(&probe.audit) }
}

#[test]
fn no_secret_and_no_person_is_in_what_the_service_on_sqlite_says_of_itself() {
    let directory = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}/doorward.db", directory.path().display());
    let mut planted = Planted::new();
    let heard =
        heard(&[("DOORWARD_DATABASE__URL", &url), ("DOORWARD_LOG__FORMAT", "text")], &mut planted, || ());
    heard.holds_none_of(&planted);
}

#[test]
fn no_secret_and_no_person_is_in_what_the_service_on_postgres_and_redis_says_of_itself() {
    let mut planted = Planted::new();
    let (database, cache) = (planted.secret("password of Postgres"), planted.secret("password of Redis"));
    let mut cluster = postgres::cluster();
    let url = cluster.fresh_database();
    let runtime = Runtime::new().unwrap();
    runtime.block_on(doorward::store::sql::migrate(&url)).unwrap();
    runtime.block_on(async {
        use sea_orm::ConnectionTrait;
        let connection = sea_orm::Database::connect(&url).await.unwrap();
        let role = format!("CREATE ROLE canary LOGIN SUPERUSER PASSWORD '{database}'");
        connection.execute_unprepared(&role).await.unwrap();
        connection.close().await.unwrap();
    });
    let url = url.replace("postgres@", &format!("canary:{database}@"));
    let redis = Redis::start(&format!("user canary on >{cache} ~* &* +@all\n"));
    let redis = format!("redis://canary:{cache}@{}", redis.address());
    let environment = [
        ("DOORWARD_DATABASE__URL", &*url),
        ("DOORWARD_REDIS__URL", &redis),
        ("DOORWARD_LOG__FORMAT", "json"),
    ];
    let heard = heard(&environment, &mut planted, || cluster.stop());
    heard.holds_none_of(&planted);
}

#[test]
fn settings_that_are_shown_show_no_secret() {
    let planted = Planted::new();
    let secret = |name: &str| planted.secret(name);
    let mut settings = Settings::default();
    settings.database.url = format!("postgres://u:{}@h/d", secret("password of Postgres")).into();
    settings.redis.url = format!("redis://u:{}@h", secret("password of Redis")).into();
    settings.auth.operator_token = secret("operator token").into();
    settings.keys.root = Some(Root::Bytes(planted.root()));
    settings.keys.previous = Some(Root::Bytes(planted.root()));
    for shown in [format!("{settings:?}"), format!("{settings:#?}")] {
        for (name, secret) in &planted.secrets {
            for form in forms(secret) {
                assert!(!shown.contains(&form), "{name} in {shown}");
            }
        }
        let bytes = format!("{:?}", &planted.root()[..4]);
        assert!(!shown.contains(bytes.trim_matches(['[', ']'])), "{shown}");
    }
}

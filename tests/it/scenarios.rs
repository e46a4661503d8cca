//! The reference cases, over gRPC, on both databases; and random questions against the independent reference.

use std::collections::BTreeSet;
use std::path::Path;

use doorward::clock::Clock;
use doorward::proto;
use tonic::Code;
use tonic_types::StatusExt;

use crate::harness::{self, Database, Server};
use crate::support::draw::{self, Held};
use crate::support::reference::{self, Answer};
use crate::support::rng::Rng;
use crate::support::scenario::{self, Check, Expect, Until};
use crate::support::world::{Ask, World};
use crate::world;

/// How many random questions are asked of each database.
const QUESTIONS: usize = 100_000;
/// How many of them in one call.
const BATCH: usize = 200;

#[test]
fn every_scenario_is_answered_on_sqlite() {
    every_scenario(Database::Sqlite);
}

#[test]
fn every_scenario_is_answered_on_postgres() {
    every_scenario(Database::Postgres);
}

#[test]
fn random_questions_agree_with_the_reference_on_sqlite() {
    random_questions(Database::Sqlite);
}

#[test]
fn random_questions_agree_with_the_reference_on_postgres() {
    random_questions(Database::Postgres);
}

fn every_scenario(database: Database) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let scenarios = scenario::load(&folder).unwrap();
    let cases: usize = scenarios.iter().map(|(_, scenario)| scenario.checks.len()).sum();
    assert!(scenarios.len() >= 5 && cases >= 60, "{} files, {cases} checks", scenarios.len());
    for (file, scenario) in scenarios {
        in_world(database, &scenario.world, async |server| {
            for check in &scenario.checks {
                assert_answer(server, &format!("{file} ({})", scenario.title), check).await;
            }
        });
    }
}

/// Runs a body against a server whose database holds a world, and whose clock says the world's time.
fn in_world(database: Database, world: &World, body: impl AsyncFnOnce(&Server)) {
    harness::run_over(database, &Clock::manual(world.now), async |url| world::write(url, world).await, body);
}

async fn assert_answer(server: &Server, file: &str, check: &Check) {
    let answer = server.operator().check_access(world::single(&check.ask)).await;
    let at = format!("{file}: {}: {:?}", check.name, check.ask);
    match &check.expect {
        Expect::Answer { allowed, reason, hide, valid_until } => {
            let answer = answer.unwrap_or_else(|status| panic!("{at}: {status:?}")).into_inner();
            let found = (answer.allowed, name(answer.reason()), answer.hide);
            assert_eq!(found, (*allowed, reason.clone(), *hide), "{at}");
            match valid_until {
                Until::Any => {}
                Until::Never => assert_eq!(answer.valid_until, None, "{at}"),
                Until::At(instant) => {
                    assert_eq!(answer.valid_until, Some(harness::timestamp(*instant)), "{at}");
                }
            }
        }
        Expect::Invalid(field) => {
            let status = answer.expect_err(&at);
            let details = status.get_details_bad_request();
            let violations = details.map(|details| details.field_violations).unwrap_or_default();
            let fields: Vec<_> = violations.into_iter().map(|one| one.field).collect();
            assert_eq!((status.code(), fields), (Code::InvalidArgument, vec![field.clone()]), "{at}");
        }
    }
}

fn random_questions(database: Database) {
    let mut rng = Rng::seeded(20_261_124);
    let mut reasons = BTreeSet::new();
    let worlds = 25;
    for number in 0..worlds {
        let world = draw::world(&mut rng, Held::Sound);
        in_world(database, &world, async |server| {
            let mut asked = 0;
            while asked < QUESTIONS / worlds {
                asked += ask_many(server, &world, &mut rng, number, &mut reasons).await;
            }
        });
    }
    let all: BTreeSet<_> = doorward_engine::reason::Reason::ALL.iter().map(|reason| reason.name()).collect();
    assert_eq!(reasons, all, "a reason was never met");
}

/// Asks one question by itself, and many about the same subject at once; answers how many.
async fn ask_many(
    server: &Server,
    world: &World,
    rng: &mut Rng,
    number: usize,
    reasons: &mut BTreeSet<&'static str>,
) -> usize {
    let first = draw::ask(rng, world);
    let more = (1..BATCH).map(|_| {
        let other = draw::ask(rng, world);
        Ask { action: other.action, kind: other.kind, id: other.id, ..first.clone() }
    });
    let asks: Vec<_> = std::iter::once(first.clone()).chain(more).collect();
    let answers: Vec<_> = asks.iter().map(|ask| reference::answer(world, ask)).collect();

    let single = server.operator().check_access(world::single(&first)).await;
    match (&answers[0], single) {
        (Ok(expected), Ok(found)) => {
            let found = found.into_inner();
            let found = (name(found.reason()), found.hide, found.valid_until);
            assert_eq!(found, wired(expected), "world {number}: {first:?}");
        }
        (Err(field), Err(status)) => {
            assert_eq!(status.code(), Code::InvalidArgument, "{field}: {first:?}")
        }
        (expected, found) => {
            panic!("world {number}: {first:?}: expected {expected:?}, found {found:?}")
        }
    }

    let (asks, answers): (Vec<_>, Vec<_>) =
        asks.into_iter().zip(answers).filter_map(|(ask, answer)| Some((ask, answer.ok()?))).unzip();
    if asks.is_empty() {
        return 1;
    }
    let request = proto::BatchCheckAccessRequest {
        tenant_id: first.tenant.clone(),
        subject: Some(world::subject(&first.subject)),
        checks: asks
            .iter()
            .map(|ask| proto::Check {
                action: ask.action.clone(),
                resource: Some(harness::resource(&ask.kind, &ask.id)),
            })
            .collect(),
        context: Some(world::context(&first)),
        ..Default::default()
    };
    let found = server.operator().batch_check_access(request).await.unwrap().into_inner();
    assert_eq!(found.results.len(), asks.len());
    for ((ask, expected), found) in asks.iter().zip(&answers).zip(&found.results) {
        let found = (name(found.reason()), found.hide, found.valid_until);
        assert_eq!(found, wired(expected), "world {number}: {ask:?}");
        reasons.insert(expected.reason);
    }
    asks.len() + 1
}

fn wired(answer: &Answer) -> (String, bool, Option<prost_types::Timestamp>) {
    (answer.reason.to_owned(), answer.hide, answer.valid_until.map(harness::timestamp))
}

fn name(reason: proto::Reason) -> String {
    reason.as_str_name().trim_start_matches("REASON_").to_owned()
}

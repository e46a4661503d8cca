//! Checkers: each asks one replica random questions, one after another, and has every answer judged.

use std::sync::Arc;
use std::time::{Duration, Instant};

use doorward::proto::subject::Kind;
use doorward::proto::{
    BatchCheckAccessRequest, CheckAccessRequest, Consistency, Subject, consistency::Requirement,
};
use rand::Rng;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use tonic::{Code, Status};

use crate::judge::{self, Fault};
use crate::load::Load;
use crate::replica::signed;
use crate::world::{Question, Target, Tenant};

/// Longer than any pause of a replica, so that the answers after it are judged too.
const DEADLINE: Duration = Duration::from_secs(7);
/// After an error, so that a dead replica is not asked in a tight loop.
const AFTER_ERROR: u64 = 25;

/// Asks until the load ends.
pub(crate) async fn run(load: Arc<Load>, replica: usize, mut rng: StdRng) {
    while !load.stop.is_cancelled() {
        let good = if rng.random_bool(0.1) {
            let tenant = load.world.tenants.choose(&mut rng).unwrap();
            let consistency = consistency(&load, tenant, &mut rng);
            let questions = tenant.batch(&mut rng);
            let subject = questions[0].subjects.choose(&mut rng).unwrap().clone();
            ask_batch(&load, replica, tenant, subject, &questions, consistency).await
        } else {
            let (tenant, question) = load.world.question(&mut rng);
            let consistency = consistency(&load, tenant, &mut rng);
            let subject = question.subjects.choose(&mut rng).unwrap().clone();
            ask(&load, replica, tenant, subject, &question, consistency).await
        };
        if good {
            let pause = Duration::from_micros(rng.random_range(0..=load.plan.pause_ms * 1_000));
            // An acknowledgement ends the pause: a question right after it is the most telling.
            let _ = tokio::time::timeout(pause, load.acknowledged.notified()).await;
        } else {
            load.pause(AFTER_ERROR).await;
        }
    }
}

/// Asks once about what has just been changed.
pub(crate) async fn probe(load: Arc<Load>, replica: usize, tenant: usize, target: Target, mut rng: StdRng) {
    let tenant = &load.world.tenants[tenant];
    let question = tenant.question_about(target, &mut rng);
    if let Some(subject) = question.subjects.choose(&mut rng) {
        ask(&load, replica, tenant, subject.clone(), &question, None).await;
    }
}

fn consistency(load: &Load, tenant: &Tenant, rng: &mut StdRng) -> Option<Requirement> {
    match rng.random_range(0..100) {
        _ if !load.plan.mixed => None,
        0..6 => Some(Requirement::FullyConsistent(true)),
        6..14 => Some(Requirement::AtLeastAsFresh(tenant.token.lock().unwrap().clone()))
            .filter(|requirement| *requirement != Requirement::AtLeastAsFresh(String::new())),
        14..50 => Some(Requirement::MinimizeLatency(true)),
        _ => None,
    }
}

/// Asks one question; answers whether there was a decision.
pub(crate) async fn ask(
    load: &Load,
    replica: usize,
    tenant: &Tenant,
    subject: Kind,
    question: &Question,
    requirement: Option<Requirement>,
) -> bool {
    let request = CheckAccessRequest {
        tenant_id: tenant.id.clone(),
        subject: Some(Subject { kind: Some(subject.clone()) }),
        action: question.check.action.clone(),
        resource: question.check.resource.clone(),
        consistency: Some(Consistency { requirement: requirement.clone() }),
        ..Default::default()
    };
    let mut client = load.lab.replicas[replica].client();
    let asked = Instant::now();
    let answer = in_time(client.check_access(signed(request, DEADLINE))).await;
    let answered = Instant::now();
    match answer {
        Ok(answer) => {
            let (allowed, reason) = (answer.allowed, answer.reason().as_str_name());
            let how = format!("{requirement:?}, {reason}");
            judged(load, replica, &subject, question, allowed, (asked, answered), &how);
            true
        }
        Err(status) => {
            load.tally.undecided(&status, asked);
            false
        }
    }
}

async fn ask_batch(
    load: &Load,
    replica: usize,
    tenant: &Tenant,
    subject: Kind,
    questions: &[Question],
    requirement: Option<Requirement>,
) -> bool {
    let request = BatchCheckAccessRequest {
        tenant_id: tenant.id.clone(),
        subject: Some(Subject { kind: Some(subject.clone()) }),
        checks: questions.iter().map(|question| question.check.clone()).collect(),
        consistency: Some(Consistency { requirement: requirement.clone() }),
        ..Default::default()
    };
    let mut client = load.lab.replicas[replica].client();
    let asked = Instant::now();
    let answer = in_time(client.batch_check_access(signed(request, DEADLINE))).await;
    let answered = Instant::now();
    match answer {
        Ok(answer) => {
            assert_eq!(answer.results.len(), questions.len());
            for (question, result) in questions.iter().zip(&answer.results) {
                let how = format!("{requirement:?}, {}, in a batch", result.reason().as_str_name());
                judged(load, replica, &subject, question, result.allowed, (asked, answered), &how);
            }
            true
        }
        Err(status) => {
            load.tally.undecided(&status, asked);
            false
        }
    }
}

async fn in_time<T>(call: impl Future<Output = Result<tonic::Response<T>, Status>>) -> Result<T, Status> {
    match tokio::time::timeout(DEADLINE + Duration::from_secs(1), call).await {
        Ok(answer) => answer.map(tonic::Response::into_inner),
        Err(_) => Err(Status::new(Code::DeadlineExceeded, "the client gave up")),
    }
}

fn judged(
    load: &Load,
    replica: usize,
    subject: &Kind,
    question: &Question,
    allowed: bool,
    (asked, answered): (Instant, Instant),
    how: &str,
) {
    load.tally.decided(allowed, asked);
    if let Some(fault) = judge::judge(&question.switches, allowed, asked, answered) {
        let took = answered.duration_since(asked);
        let history = judge::describe(&question.switches, asked);
        let check = &question.check;
        let text = format!(
            "{fault:?} by replica {replica}, which took {took:?}: {subject:?}, {check:?} ({how})\n{history}"
        );
        load.tally.violation(fault, text);
        if load.until_violation && fault == Fault::StaleAllow {
            load.stop.cancel();
        }
    }
}

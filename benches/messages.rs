//! What it takes to read a check's message and to write its answer: `cargo bench --bench messages`, on a quiet machine.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot begin ends")]

use std::hint::black_box;

use criterion::Criterion;
use doorward::proto;
use prost::Message;

/// Questions of a batch.
const BATCH: usize = 100;

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    reads(&mut criterion, "decode a check", &check());
    reads(&mut criterion, "decode a batch of 100", &batch());
    writes(&mut criterion, "encode an answer", &answer());
    writes(&mut criterion, "encode a batch's answer of 100", &answers());
    criterion.final_summary();
}

fn reads<M: Message + Default + PartialEq>(criterion: &mut Criterion, name: &str, message: &M) {
    let bytes = message.encode_to_vec();
    assert!(M::decode(bytes.as_slice()).unwrap() == *message, "what is read is what was written");
    criterion
        .bench_function(name, |bencher| bencher.iter(|| M::decode(black_box(bytes.as_slice())).unwrap()));
}

/// Into a buffer that is there, as the server has one for each connection.
fn writes<M: Message>(criterion: &mut Criterion, name: &str, message: &M) {
    let mut buffer = Vec::with_capacity(message.encoded_len());
    criterion.bench_function(name, |bencher| {
        bencher.iter(|| {
            buffer.clear();
            black_box(message).encode(&mut buffer).unwrap();
            buffer.len()
        });
    });
}

fn subject() -> Option<proto::Subject> {
    Some(proto::Subject { kind: Some(proto::subject::Kind::UserId("user-01932e4c7a1b".to_owned())) })
}

fn agent(number: usize) -> Option<proto::Resource> {
    Some(proto::Resource { r#type: "agent".to_owned(), id: format!("agent-{number}") })
}

fn check() -> proto::CheckAccessRequest {
    proto::CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: subject(),
        action: "view".to_owned(),
        resource: agent(17),
        ..Default::default()
    }
}

fn batch() -> proto::BatchCheckAccessRequest {
    let check = |number| proto::Check { action: "view".to_owned(), resource: agent(number) };
    proto::BatchCheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: subject(),
        checks: (0..BATCH).map(check).collect(),
        ..Default::default()
    }
}

/// As long as the tokens that the server signs.
fn token() -> String {
    "x".repeat(64)
}

fn answer() -> proto::CheckAccessResponse {
    proto::CheckAccessResponse {
        allowed: true,
        reason: proto::Reason::ResourceGranted.into(),
        revision_token: token(),
        ..Default::default()
    }
}

fn answers() -> proto::BatchCheckAccessResponse {
    let result = proto::CheckResult {
        allowed: true,
        reason: proto::Reason::ResourceGranted.into(),
        ..Default::default()
    };
    proto::BatchCheckAccessResponse {
        results: vec![result; BATCH],
        revision_token: token(),
        ..Default::default()
    }
}

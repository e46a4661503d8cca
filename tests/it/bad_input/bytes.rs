//! Bytes that are no message of the RPC, for every RPC: truncated, of another type, without end, too deep, not UTF-8, too
//! long, or a bomb.

use std::process::Command;

use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor};
use tonic::{Code, Status};

use super::walk::{Place, places, varint};
use super::{Bench, Case, good, untaught};
use crate::harness::{Database, Server, refused, run};
use crate::raw::{call_framed, operator};

/// A field that no message has.
const UNKNOWN: u32 = 1_000;
const NOT_UTF_8: [u8; 2] = [0xc3, 0x28];

fn malformed(method: &MethodDescriptor, request: &DynamicMessage) -> Vec<Case> {
    let good = request.encode_to_vec();
    let after = |bytes: &[u8]| [&good, bytes].concat();
    let group = varint(UNKNOWN << 3 | 3);
    let endless = [varint(UNKNOWN << 3), vec![0xff; 11]].concat();
    let mut cases = vec![
        ("truncated".to_owned(), after(&[0x0a, 0x7f, b'a'])),
        ("a tag without a value".to_owned(), after(&[0x0a])),
        ("a varint over ten bytes".to_owned(), after(&endless)),
        ("a tag over ten bytes".to_owned(), after(&[0xff; 20])),
        ("10k nested groups".to_owned(), after(&group.repeat(10_000))),
        ("a group's end without its beginning".to_owned(), after(&varint(UNKNOWN << 3 | 4))),
        ("field number 0".to_owned(), after(&[0, 0])),
        ("a wire type that is none".to_owned(), after(&[0x0f, 0])),
    ];
    if !good.is_empty() {
        cases.push(("the last byte missing".to_owned(), good[..good.len() - 1].to_vec()));
    }
    for field in method.input().fields() {
        let wrong = [varint(field.number() << 3 | 1), vec![0; 8]].concat();
        cases.push((format!("{} of a wrong wire type", field.name()), after(&wrong)));
    }
    for place in places(&method.input()) {
        cases.extend(not_utf_8(&place).map(|bytes| (format!("{} not UTF-8", place.path()), after(&bytes))));
    }
    cases.into_iter().map(|(what, bytes)| Case::malformed(method, what, bytes)).collect()
}

/// The first field of a map's entry is its key, that of a mask its paths.
fn not_utf_8(place: &Place) -> Option<Vec<u8>> {
    if place.is_text() {
        return Some(place.encoded(&NOT_UTF_8));
    }
    let holds_texts = place.field().is_map() || place.is_mask();
    holds_texts.then(|| place.encoded(&[&[0x0a, 2], &NOT_UTF_8[..]].concat()))
}

#[test]
fn bytes_that_are_no_message_are_invalid_for_every_rpc() {
    run(Database::Sqlite, async |server| {
        let mut bench = Bench::over(server).await;
        for (method, request) in good() {
            bench.all(malformed(&method, &request)).await;
        }
        bench.end(800).await;
    });
}

async fn framed(server: &Server, method: &MethodDescriptor, body: Vec<u8>, more: Option<&str>) -> Status {
    let path = format!("/{}/{}", method.parent_service().full_name(), method.name());
    let encoding = more.map(|encoding| ("grpc-encoding", encoding.to_owned()));
    let metadata: Vec<_> = std::iter::once(operator()).chain(encoding).collect();
    call_framed(server.channel(), &path, body, &metadata).await
}

#[track_caller]
fn taught(status: Status, code: Code, reason: &str) -> String {
    assert_eq!(untaught(&status), None, "{status:?}");
    refused(Err::<(), _>(status), code, reason)
}

#[test]
fn a_message_over_the_limit_is_refused_by_its_length_for_every_rpc() {
    run(Database::Sqlite, async |server| {
        let bench = Bench::over(server).await;
        for (method, request) in good() {
            let announced = [&[0][..], &u32::MAX.to_be_bytes(), &request.encode_to_vec()].concat();
            let text = taught(
                framed(server, &method, announced, None).await,
                Code::ResourceExhausted,
                "MESSAGE_TOO_LARGE",
            );
            assert!(text.contains("1048576"), "{}: {text}", method.name());
        }
        bench.end(0).await;
    });
}

/// 64 MiB of nothing.
fn bomb() -> Vec<u8> {
    let pipe = "head -c 67108864 /dev/zero | gzip -9";
    let output = Command::new("/bin/sh").args(["-c", pipe]).output().unwrap();
    assert!(output.status.success() && output.stdout.len() < 100_000);
    [&[1][..], &u32::try_from(output.stdout.len()).unwrap().to_be_bytes(), &output.stdout].concat()
}

#[test]
fn a_gzip_bomb_is_refused_and_not_inflated() {
    run(Database::Sqlite, async |server| {
        let bench = Bench::over(server).await;
        let bomb = bomb();
        for (method, _) in good() {
            let status = framed(server, &method, bomb.clone(), Some("gzip")).await;
            taught(status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
            // Without a word of how it is compressed it is nothing that could be read.
            let status = framed(server, &method, bomb.clone(), None).await;
            taught(status, Code::InvalidArgument, "MALFORMED_MESSAGE");
        }
        bench.end(0).await;
    });
}

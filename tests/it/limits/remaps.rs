//! Bytes that are no message, headers twice, RPCs that are not there: each gets an answer of ours, and the server lives.

use doorward::settings::Limits;
use prost::Message;
use tonic::{Code, Status};

use super::{question, run};
use crate::harness::{TOKEN, invalid, refused};
use crate::raw::{call_framed, call_raw, operator};

const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";
const STREAM: &str = "/doorward.v1.AccessService/StreamCheckAccess";
const HEALTH: &str = "/grpc.health.v1.Health/Check";
const REFLECTION: &str = "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo";

#[track_caller]
fn ours(status: Status, code: Code, reason: &str) -> String {
    let text = refused(Err::<(), _>(status), code, reason);
    for theirs in ["prost", "protobuf error", "decode", "EOF", "wire type:", "tonic", "compress", "h2"] {
        assert!(!text.contains(theirs), "{text}");
    }
    text
}

#[test]
fn bytes_that_are_no_message_are_invalid() {
    run(Limits::default(), async |server| {
        let good = question().encode_to_vec();
        let groups: Vec<u8> = [0x0b].repeat(10_000);
        for (what, bytes) in [
            ("truncated", &good[..good.len() - 1]),
            ("wrong wire type", &[0x08, 0x01]),
            ("varint over ten bytes", &[0xff; 20]),
            ("nested groups", &groups),
            ("not UTF-8", &[0x0a, 0x02, 0xc3, 0x28]),
            ("field number 0", &[0x00, 0x00]),
        ] {
            let status = call_raw(server.channel(), CHECK, bytes, &[operator()]).await;
            assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
            ours(status, Code::InvalidArgument, "MALFORMED_MESSAGE");
        }
        let frame = |flag: u8, length: u32, rest: &[u8]| [&[flag], &length.to_be_bytes()[..], rest].concat();
        for (what, body) in [
            ("nothing", Vec::new()),
            ("half a prefix", vec![0, 0, 0]),
            ("less than announced", frame(0, 100, &good)),
            ("a flag that is none", frame(7, 0, &[])),
            ("compressed, but how", frame(1, 3, &[1, 2, 3])),
        ] {
            let status = call_framed(server.channel(), CHECK, body, &[operator()]).await;
            assert_eq!(status.code(), Code::InvalidArgument, "{what}: {status:?}");
            ours(status, Code::InvalidArgument, "MALFORMED_MESSAGE");
        }
        assert_eq!(call_raw(server.channel(), CHECK, &good, &[operator()]).await.code(), Code::Ok);
        let counted = r#"rpc_server_call_duration_seconds_count{rpc="CheckAccess",code="INVALID_ARGUMENT"}"#;
        assert_eq!(server.counted(|found| found == counted), 11);
    });
}

#[test]
fn a_message_that_is_too_long_is_told_the_limit() {
    run(Limits::default(), async |server| {
        let announced = [&[0][..], &(64_u32 << 20).to_be_bytes()].concat();
        let status = call_framed(server.channel(), CHECK, announced, &[operator()]).await;
        let text = ours(status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
        assert!(text.contains("1048576"), "{text}");
        let long = vec![0; (1 << 20) + 1];
        let status = call_raw(server.channel(), CHECK, &long, &[operator()]).await;
        ours(status, Code::ResourceExhausted, "MESSAGE_TOO_LARGE");
    });
}

#[test]
fn an_encoding_that_is_not_accepted_is_told_which_is() {
    run(Limits::default(), async |server| {
        for encoding in ["br", "deflate", "identity, gzip"] {
            let metadata = [operator(), ("grpc-encoding", encoding.to_owned())];
            let status = call_raw(server.channel(), CHECK, &question().encode_to_vec(), &metadata).await;
            let text = refused(Err::<(), _>(status), Code::Unimplemented, "NOT_IMPLEMENTED");
            assert!(text.contains("`identity`"), "{text}");
        }
    });
}

#[test]
fn what_is_not_there_is_unauthenticated_to_strangers_and_unimplemented_to_callers() {
    run(Limits::default(), async |server| {
        for path in [
            "/doorward.v1.AccessService/Nothing",
            "/doorward.v1.Nothing/CheckAccess",
            "/",
            "/metrics",
            "/a/b/c",
        ] {
            let status = call_raw(server.channel(), path, &[], &[]).await;
            ours(status, Code::Unauthenticated, "UNAUTHENTICATED");
            let status = call_raw(server.channel(), path, &[], &[operator()]).await;
            ours(status, Code::Unimplemented, "NOT_IMPLEMENTED");
        }
        for path in [REFLECTION, CHECK, STREAM] {
            let status = call_raw(server.channel(), path, &[], &[]).await;
            ours(status, Code::Unauthenticated, "UNAUTHENTICATED");
        }
    });
}

#[test]
fn health_and_reflection_answer_in_the_same_words() {
    run(Limits::default(), async |server| {
        let unknown = [0x0a, 0x01, b'x'];
        ours(call_raw(server.channel(), HEALTH, &unknown, &[]).await, Code::NotFound, "SERVICE_NOT_FOUND");
        let status = call_raw(server.channel(), HEALTH, &[0x08], &[]).await;
        ours(status, Code::InvalidArgument, "MALFORMED_MESSAGE");
        let status = call_raw(server.channel(), "/grpc.health.v1.Health/Nothing", &[], &[]).await;
        ours(status, Code::Unimplemented, "NOT_IMPLEMENTED");
        let unread = [operator(), ("grpc-encoding", "br".to_owned())];
        let status = call_raw(server.channel(), REFLECTION, &[], &unread).await;
        refused(Err::<(), _>(status), Code::Unimplemented, "NOT_IMPLEMENTED");
    });
}

#[test]
fn an_actor_or_a_token_given_twice_is_refused() {
    run(Limits::default(), async |server| {
        let message = question().encode_to_vec();
        let actor = || ("x-doorward-actor", "ben".to_owned());
        let status = call_raw(server.channel(), CHECK, &message, &[operator(), actor(), actor()]).await;
        invalid(Err::<(), _>(status), &["x-doorward-actor"]);
        let token = ("authorization", format!("Bearer {TOKEN}"));
        let status = call_raw(server.channel(), CHECK, &message, &[operator(), token]).await;
        ours(status, Code::Unauthenticated, "UNAUTHENTICATED");
    });
}

//! Limits of a connection and of a message.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use std::io::{Read, Write};

use super::frames::{GOAWAY, PING, RST_STREAM, Raw, message};
use super::victim::{Victim, check};
use crate::binary::until;
use crate::harness::TOKEN;
use prost::Message;

const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";
const OK: u32 = 0;
const RESOURCE_EXHAUSTED: u32 = 8;
const OUT_OF_RANGE: u32 = 11;

fn call(raw: &mut Raw, stream: u32, extra: &[(&str, &str)], body: &[u8]) -> u32 {
    let bearer = format!("Bearer {TOKEN}");
    let headers = [&[("authorization", bearer.as_str())][..], extra].concat();
    raw.headers(stream, CHECK, &headers, false).unwrap();
    raw.data(stream, body, true).unwrap();
    raw.status(stream).unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut child =
        Command::new("gzip").arg("-9").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut stdin, bytes) = (child.stdin.take().unwrap(), bytes.to_vec());
    let writer = std::thread::spawn(move || stdin.write_all(&bytes).unwrap());
    let mut packed = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut packed).unwrap();
    writer.join().unwrap();
    assert!(child.wait().unwrap().success());
    packed
}

#[test]
fn a_message_of_a_mebibyte_is_the_longest_also_when_it_is_unpacked() {
    let victim = Victim::start(&[]);
    let mut raw = Raw::connect(victim.address());
    let honest = check().encode_to_vec();
    assert_eq!(call(&mut raw, 1, &[], &message(false, &honest)), OK);
    let packed = [("grpc-encoding", "gzip")];
    assert_eq!(call(&mut raw, 3, &packed, &message(true, &gzip(&honest))), OK);
    // tonic's own code for it; a layer may say it better.
    let too_long = call(&mut raw, 5, &[], &message(false, &vec![0; 1024 * 1024 + 1]));
    assert!([OUT_OF_RANGE, RESOURCE_EXHAUSTED].contains(&too_long), "{too_long}");
    let bomb = message(true, &gzip(&vec![0; 200 * 1024 * 1024]));
    assert!(bomb.len() < 1024 * 1024);
    let bombed = victim.under(|address| {
        let mut raw = Raw::connect(address);
        // Its answer comes after the window of the connection, which the bomb needs.
        assert_eq!(call(&mut raw, 1, &[], &message(false, &honest)), OK);
        call(&mut raw, 3, &packed, &bomb)
    });
    assert_eq!(bombed.survived(), RESOURCE_EXHAUSTED);
}

#[test]
fn a_connection_says_its_limits() {
    let victim = Victim::start(&[("DOORWARD_SERVER__STREAMS_MAX", "3")]);
    let mut raw = Raw::connect(victim.address());
    let said = |id: u8| {
        let found = raw.limits.chunks(6).find(|setting| setting[1] == id).unwrap();
        u32::from_be_bytes([found[2], found[3], found[4], found[5]])
    };
    // Streams, a stream's window, headers.
    assert_eq!((said(3), said(4), said(6)), (3, 1024 * 1024, 16 * 1024));
    // With a credential they wait for their messages: without one they would be answered, and their places free.
    let bearer = format!("Bearer {TOKEN}");
    for stream in [1, 3, 5, 7] {
        raw.headers(stream, CHECK, &[("authorization", &bearer)], false).unwrap();
    }
    let refused = raw.read_until(|frame| frame.kind == RST_STREAM).unwrap();
    assert_eq!((refused.stream, refused.payload), (7, vec![0, 0, 0, 7]));
}

#[test]
fn an_old_connection_is_asked_to_end_and_its_calls_finish() {
    let victim = Victim::start(&[("DOORWARD_SERVER__CONNECTION_AGE_S", "1")]);
    let mut raw = Raw::connect(victim.address());
    let begun = Instant::now();
    let bearer = format!("Bearer {TOKEN}");
    raw.headers(1, CHECK, &[("authorization", &bearer)], false).unwrap();
    raw.read_until(|frame| frame.kind == GOAWAY).unwrap();
    let age = begun.elapsed();
    assert!((Duration::from_millis(800)..Duration::from_secs(10)).contains(&age), "{age:?}");
    std::thread::sleep(Duration::from_millis(500));
    raw.data(1, &message(false, &check().encode_to_vec()), true).unwrap();
    assert_eq!(raw.status(1).unwrap(), OK);
    assert!(raw.is_closed_within(Duration::from_secs(20)));
    assert_eq!(victim.counted(r#"doorward_connections_cut_total{reason="old"}"#), 0.0);
}

#[test]
fn an_old_connection_whose_client_does_not_end_it_is_cut_after_a_grace() {
    let victim = Victim::start(&[("DOORWARD_SERVER__CONNECTION_AGE_S", "1")]);
    let mut raw = Raw::connect(victim.address());
    // Whoever watches the health is never answered to the end.
    raw.headers(1, "/grpc.health.v1.Health/Watch", &[], false).unwrap();
    raw.data(1, &message(false, &[]), true).unwrap();
    // It answers the keepalive's question, and goes on and on with its call.
    let begun = Instant::now();
    while raw.read_until(|frame| frame.kind == PING && frame.flags == 0).is_ok_and(|ping| {
        raw.send(&super::frames::frame(PING, 1, 0, &ping.payload)).is_ok() && begun.elapsed().as_secs() < 60
    }) {}
    let took = begun.elapsed();
    assert!((Duration::from_secs(30)..Duration::from_secs(50)).contains(&took), "{took:?}");
    let cut = r#"doorward_connections_cut_total{reason="old"}"#;
    until(Duration::from_secs(20), cut, || victim.counted(cut) == 1.0);
}

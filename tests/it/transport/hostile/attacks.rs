//! The attacks, each against an address. They know what they do, and answer whether the server ended it.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use doorward::proto;
use prost::Message;

use crate::harness::TOKEN;
use crate::transport::frames::{
    CONTINUATION, DATA, HEADERS, INITIAL_WINDOW_SIZE, PING, RST_STREAM, Raw, SETTINGS, block, frame, literal,
    message,
};
use crate::transport::victim::check;

/// How long a connection may stay open that must end: a machine may be busy.
pub(crate) const CLOSED_MAX: Duration = Duration::from_secs(20);
/// How long an attack goes on that nobody ends.
const LASTS: Duration = Duration::from_secs(4);
/// The most that h2 takes for a window.
const WINDOW_MAX: u32 = 0x7fff_ffff;
const BATCH: &str = "/doorward.v1.AccessService/BatchCheckAccess";
const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";

/// Sends the same again and again; answers whether the server ended it.
fn flood(raw: &mut Raw, bytes: &[u8]) -> bool {
    raw.drain();
    let begun = Instant::now();
    while begun.elapsed() < CLOSED_MAX {
        if raw.send(bytes).is_err() {
            return true;
        }
    }
    false
}

pub(crate) fn garbage(address: &str) -> bool {
    (0..100_u32).all(|at| {
        let mut raw = Raw::silent(address);
        let bytes: Vec<_> =
            (0..4_096_u32).map(|n| n.wrapping_mul(2_654_435_761).wrapping_add(at).to_le_bytes()[1]).collect();
        let _ = raw.send(&bytes);
        raw.is_closed_within(CLOSED_MAX)
    })
}

pub(crate) fn silence(address: &str) -> bool {
    let mut silent: Vec<_> = (0..100).map(|_| Raw::silent(address)).collect();
    silent.iter_mut().all(|raw| raw.is_closed_within(CLOSED_MAX))
}

/// The preface, a byte every while: never wrong, and never done.
pub(crate) fn drip(address: &str) -> bool {
    let mut raw = Raw::silent(address);
    for byte in crate::transport::frames::PREFACE {
        if raw.send(&[*byte]).is_err() || raw.is_closed_within(Duration::from_millis(250)) {
            return true;
        }
    }
    false
}

/// The headers of an authenticated call, and a batch of a thousand checks.
fn batch(raw: &mut Raw, stream: u32, body: &[u8]) -> io::Result<()> {
    let bearer = format!("Bearer {TOKEN}");
    raw.headers(stream, BATCH, &[("authorization", &bearer)], false)?;
    raw.data(stream, body, true)
}

fn batch_body() -> Vec<u8> {
    let request = proto::BatchCheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: check().subject,
        checks: (0..1_000)
            .map(|_| proto::Check { action: check().action, resource: check().resource })
            .collect(),
        ..Default::default()
    };
    message(false, &request.encode_to_vec())
}

/// All windows open, and nothing is ever read from the socket.
pub(crate) fn slow_reader(address: &str) -> bool {
    let mut raw = Raw::connect_narrow(address);
    raw.settings(&[(INITIAL_WINDOW_SIZE, WINDOW_MAX)]).unwrap();
    raw.send(&frame(8, 0, 0, &(WINDOW_MAX - 65_535).to_be_bytes())).unwrap();
    let body = batch_body();
    let begun = Instant::now();
    let mut stream = 1;
    // Not so fast that it would be ended for its calls at once.
    while begun.elapsed() < 3 * CLOSED_MAX {
        if batch(&mut raw, stream, &body).is_err() {
            return true;
        }
        thread::sleep(Duration::from_millis(100));
        stream += 2;
    }
    false
}

/// As many calls as there may be, and no window for any answer.
pub(crate) fn no_window(address: &str) -> Raw {
    let mut raw = Raw::connect(address);
    raw.settings(&[(INITIAL_WINDOW_SIZE, 0)]).unwrap();
    raw.drain();
    let body = batch_body();
    for stream in 0..256 {
        if batch(&mut raw, 2 * stream + 1, &body).is_err() {
            break;
        }
    }
    thread::sleep(LASTS);
    raw
}

/// CVE-2023-44487: a call, and at once its end.
pub(crate) fn rapid_reset(address: &str) -> bool {
    let mut raw = Raw::connect(address);
    raw.drain();
    let begun = Instant::now();
    let headers = block(CHECK, &[]);
    let mut stream = 1;
    while begun.elapsed() < LASTS {
        let mut bytes = Vec::new();
        for _ in 0..100 {
            bytes.extend(frame(HEADERS, 4, stream, &headers));
            bytes.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            stream += 2;
        }
        if raw.send(&bytes).is_err() {
            return true;
        }
    }
    false
}

/// CVE-2024-27316: headers that never end.
pub(crate) fn continuations(address: &str) -> bool {
    let mut raw = Raw::connect(address);
    let _ = raw.send(&frame(HEADERS, 0, 1, &block(CHECK, &[])));
    flood(&mut raw, &frame(CONTINUATION, 0, 1, &literal("x-more", &"x".repeat(200))).repeat(50))
}

pub(crate) fn settings(address: &str) -> bool {
    flood(&mut Raw::connect(address), &frame(SETTINGS, 0, 0, &[0, 3, 0, 0, 0, 100]).repeat(50))
}

pub(crate) fn pings(address: &str) -> bool {
    flood(&mut Raw::connect(address), &frame(PING, 0, 0, &[0; 8]).repeat(50))
}

pub(crate) fn priorities(address: &str) -> bool {
    flood(&mut Raw::connect(address), &frame(2, 0, 1, &[0, 0, 0, 3, 1]).repeat(50))
}

pub(crate) fn empty_data(address: &str) -> bool {
    let mut raw = Raw::connect(address);
    let _ = raw.headers(1, CHECK, &[], false);
    flood(&mut raw, &frame(DATA, 0, 1, &[]).repeat(50))
}

/// Headers of 64 KiB, in frames of the length that is allowed; answers whether the connection ended.
pub(crate) fn long_headers(address: &str) -> bool {
    let mut raw = Raw::connect(address);
    raw.drain();
    for stream in 0..50 {
        let headers = block(CHECK, &[("x-long", &"x".repeat(64 * 1024))]);
        let mut chunks = headers.chunks(16_384).enumerate().peekable();
        while let Some((at, chunk)) = chunks.next() {
            let end = if chunks.peek().is_none() { 4 } else { 0 };
            let kind = if at == 0 { HEADERS } else { CONTINUATION };
            if raw.send(&frame(kind, end, 2 * stream + 1, chunk)).is_err() {
                return true;
            }
        }
    }
    false
}

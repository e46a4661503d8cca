//! Seeds: good requests from the descriptor set, real tokens, documents as they are, and bad ones of each kind.

use doorward::catalogue::SHIPPED;
use doorward::proto;
use doorward::service::Operation;
use prost_reflect::DescriptorPool;
use prost_reflect::prost::Message;

use crate::requests::{Ids, request};

const HEAD: &str = "content-type: application/grpc\nte: trailers";
const OPERATOR: &str = "authorization: Bearer 0123456789abcdef";

pub(crate) type Seed = (&'static str, String, Vec<u8>);

/// All of them: target, name, bytes.
pub(crate) fn all() -> Vec<Seed> {
    let mut seeds = doorward::fuzzing::seeds();
    let messages = messages();
    seeds.extend(
        messages.iter().map(|(name, at, message)| ("request", name.clone(), [&[*at][..], message].concat())),
    );
    seeds.extend(calls(&messages));
    seeds.extend(texts("text", &TEXTS));
    seeds.extend(texts("credential", &CREDENTIALS));
    seeds.extend(texts("services", &SERVICES));
    seeds.extend(texts("audit", &CHANGES));
    seeds.extend(texts("catalogue", &["", "version = 1", "[[section]]\nkey = \"logs\"", "a = ["]));
    seeds.push(("catalogue", "shipped".to_owned(), SHIPPED.as_bytes().to_vec()));
    seeds
}

/// A good request of each RPC: its name, its place in the table, its bytes.
fn messages() -> Vec<(String, u8, Vec<u8>)> {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let service = pool.get_service_by_name("doorward.v1.AccessService").unwrap();
    let ids = Ids { tenant: "acme", prefix: "acme" };
    let methods = service.methods().map(|method| {
        let at = Operation::ALL.iter().position(|operation| operation.name() == method.name()).unwrap();
        let message = request(&method.input(), ids, false).encode_to_vec();
        (method.name().to_owned(), u8::try_from(at).unwrap(), message)
    });
    methods.filter(|(_, _, message)| message.len() < 4_000).collect()
}

fn texts(target: &'static str, texts: &[&str]) -> Vec<Seed> {
    let named = texts.iter().enumerate();
    named.map(|(at, text)| (target, format!("text-{at:02}"), text.as_bytes().to_vec())).collect()
}

/// Whole calls: good ones, and one of each that the door has a word for.
fn calls(messages: &[(String, u8, Vec<u8>)]) -> Vec<Seed> {
    let framed = |flag: u8, message: &[u8]| {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[flag][..], &length, message].concat()
    };
    let call = |rpc: &str, headers: &str, body: Vec<u8>| {
        let head = format!("/doorward.v1.AccessService/{rpc}\n{HEAD}\n{headers}\n\n");
        [head.as_bytes(), &body].concat()
    };
    let check = &messages[0].2;
    let mut calls: Vec<(String, Vec<u8>)> = Vec::new();
    for (name, _, message) in messages.iter().step_by(4) {
        calls.push((name.clone(), call(name, OPERATOR, framed(0, message))));
    }
    for (name, headers) in [
        ("nobody", "x: y"),
        ("wrong", "authorization: Bearer dws_a_b"),
        ("key", "authorization: Bearer dwk_a_b"),
        ("basic", "authorization: Basic 0123456789abcdef"),
        ("two", "authorization: Bearer 0123456789abcdef\nauthorization: Bearer 0123456789abcdef"),
        ("actor", "authorization: Bearer 0123456789abcdef\nx-doorward-actor: auth0|ann"),
        ("timeout", "authorization: bearer 0123456789abcdef\ngrpc-timeout: 500m"),
        ("timeouts", "authorization: Bearer 0123456789abcdef\ngrpc-timeout: 1H\ngrpc-timeout: 99999999n"),
        ("late", "authorization: Bearer 0123456789abcdef\ngrpc-timeout: 1n"),
        ("gzip", "authorization: Bearer 0123456789abcdef\ngrpc-encoding: gzip"),
        (
            "trace",
            "authorization: Bearer 0123456789abcdef\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        ),
    ] {
        calls.push((format!("as-{name}"), call("CheckAccess", headers, framed(0, check))));
    }
    for (name, body) in [
        ("none", Vec::new()),
        ("compressed", framed(1, check)),
        ("short", framed(0, check)[..check.len()].to_vec()),
        ("long", [0, 0xff, 0xff, 0xff, 0xff].to_vec()),
        ("twice", [framed(0, check), framed(0, check)].concat()),
        ("garbage", framed(0, b"\x0b\x0b\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")),
    ] {
        calls.push((format!("body-{name}"), call("CheckAccess", OPERATOR, body)));
    }
    for (name, path) in [
        ("health", "/grpc.health.v1.Health/Check"),
        ("nothing", "/nothing"),
        ("method", "/doorward.v1.AccessService/Nothing"),
    ] {
        let head = format!("{path}\n{HEAD}\n{OPERATOR}\n\n");
        calls.push((format!("path-{name}"), [head.as_bytes(), &framed(0, b"")].concat()));
    }
    calls.into_iter().map(|(name, bytes)| ("door", name, bytes)).collect()
}

const TEXTS: [&str; 20] = [
    "tenant",
    "catalogue",
    "member:m1",
    "user:auth0|ann",
    "key:k-1",
    "resource:agent/a.1:2",
    "acme",
    "0191d2c4-7c3e-7b3a-8f5e-1c2d3e4f5a6b",
    "ada@example.com",
    "O'Neil+x@Bücher.example.",
    "ada@xn--bcher-kva.example",
    "Straße.de",
    "a\u{200d}b.example",
    "xn--a.example",
    "DE",
    "Ada Lovelace",
    "\u{202e}evil",
    "500m",
    "99999999H",
    "0n",
];

const CREDENTIALS: [&str; 9] = [
    "0123456789abcdef",
    "dws_gate_way_a-secret-of-the-configuration",
    "dws_gate_way_a-secret-of-the-configuratiom",
    "dwk_gate_way_a-secret-of-the-configuration",
    "dwk_k1_00",
    "dws_",
    "dws__",
    "dwi_0000",
    "a.b.c",
];

const SERVICES: [&str; 12] = [
    "[[service]]\nid = \"a\"\nnames = [\"dns:mesh\", \"uri:spiffe://x/a\"]\nscopes = [\"check\", \"read\"]\ntenants = [\"acme\"]",
    "[[service]]\nid = \"a\"\nsecrets = [\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"]\nscopes = [\"check\"]",
    "[[service]]\nid = \"a\"\nsecrets = [\"hunter2\"]\nscopes = [\"check\"]",
    "[[service]]\nid = \"a\"\nsecrets = \"hunter2\"\nscopes = [\"check\"]",
    "[[service]]\nid = \"a\"\nsecrets = [\"sha256:hunter2\"]\nscopes = \"check\"",
    "[[service]]\nid = \"hunter2\"\nid = \"hunter2\"",
    "[[service]]\nhunter2 = 1",
    "[[service]]\nid = hunter2",
    "service = \"hunter2\"",
    "[[service]]\nid = \"a\"\nnames = [\"hunter2\"]\nscopes = [\"hunter2\"]\ntenants = [\"hunter2 \"]",
    "[hunter2]",
    "hunter2",
];

const CHANGES: [&str; 6] = [
    r#"[{"after":{"created_at":1,"id":"m1","person":7,"role":"ADMIN"},"before":null,"id":"m1","kind":"member"}]"#,
    r#"[{"kind":"grant","id":"m1/agent/a1","before":{"expires_at":null},"after":null}]"#,
    r#"{"b":1,"a":{"d":[],"c":{}},"\u0061":"x"}"#,
    r#"[-9223372036854775808,18446744073709551615,"\ud83d\ude00","\u0000\/é"]"#,
    "null",
    "[1e400, 0.1, -0]",
];

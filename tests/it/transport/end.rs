//! The end of a service that has connections: calls in flight finish, and no client can hold it up beyond the grace.

use std::time::Duration;

use prost::Message;

use super::frames::{GOAWAY, Raw, message};
use super::victim::{Victim, check};
use crate::harness::TOKEN;

const CHECK: &str = "/doorward.v1.AccessService/CheckAccess";

/// Begins a call, and leaves it unsaid.
fn begin(raw: &mut Raw) {
    let bearer = format!("Bearer {TOKEN}");
    raw.headers(1, CHECK, &[("authorization", &bearer)], false).unwrap();
    raw.data(1, &message(false, &check().encode_to_vec())[..3], false).unwrap();
}

#[test]
fn a_call_in_flight_is_answered_and_then_the_service_ends() {
    let victim = Victim::start(&[("DOORWARD_SERVER__GRACE_MS", "30000")]);
    let mut raw = Raw::connect(victim.address());
    begin(&mut raw);
    raw.read().unwrap();
    let (address, readiness) = (victim.address().to_owned(), victim.readiness());
    let ended = std::thread::scope(|scope| {
        let stopped = scope.spawn(move || victim.stop());
        raw.read_until(|frame| frame.kind == GOAWAY).unwrap();
        // Nobody new is let in.
        assert!(std::net::TcpStream::connect(&address).is_err());
        assert_eq!(readiness(), (503, "not ready: draining\n".to_owned()));
        raw.data(1, &message(false, &check().encode_to_vec())[3..], true).unwrap();
        assert_eq!(raw.status(1).unwrap(), 0);
        assert!(raw.is_closed_within(Duration::from_secs(20)));
        stopped.join().unwrap()
    });
    assert_eq!(ended.0.code(), Some(0));
    assert!(ended.1 < Duration::from_secs(25), "{:?}", ended.1);
}

#[test]
fn idle_silent_and_hostile_clients_hold_up_the_end_no_longer_than_the_grace() {
    let settings = [("DOORWARD_SERVER__GRACE_MS", "2000"), ("DOORWARD_SERVER__GREETING_MS", "60000")];
    let victim = Victim::start(&settings);
    let address = victim.address().to_owned();
    // Says nothing; says hello and no more; begins a call and no more, answering nothing that it is asked.
    let _silent = Raw::silent(&address);
    let _idle = Raw::connect(&address);
    let mut hostile = Raw::connect(&address);
    begin(&mut hostile);
    std::thread::sleep(Duration::from_millis(300));
    let (status, took) = victim.stop();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(15), "{took:?}");
}

#[test]
fn silent_clients_alone_do_not_hold_up_the_end_at_all() {
    let settings = [("DOORWARD_SERVER__GRACE_MS", "60000"), ("DOORWARD_SERVER__GREETING_MS", "60000")];
    let victim = Victim::start(&settings);
    let address = victim.address().to_owned();
    let _silent: Vec<_> = (0..20).map(|_| Raw::silent(&address)).collect();
    std::thread::sleep(Duration::from_millis(300));
    let (status, took) = victim.stop();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(30), "{took:?}");
}

//! Hostile bytes on the gRPC port: the connection ends or has its bounds, the service's memory has its bound, and another
//! client is served meanwhile.

use std::time::Duration;

use super::frames::{INITIAL_WINDOW_SIZE, Raw, frame};
use super::victim::Victim;
use crate::binary::until;
use attacks::CLOSED_MAX;

pub(super) mod attacks;

fn closed(reason: &str) -> String {
    format!("doorward_connections_refused_total{{reason=\"{reason}\"}}")
}

/// A connection's end is seen before it is counted.
fn counted(victim: &Victim, series: &str, at_least: f64) {
    until(CLOSED_MAX, series, || victim.counted(series) >= at_least);
}

#[test]
fn garbage_is_closed_at_once() {
    let victim = Victim::start(&[]);
    assert!(victim.under(attacks::garbage).survived());
    counted(&victim, &closed("greeting"), 100.0);
}

#[test]
fn who_says_nothing_or_a_byte_now_and_then_is_closed_in_time() {
    let victim = Victim::start(&[]);
    assert!(victim.under(attacks::silence).survived());
    assert!(victim.under(attacks::drip).survived());
    counted(&victim, &closed("late"), 101.0);
    until(CLOSED_MAX, "no connection left", || victim.counted("doorward_connections") == 0.0);
}

#[test]
fn more_silent_clients_than_can_be_opened_at_once_keep_out_nobody() {
    let victim = Victim::start(&[("DOORWARD_SERVER__GREETING_MS", "60000")]);
    let silent =
        victim.under(|address| (0..800).map(|_| Raw::silent(address)).collect::<Vec<_>>()).survived();
    counted(&victim, &closed("crowded"), 288.0);
    drop(silent);
}

#[test]
fn one_connection_more_than_may_be_open_is_closed_at_once() {
    let victim = Victim::start(&[("DOORWARD_SERVER__CONNECTIONS_MAX", "20")]);
    let mut open: Vec<_> = (0..19).map(|_| Raw::connect(victim.address())).collect();
    for raw in &mut open {
        raw.read().unwrap();
    }
    let mut last = victim.under(Raw::silent).survived();
    assert!(last.is_closed_within(CLOSED_MAX));
    counted(&victim, &closed("full"), 1.0);
    drop(open);
    // Their places are free when the server has seen their ends.
    until(CLOSED_MAX, "free places", || victim.counted("doorward_connections") <= 1.0);
    assert!(victim.ask(Duration::from_millis(100)).len() > 1);
}

#[test]
fn who_asks_and_takes_nothing_is_cut() {
    let victim = Victim::start(&[]);
    assert!(victim.under(attacks::slow_reader).survived());
    let cut = r#"doorward_connections_cut_total{reason="stalled"}"#;
    until(CLOSED_MAX, cut, || victim.counted(cut) == 1.0);
}

#[test]
fn who_asks_for_much_and_leaves_it_no_window_has_a_bound() {
    let victim = Victim::start(&[]);
    let raw = victim.under(attacks::no_window).survived();
    drop(raw);
}

#[test]
fn rapid_resets_are_bounded() {
    let victim = Victim::start(&[]);
    victim.under(attacks::rapid_reset).survived();
}

#[test]
fn headers_without_an_end_are_closed() {
    let victim = Victim::start(&[]);
    assert!(victim.under(attacks::continuations).survived());
}

#[test]
fn floods_of_settings_pings_and_other_frames_are_cut() {
    let victim = Victim::start(&[]);
    for attack in [attacks::settings, attacks::pings, attacks::priorities, attacks::empty_data] {
        assert!(victim.under(attack).survived());
    }
    counted(&victim, r#"doorward_connections_cut_total{reason="flood"}"#, 3.0);
}

#[test]
fn too_long_headers_are_refused_and_the_connection_ends_or_goes_on() {
    let victim = Victim::start(&[]);
    victim.under(attacks::long_headers).survived();
}

#[test]
fn an_honest_clients_pings_are_no_flood() {
    let victim = Victim::start(&[]);
    let mut raw = Raw::connect(victim.address());
    raw.settings(&[(INITIAL_WINDOW_SIZE, 65_535)]).unwrap();
    for _ in 0..900 {
        raw.send(&frame(super::frames::PING, 0, 0, &[7; 8])).unwrap();
        raw.read_until(|frame| frame.kind == super::frames::PING && frame.flags == 1).unwrap();
    }
    raw.headers(1, "/doorward.v1.AccessService/GetCatalogue", &[], true).unwrap();
    assert!(raw.status(1).is_ok());
}

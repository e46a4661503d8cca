//! Judges answers: knows what was written when, and so which answers a regular register may give. No I/O.
//!
//! A switch has one writer, which writes one value after another. At any instant of a check's interval its value is that
//! of the last write acknowledged before the check was sent, or of any later write sent before the answer came.

use std::collections::VecDeque;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Longer than any check takes: what was superseded before is forgotten.
const HISTORY: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Debug)]
struct Written {
    on: bool,
    sent: Instant,
    /// When its answer came that said `enforced`.
    acknowledged: Option<Instant>,
}

/// One bit that answers depend on.
pub(crate) struct Switch {
    name: String,
    writes: Mutex<VecDeque<Written>>,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    StaleAllow,
    StaleDenial,
}

impl Switch {
    /// A switch whose present value everybody knows.
    pub(crate) fn new(name: String, on: bool) -> Arc<Self> {
        let now = Instant::now();
        let first = Written { on, sent: now, acknowledged: Some(now) };
        Arc::new(Self { name, writes: Mutex::new(VecDeque::from([first])) })
    }

    /// A write is about to be sent.
    pub(crate) fn send(&self, on: bool) {
        let now = Instant::now();
        let mut writes = self.writes.lock().unwrap();
        let superseded =
            |next: &Written| next.acknowledged.is_some_and(|at| now.saturating_duration_since(at) > HISTORY);
        while writes.get(1).is_some_and(superseded) {
            writes.pop_front();
        }
        writes.push_back(Written { on, sent: now, acknowledged: None });
    }

    /// The answer to the last write came; one that is not enforced is not final.
    pub(crate) fn acknowledge(&self, enforced: bool) {
        let now = Instant::now();
        if let Some(last) = self.writes.lock().unwrap().back_mut()
            && enforced
        {
            last.acknowledged = Some(now);
        }
    }

    /// The value last written.
    pub(crate) fn last(&self) -> bool {
        self.writes.lock().unwrap().back().is_some_and(|last| last.on)
    }

    /// Whether the switch could have this value within the interval.
    fn could_be(&self, on: bool, asked: Instant, answered: Instant) -> bool {
        let writes = self.writes.lock().unwrap();
        let is_settled = |write: &Written| write.acknowledged.is_some_and(|at| at < asked);
        let settled = writes.iter().rposition(is_settled).unwrap_or(0);
        let possible = writes.iter().skip(settled).enumerate();
        possible.into_iter().any(|(n, write)| write.on == on && (n == 0 || write.sent < answered))
    }

    /// The last writes, relative to when a check was sent.
    fn describe(&self, asked: Instant) -> String {
        let mut text = format!("{}:", self.name);
        for write in self.writes.lock().unwrap().iter().rev().take(4).rev() {
            let acknowledged = write.acknowledged.map_or("-".to_owned(), |at| milliseconds(at, asked));
            let value = if write.on { "on" } else { "off" };
            let _ = write!(text, " {value}[{}, {acknowledged}]", milliseconds(write.sent, asked));
        }
        text
    }
}

fn milliseconds(at: Instant, origin: Instant) -> String {
    let after = at.saturating_duration_since(origin).as_secs_f64();
    let before = origin.saturating_duration_since(at).as_secs_f64();
    format!("{:+.1}ms", (after - before) * 1_000.0)
}

/// What is wrong with an answer that depends on all of these switches being on.
pub(crate) fn judge(
    switches: &[Arc<Switch>],
    allowed: bool,
    asked: Instant,
    answered: Instant,
) -> Option<Fault> {
    if allowed {
        let all = switches.iter().all(|switch| switch.could_be(true, asked, answered));
        (!all).then_some(Fault::StaleAllow)
    } else {
        let any = switches.iter().any(|switch| switch.could_be(false, asked, answered));
        (!any).then_some(Fault::StaleDenial)
    }
}

/// The histories of the switches, for a report: times are relative to when the check was sent.
pub(crate) fn describe(switches: &[Arc<Switch>], asked: Instant) -> String {
    let lines: Vec<_> = switches.iter().map(|switch| format!("    {}", switch.describe(asked))).collect();
    lines.join("\n")
}

/// Proves on histories made by hand that wrong answers are found and right ones are not.
pub(crate) fn self_test() {
    let origin = Instant::now();
    let at = |milliseconds: u64| origin + Duration::from_millis(milliseconds);
    let history = |writes: &[(bool, u64, Option<u64>)]| {
        let written = |&(on, sent, acknowledged): &(bool, u64, Option<u64>)| Written {
            on,
            sent: at(sent),
            acknowledged: acknowledged.map(at),
        };
        let writes = writes.iter().map(written).collect();
        Arc::new(Switch { name: "test".to_owned(), writes: Mutex::new(writes) })
    };
    // On from the start, switched off in [100, 200], on again in [300, 400]; then off from 500 on, never acknowledged.
    let one =
        history(&[(true, 0, Some(0)), (false, 100, Some(200)), (true, 300, Some(400)), (false, 500, None)]);
    let cases = [
        (true, 10, 50, None),
        (false, 10, 50, Some(Fault::StaleDenial)),
        (true, 150, 250, None),
        (false, 150, 250, None),
        (false, 10, 101, None),
        (true, 201, 299, Some(Fault::StaleAllow)),
        (false, 201, 299, None),
        (true, 201, 301, None),
        (true, 200, 299, None),
        (false, 401, 499, Some(Fault::StaleDenial)),
        (false, 350, 450, None),
        (false, 900, 901, None),
        (true, 900, 901, None),
    ];
    for (allowed, asked, answered, fault) in cases {
        let found = judge(std::slice::from_ref(&one), allowed, at(asked), at(answered));
        assert_eq!(found, fault, "the judge is wrong about {allowed} in [{asked}, {answered}]");
    }
    let on = history(&[(true, 0, Some(0))]);
    let off = history(&[(true, 0, Some(0)), (false, 10, Some(20))]);
    let both = [on, off];
    assert_eq!(judge(&both, true, at(30), at(40)), Some(Fault::StaleAllow));
    assert_eq!(judge(&both, false, at(30), at(40)), None);
    assert_eq!(judge(&both[..1], false, at(30), at(40)), Some(Fault::StaleDenial));
    let unenforced =
        history(&[(true, 0, Some(0)), (false, 10, None), (true, 30, None), (false, 50, Some(60))]);
    assert_eq!(judge(std::slice::from_ref(&unenforced), true, at(40), at(45)), None);
    assert_eq!(judge(&[unenforced], true, at(61), at(70)), Some(Fault::StaleAllow));
}

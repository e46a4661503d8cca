//! What attacks cost others: a measurement, which judges nothing. `just hostile` prints it.

use std::time::Duration;

use super::hostile::attacks;
use super::victim::Victim;

/// How long the honest client asks alone.
const ALONE: Duration = Duration::from_secs(4);

type Attack = fn(&str) -> bool;

/// The same attack again and again for as long as the honest client would ask alone.
fn again(address: &str, attack: Attack) -> bool {
    let begun = std::time::Instant::now();
    let mut ended = true;
    while begun.elapsed() < ALONE {
        ended &= attack(address);
    }
    ended
}

fn p99(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[(times.len() * 99 / 100).min(times.len() - 1)]
}

#[test]
#[ignore = "a measurement: `just hostile`"]
fn what_attacks_cost_others() {
    let attacks: [(&str, Attack); 12] = [
        ("garbage", attacks::garbage),
        ("no preface", attacks::silence),
        ("a byte now and then", attacks::drip),
        ("slow reader", attacks::slow_reader),
        ("no window", |address| !attacks::no_window(address).is_closed_within(Duration::from_millis(1))),
        ("rapid reset", attacks::rapid_reset),
        ("CONTINUATION flood", attacks::continuations),
        ("SETTINGS flood", attacks::settings),
        ("PING flood", attacks::pings),
        ("PRIORITY flood", attacks::priorities),
        ("empty DATA flood", attacks::empty_data),
        ("headers of 64 KiB", attacks::long_headers),
    ];
    println!("| attack | checks | p99 alone | p99 under it | ratio | grown |\n|---|---|---|---|---|---|");
    for (name, attack) in attacks {
        let victim = Victim::start(&[]);
        let alone = p99(victim.ask(ALONE));
        let outcome = victim.under(|address| again(address, attack));
        assert_eq!(outcome.failed, Vec::<String>::new());
        let (count, under) = (outcome.checks.len(), p99(outcome.checks));
        let ratio = under.as_secs_f64() / alone.as_secs_f64();
        println!("| {name} | {count} | {alone:.1?} | {under:.1?} | {ratio:.1} | {} KiB |", outcome.grown_kb);
    }
}

//! Instructions of calls and of their floors, counted by callgrind. An instruction is no time, but the same program takes
//! the same number of them wherever it runs.

use std::collections::HashMap;
use std::process::{Command, Stdio};

use crate::calls::{What, ask, nothing};
use crate::world::World;

/// Where callgrind finds the functions.
const MODULE: &str = "*instructions::";
const CALLS: usize = 200;
/// Calls of many questions.
const LARGE_CALLS: usize = 20;

/// A question may take so many times the floor's instructions. It took 2.2, 2.6 and 2.3 times when this was
/// written, in the build of tests, which does not optimize.
const fn ratio_max(what: What) -> f64 {
    match what {
        What::Check => 2.9,
        What::Batch => 3.3,
        What::Stream => 3.1,
    }
}

const fn calls(what: What) -> usize {
    match what {
        What::Check => CALLS,
        What::Batch | What::Stream => LARGE_CALLS,
    }
}

/// What is counted, one of the functions below at a time; the memory is warm then.
pub(crate) fn count(world: &World) {
    for what in What::ALL {
        drop(ask(world, what, &what.message(world)));
    }
    check_asked(world);
    check_floor(world);
    batch_asked(world);
    batch_floor(world);
    stream_asked(world);
    stream_floor(world);
}

/// The functions that callgrind finds by their names.
macro_rules! so_often {
    ($($name:ident: $call:ident($what:ident);)+) => {$(
        #[inline(never)]
        fn $name(world: &World) {
            let message = What::$what.message(world);
            (0..calls(What::$what)).for_each(|_| drop($call(world, What::$what, &message)));
        }
    )+};
}

so_often! {
    check_asked: ask(Check);
    check_floor: nothing(Check);
    batch_asked: ask(Batch);
    batch_floor: nothing(Batch);
    stream_asked: ask(Stream);
    stream_floor: nothing(Stream);
}

/// Counts in a process of its own, and fails where a question takes too many; without valgrind it says so.
pub(crate) fn hold() {
    let installed = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        println!("cost: instructions were not counted: valgrind is not installed");
        return;
    }
    let counted = counted();
    for what in What::ALL {
        let questions = (calls(what) * what.questions()) as u64;
        let of = |which| {
            let function = format!("{}_{which}", what.name());
            counted.get(&function).map(|total| total / questions).expect("each is counted")
        };
        let (asked, floor) = (of("asked"), of("floor"));
        let ratio = asked as f64 / floor as f64;
        println!(
            "cost: {}: instructions of a question: {asked}, floor {floor}, ratio {ratio:.2}",
            what.name()
        );
        assert!(
            ratio <= ratio_max(what),
            "{}: a question takes {ratio:.2} times the instructions of the floor",
            what.name()
        );
    }
}

/// The instructions of each function that is counted, with all that it calls, by its name.
fn counted() -> HashMap<String, u64> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("counted");
    let functions = What::ALL.iter().flat_map(|what| ["asked", "floor"].map(|which| (what.name(), which)));
    let ended = Command::new("valgrind")
        .arg("--tool=callgrind")
        .args(functions.map(|(what, which)| format!("--toggle-collect={MODULE}{what}_{which}")))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().unwrap())
        .arg("count")
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let is_position = |first: char| first.is_ascii_digit() || "+-*".contains(first);
    let mut totals = HashMap::new();
    // A function is named where it comes first, and is a number in brackets from then on. Below it are its lines: a
    // position, and what was spent there or, behind `calls=`, in what was called from there.
    let mut names = HashMap::new();
    let mut current = String::new();
    for line in std::fs::read_to_string(file).unwrap().lines() {
        let called = line.strip_prefix("cfn=");
        if let Some(function) = line.strip_prefix("fn=").or(called) {
            let (number, name) = function.split_once(' ').unwrap_or((function, ""));
            let name = names.entry(number.to_owned()).or_insert_with(|| name.to_owned());
            if called.is_none() {
                current.clone_from(name);
            }
        } else if line.starts_with(is_position)
            && let Some(spent) = line.split_once(' ').and_then(|(_, spent)| spent.parse::<u64>().ok())
        {
            *totals.entry(current.clone()).or_default() += spent;
        }
    }
    let of_ours =
        |(name, total): (String, u64)| Some((name.rsplit_once("instructions::")?.1.to_owned(), total));
    totals.into_iter().filter_map(of_ours).collect()
}

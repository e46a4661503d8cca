//! Instructions of a check and of the floor, counted by callgrind. An instruction is no time, but the same program
//! takes the same number of them wherever it runs.

use std::process::{Command, Stdio};

use crate::calls::{CHECK, ask, nothing};
use crate::world::World;

/// A check may take so many times the floor's instructions. It took 2.7 times when this was written, in the build of
/// tests, which does not optimize.
const RATIO_MAX: f64 = 3.5;
const CALLS: usize = 200;

/// What is counted, in one of the two functions at a time; the memory is warm then.
pub(crate) fn count(world: &World) {
    drop(ask(world, CHECK, &world.check()));
    asked_so_often(world);
    nothing_so_often(world);
}

#[inline(never)]
fn asked_so_often(world: &World) {
    let message = world.check();
    (0..CALLS).for_each(|_| drop(ask(world, CHECK, &message)));
}

#[inline(never)]
fn nothing_so_often(world: &World) {
    let message = world.check();
    (0..CALLS).for_each(|_| drop(nothing(world, &message)));
}

/// Counts in a process of its own, and fails where a check takes too many; without valgrind it says so.
pub(crate) fn hold() {
    let installed = Command::new("valgrind").arg("--version").stdout(Stdio::null()).status();
    if !installed.is_ok_and(|status| status.success()) {
        println!("cost: instructions were not counted: valgrind is not installed");
        return;
    }
    let (check, floor) = (counted("asked_so_often"), counted("nothing_so_often"));
    let ratio = check as f64 / floor as f64;
    println!("cost: instructions: check {check}, floor {floor}, ratio {ratio:.2}");
    assert!(ratio <= RATIO_MAX, "a check takes {ratio:.2} times the instructions of the floor");
}

/// The instructions of one call, of those in a function.
fn counted(function: &str) -> u64 {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("counted");
    let ended = Command::new("valgrind")
        .arg("--tool=callgrind")
        .arg(format!("--toggle-collect=*instructions::{function}"))
        .arg(format!("--callgrind-out-file={}", file.display()))
        .arg(std::env::current_exe().unwrap())
        .arg("count")
        .output()
        .unwrap();
    assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
    let text = std::fs::read_to_string(file).unwrap();
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")).expect("there is a total");
    total.trim().parse::<u64>().unwrap() / CALLS as u64
}

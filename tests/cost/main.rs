//! What a check costs where it is answered from memory: allocations, and instructions beside a call that does nothing.
//! Both are counted, not timed: a busy machine counts the same.
//!
//! `cargo test --test cost` holds both against bounds; where valgrind is installed it runs itself again under callgrind,
//! as `count`.
#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test fails by panicking")]
#![expect(clippy::panic, reason = "a test fails by panicking")]

mod calls;
mod instructions;
mod world;

use allocation_counter::AllocationInfo;

use crate::calls::{BATCH, CHECK, ask, nothing};
use crate::world::World;

const A_CHECK: Bound = Bound { allocations: 60, bytes: 40_000 };
const A_BATCH: Bound = Bound { allocations: 800, bytes: 80_000 };

/// The most that a call may allocate, its request and its answer included.
struct Bound {
    allocations: u64,
    bytes: u64,
}

fn main() {
    let argument = std::env::args().nth(1).filter(|argument| !argument.starts_with('-'));
    match argument.as_deref() {
        None => {
            World::with(allocations);
            instructions::hold();
        }
        Some("count") => World::with(instructions::count),
        Some(other) => panic!("`{other}`: expected nothing, or `count`"),
    }
}

fn allocations(world: &World) {
    for (name, path, message, bound) in
        [("check", CHECK, world.check(), A_CHECK), ("batch of 100", BATCH, world.batch(), A_BATCH)]
    {
        let counted = warm(|| drop(ask(world, path, &message)));
        println!("cost: {name}: {} allocations, {} bytes", counted.count_total, counted.bytes_total);
        assert!(
            counted.count_total <= bound.allocations,
            "{name}: at most {} allocations",
            bound.allocations
        );
        assert!(counted.bytes_total <= bound.bytes, "{name}: at most {} bytes", bound.bytes);
    }
    let message = world.check();
    let floor = warm(|| drop(nothing(world, &message)));
    println!("cost: floor: {} allocations, {} bytes", floor.count_total, floor.bytes_total);
}

/// What one call of many allocates on the thread that makes it.
fn warm(call: impl Fn()) -> AllocationInfo {
    (0..100).for_each(|_| call());
    allocation_counter::measure(&call)
}

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

use crate::calls::{What, ask, nothing};
use crate::world::World;

const A_CHECK: Bound = Bound { allocations: 40, bytes: 16_000 };
const A_BATCH: Bound = Bound { allocations: 800, bytes: 80_000 };
const A_STREAM: Bound = Bound { allocations: 1_500, bytes: 250_000 };

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
    for (what, bound) in What::ALL.into_iter().zip([A_CHECK, A_BATCH, A_STREAM]) {
        let (name, message) = (what.name(), what.message(world));
        let counted = warm(|| drop(ask(world, what, &message)));
        let floor = warm(|| drop(nothing(world, what, &message)));
        println!(
            "cost: {name}: {} allocations, {} bytes; floor {}, {}",
            counted.count_total, counted.bytes_total, floor.count_total, floor.bytes_total
        );
        assert!(
            counted.count_total <= bound.allocations,
            "{name}: at most {} allocations",
            bound.allocations
        );
        assert!(counted.bytes_total <= bound.bytes, "{name}: at most {} bytes", bound.bytes);
    }
}

/// What one call of many allocates on the thread that makes it.
fn warm(call: impl Fn()) -> AllocationInfo {
    (0..100).for_each(|_| call());
    allocation_counter::measure(&call)
}

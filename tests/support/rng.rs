//! A small random generator (SplitMix64): the same seed gives the same world on every machine.

#[derive(Clone, Debug)]
pub(crate) struct Rng(u64);

impl Rng {
    pub(crate) fn seeded(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 where `end` is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % (end.max(1) as u64)).unwrap_or(0)
    }

    /// True in so many cases of a hundred.
    pub(crate) fn percent(&mut self, chance: usize) -> bool {
        self.below(100) < chance
    }

    pub(crate) fn pick<'a, T>(&mut self, things: &'a [T]) -> Option<&'a T> {
        things.get(self.below(things.len()))
    }

    /// One of things of which there is at least one.
    pub(crate) fn one<T: Copy, const N: usize>(&mut self, things: [T; N]) -> T {
        const { assert!(N > 0) };
        #[expect(clippy::indexing_slicing, reason = "below N, which is not 0")]
        things[self.below(N)]
    }

    /// The thing in so many cases of a hundred.
    pub(crate) fn maybe<T>(&mut self, chance: usize, thing: impl FnOnce(&mut Self) -> T) -> Option<T> {
        self.percent(chance).then(|| thing(self))
    }
}

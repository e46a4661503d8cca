//! The shape of the data: how many tenants, members and resources there are, what they are called, who is granted what, and
//! whom questions are about. All of it follows from a seed; nothing here asks or writes.

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use rand_distr::{Distribution, Zipf};

/// The sections that questions are about: what a USER is shown unless somebody says otherwise.
pub(super) const SECTIONS: [&str; 7] =
    ["agents", "traces", "logs", "eval", "session", "prompts", "mcp_debug"];
/// The type of all resources.
pub(super) const TYPE: &str = "agent";
/// What is asked for.
pub(super) const ACTION: &str = "view";

/// How much there is. What is made of it depends on nothing else.
#[derive(Clone, Copy, Debug, PartialEq, serde::Serialize)]
pub struct Shape {
    /// Tenants.
    pub tenants: u64,
    /// Members of each tenant, its owner not counted.
    pub members: u64,
    /// Resources of each tenant.
    pub resources: u64,
    /// The part of the resources that a member is granted, from 0 to 1.
    pub granted: f64,
    /// What ids, grants and questions follow from.
    pub seed: u64,
}

/// Whom questions are about.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Choice {
    /// Each member as often as the other.
    Uniform,
    /// By Zipf's law with this exponent: few are asked about very often.
    Zipf(f64),
}

/// A member: the tenant's number, and the member's within it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Who {
    pub(super) tenant: u64,
    pub(super) member: u64,
}

/// What a question is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum What {
    /// A section, by its place in [`SECTIONS`].
    Section(usize),
    /// A resource, by its number in the tenant.
    Resource(u64),
}

impl Shape {
    /// All members of all tenants.
    #[must_use]
    pub fn people(&self) -> u64 {
        self.tenants * self.members
    }

    /// A name for what follows from this shape alone, for ids: who fills twice finds what is there.
    pub(super) fn name(&self) -> String {
        let parts = [self.tenants, self.members, self.resources, self.granted.to_bits(), self.seed];
        format!("{:08x}", parts.iter().fold(0, |sum, part| mixed(sum ^ part)) >> 32)
    }

    /// The member of a number below [`Shape::people`]: neighbours are of different tenants.
    pub(super) fn who(&self, number: u64) -> Who {
        let tenants = self.tenants.max(1);
        Who { tenant: number % tenants, member: number / tenants }
    }

    pub(super) fn tenant_id(&self, tenant: u64) -> String {
        format!("bench-{}-{tenant}", self.name())
    }

    /// As long as the UUIDs that identity providers and databases make.
    pub(super) fn member_id(&self, who: Who) -> String {
        let high = mixed(self.seed ^ mixed(who.tenant + 1));
        let low = mixed(high ^ mixed(who.member + 1));
        format!(
            "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 48,
            low & 0xffff_ffff_ffff
        )
    }

    /// Whether the member is granted the resource.
    pub(super) fn is_granted(&self, who: Who, resource: u64) -> bool {
        let parts = [self.seed, who.tenant, who.member, resource];
        part_of_one(parts.iter().fold(7, |sum, part| mixed(sum ^ mixed(*part)))) < self.granted
    }

    /// The resources that a member is granted.
    pub(super) fn grants(&self, who: Who) -> impl Iterator<Item = u64> + use<> {
        let shape = *self;
        (0..shape.resources).filter(move |resource| shape.is_granted(who, *resource))
    }

    /// Whether the answer to a question about it is yes.
    pub(super) fn is_allowed(&self, who: Who, what: What) -> bool {
        match what {
            What::Section(_) => true,
            What::Resource(resource) => self.is_granted(who, resource),
        }
    }
}

pub(super) fn resource_id(resource: u64) -> String {
    format!("agent-{resource}")
}

/// Draws members and what they are asked about; the same seed draws the same.
pub(super) struct Draw {
    shape: Shape,
    ranks: Option<Zipf<f64>>,
    random: SmallRng,
}

impl Draw {
    pub(super) fn new(shape: Shape, choice: Choice) -> Self {
        let ranks = match choice {
            Choice::Uniform => None,
            Choice::Zipf(exponent) => Zipf::new(shape.people().max(1) as f64, exponent).ok(),
        };
        Self { shape, ranks, random: SmallRng::seed_from_u64(shape.seed) }
    }

    /// Whom the next question is about.
    pub(super) fn who(&mut self) -> Who {
        let people = self.shape.people().max(1);
        let number = match &self.ranks {
            None => self.random.random_range(0..people),
            // The most asked about first, and each a tenant further.
            Some(ranks) => (ranks.sample(&mut self.random) as u64).clamp(1, people) - 1,
        };
        self.shape.who(number)
    }

    /// What it is about: each section and resource as often as the other.
    pub(super) fn what(&mut self) -> What {
        let sections = SECTIONS.len() as u64;
        match self.random.random_range(0..sections + self.shape.resources) {
            section if section < sections => What::Section(section as usize),
            resource => What::Resource(resource - sections),
        }
    }

    /// One of the tenant's resources; none where it has none.
    pub(super) fn resource(&mut self) -> Option<u64> {
        (self.shape.resources > 0).then(|| self.random.random_range(0..self.shape.resources))
    }
}

/// A number that looks like chance and follows from another (splitmix64).
const fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// From 0 up to 1.
fn part_of_one(number: u64) -> f64 {
    (number >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const SHAPE: Shape = Shape { tenants: 20, members: 100, resources: 50, granted: 0.3, seed: 7 };

    fn drawn(shape: Shape, choice: Choice) -> Vec<Who> {
        let mut draw = Draw::new(shape, choice);
        (0..20_000).map(|_| draw.who()).collect()
    }

    #[test]
    fn the_same_seed_draws_the_same_and_another_does_not() {
        for choice in [Choice::Uniform, Choice::Zipf(0.99)] {
            assert_eq!(drawn(SHAPE, choice), drawn(SHAPE, choice), "{choice:?}");
            assert_ne!(drawn(SHAPE, choice), drawn(Shape { seed: 8, ..SHAPE }, choice), "{choice:?}");
        }
        assert_ne!(SHAPE.name(), Shape { seed: 8, ..SHAPE }.name());
    }

    #[test]
    fn so_many_are_granted_as_the_shape_says() {
        let all = (0..SHAPE.people()).map(|number| SHAPE.grants(SHAPE.who(number)).count()).sum::<usize>();
        let part = all as f64 / (SHAPE.people() * SHAPE.resources) as f64;
        assert!((0.29..0.31).contains(&part), "{part}");
        for (granted, expected) in [(0.0, 0), (1.0, 50)] {
            assert_eq!(Shape { granted, ..SHAPE }.grants(SHAPE.who(3)).count(), expected);
        }
    }

    #[test]
    fn uniform_asks_about_everybody_and_zipf_most_often_about_few() {
        let often = |choice| {
            let mut times = BTreeMap::<Who, u32>::new();
            drawn(SHAPE, choice).into_iter().for_each(|who| *times.entry(who).or_default() += 1);
            let mut counts: Vec<_> = times.into_values().collect();
            counts.sort_unstable_by_key(|count| std::cmp::Reverse(*count));
            (counts.len(), counts[0])
        };
        let (people, most) = often(Choice::Uniform);
        assert!(people > 1_990 && most < 40, "{people} {most}");
        // A member of 2,000 at exponent 1 is asked about in one question of ln(2000) + 0.58, about an eighth.
        let (_, most) = often(Choice::Zipf(1.0));
        assert!((2_200..2_700).contains(&most), "{most}");
    }

    #[test]
    fn nobody_shares_an_id() {
        let ids: BTreeSet<_> = (0..SHAPE.people()).map(|number| SHAPE.member_id(SHAPE.who(number))).collect();
        assert_eq!(ids.len() as u64, SHAPE.people());
        assert!(ids.iter().all(|id| id.len() == 36));
        let who: BTreeSet<_> = (0..SHAPE.people()).map(|number| SHAPE.who(number)).collect();
        assert!(who.iter().all(|who| who.tenant < 20 && who.member < 100) && who.len() == 2_000);
    }
}

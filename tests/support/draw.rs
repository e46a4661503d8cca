//! Worlds and questions drawn at random, so that every reason turns up often.

mod ask;
mod catalogue;
mod key;

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::catalogue::Document;
use doorward_engine::contact::{Country, Domain, Email};
use doorward_engine::firewall::{CountryRule, DomainRule, Firewall, ListMode, OnMissing};
use doorward_engine::id::{
    MemberId, Name, PlanKey, ResourceId, ResourceRef, Revision, SectionKey, Slug, SwitchKey, TenantId,
    TypeKey, UserId,
};
use doorward_engine::instant::Instant;
use doorward_engine::member::{Grant, Member, Origin, SectionValue};
use doorward_engine::resource::Resource;
use doorward_engine::role::Role;
use doorward_engine::status::{MemberStatus, ResourceStatus, TenantStatus};
use doorward_engine::subscription::{Subscription, SubscriptionState};
use doorward_engine::tenant::Tenant;

pub(crate) use self::ask::ask;
pub(crate) use self::catalogue::{catalogue, shipped};
use super::rng::Rng;
use super::world::{Seat, Workspace, World};

/// What a drawn world may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Held {
    /// Only what a store can hold.
    Sound,
    /// Also what it never should: keys and plans that the catalogue lacks, grants on nothing or of the deleted.
    Stray,
}

const DOMAINS: [&str; 3] = ["example.com", "example.org", "mail.example.com"];
const COUNTRIES: [&str; 3] = ["IN", "DE", "US"];
/// 2026-03-01T12:00:00Z.
const NOON: i64 = 1_772_366_400_000_000;

/// Draws a world with the shipped catalogue or one of its own.
pub(crate) fn world(rng: &mut Rng, held: Held) -> World {
    let catalogue = if rng.percent(50) { shipped() } else { catalogue(rng) };
    world_with(rng, held, catalogue)
}

/// Draws a world for a catalogue.
pub(crate) fn world_with(rng: &mut Rng, held: Held, catalogue: Document) -> World {
    let now = Instant::from_micros(NOON + rng.below(1_000_000_000) as i64);
    let mut draw = Draw { rng, held, now, catalogue: &catalogue };
    let workspaces = (0..3).map(|number| draw.workspace(number)).collect();
    World { now, workspaces, catalogue }
}

struct Draw<'a> {
    rng: &'a mut Rng,
    held: Held,
    now: Instant,
    catalogue: &'a Document,
}

impl Draw<'_> {
    fn workspace(&mut self, number: usize) -> Workspace {
        let resources = self.resources();
        let seats = (0..6).map(|seat| self.seat(number, seat, &resources)).collect();
        let keys = (0..4).map(|key| self.key(key, &resources)).collect();
        Workspace { tenant: self.tenant(number), seats, resources, keys }
    }

    fn tenant(&mut self, number: usize) -> Tenant {
        use TenantStatus::{Active, Deleted, Suspended};
        let mut plans: Vec<_> = self.catalogue.plans.iter().map(|plan| plan.key.as_str()).collect();
        if self.stray(5) {
            plans = vec!["forgotten"];
        }
        let plan = self.rng.pick(&plans).copied().unwrap_or("standard");
        let defaults: Vec<_> = self.section_keys().into_iter().filter(|_| self.rng.percent(25)).collect();
        Tenant {
            id: parse(&format!("t{number}"), TenantId::parse),
            slug: parse(&format!("t{number}"), Slug::parse),
            name: parse("Tenant", Name::parse),
            status: self
                .rng
                .one([Active, Active, Active, Active, Active, Active, Active, Active, Suspended, Deleted]),
            plan: parse(plan, PlanKey::parse),
            subscription: self.subscription(),
            switches: self.switches(),
            defaults: defaults.into_iter().map(|key| (key, self.rng.percent(50))).collect(),
            firewall: self.firewall(),
            created_at: Instant::from_micros(0),
            revision: Revision(1),
        }
    }

    fn subscription(&mut self) -> Subscription {
        use SubscriptionState::{Active, Cancelled, Expired, PendingRenewal, Trialing};
        Subscription {
            state: self.rng.one([
                Trialing,
                Trialing,
                Active,
                Active,
                Active,
                PendingRenewal,
                Cancelled,
                Expired,
            ]),
            complimentary: self.rng.percent(15),
            trial_end: self.instant(80),
            period_end: self.instant(60),
            grace_end: self.instant(70),
            access_until: self.instant(80),
        }
    }

    /// An instant around now: the edges, one step beside them, and far away.
    fn instant(&mut self, chance: usize) -> Option<Instant> {
        let steps = [-3_600_000_000, -1000, -1, 0, 1, 2, 1000, 60_000_000, 86_400_000_000, 2_592_000_000_000];
        let step = self.rng.maybe(chance, |rng| rng.one(steps))?;
        Some(Instant::from_micros(self.now.micros() + step))
    }

    fn switches(&mut self) -> BTreeSet<SwitchKey> {
        let named = self.catalogue.sections.iter().filter_map(|section| section.switch.as_deref());
        let mut keys: BTreeSet<_> = named.chain(self.catalogue.firewall_switch.as_deref()).collect();
        if self.stray(10) {
            keys.insert("forgotten");
        }
        keys.into_iter().filter(|_| self.rng.percent(65)).map(|key| parse(key, SwitchKey::parse)).collect()
    }

    fn firewall(&mut self) -> Firewall {
        let mode = |rng: &mut Rng| rng.one([ListMode::AllowList, ListMode::BlockList]);
        let countries = |rng: &mut Rng| {
            COUNTRIES.iter().filter(|_| rng.percent(50)).map(|c| parse(c, Country::parse)).collect()
        };
        let domains = |rng: &mut Rng| {
            DOMAINS.iter().filter(|_| rng.percent(50)).map(|d| parse(d, Domain::parse)).collect()
        };
        Firewall {
            country: self.rng.maybe(40, |rng| CountryRule {
                mode: mode(rng),
                countries: countries(rng),
                on_missing: rng.one([OnMissing::Skip, OnMissing::Deny]),
            }),
            domain: self.rng.maybe(30, |rng| DomainRule { mode: mode(rng), domains: domains(rng) }),
        }
    }

    fn resources(&mut self) -> Vec<Resource> {
        use ResourceStatus::{Active, Deleted, Inactive};
        let mut resources = Vec::new();
        for kind in &self.catalogue.types {
            for number in 0..5 {
                let id = parse(&format!("r{number}"), ResourceId::parse);
                if self.rng.percent(80) {
                    resources.push(Resource {
                        reference: ResourceRef { kind: parse(&kind.key, TypeKey::parse), id },
                        name: parse("Resource", Name::parse),
                        tags: BTreeMap::new(),
                        status: self.rng.one([Active, Active, Active, Active, Inactive, Inactive, Deleted]),
                        created_at: Instant::from_micros(0),
                        revision: Revision(1),
                    });
                }
            }
        }
        resources
    }

    fn seat(&mut self, tenant: usize, number: usize, resources: &[Resource]) -> Seat {
        use MemberStatus::{Active, Deleted, Disabled, Pending};
        let status = self
            .rng
            .one([Active, Active, Active, Active, Active, Active, Active, Pending, Disabled, Deleted]);
        let id = format!("m{number}");
        // The first two are the same two people in every tenant.
        let user = if number < 2 { format!("u{number}") } else { format!("u{tenant}-{number}") };
        let has_user = matches!(status, Active | Disabled);
        let empty = status == Deleted && self.held == Held::Sound;
        let domain = self.rng.one(DOMAINS);
        let member = Member {
            id: parse(&id, MemberId::parse),
            user_id: has_user.then(|| parse(&user, UserId::parse)),
            email: Some(parse(&format!("{id}@{domain}"), Email::parse)),
            display_name: None,
            role: self.rng.one([Role::Admin, Role::User, Role::User]),
            status,
            sections: if empty { BTreeMap::new() } else { self.toggles() },
            created_at: Instant::from_micros(0),
            invitation_expires_at: (status == Pending).then_some(Instant::MAX),
            person_version: 1,
            revision: Revision(1),
        };
        Seat { member, grants: if empty { BTreeMap::new() } else { self.grants(resources) } }
    }

    /// Values of sections of every type: those of others than CONFIGURABLE are stray, and mean nothing.
    fn toggles(&mut self) -> BTreeMap<SectionKey, SectionValue> {
        let keys: Vec<_> = self.section_keys().into_iter().filter(|_| self.rng.percent(50)).collect();
        let value = |on| SectionValue { on, origin: Origin::Set };
        keys.into_iter().map(|key| (key, value(self.rng.percent(60)))).collect()
    }

    fn section_keys(&mut self) -> Vec<SectionKey> {
        let mut keys: Vec<_> = self.catalogue.sections.iter().map(|section| section.key.as_str()).collect();
        if self.stray(10) {
            keys.push("forgotten");
        }
        keys.into_iter().map(|key| parse(key, SectionKey::parse)).collect()
    }

    fn grants(&mut self, resources: &[Resource]) -> BTreeMap<ResourceRef, Grant> {
        let mut grants = BTreeMap::new();
        for resource in resources {
            let exists = resource.status != ResourceStatus::Deleted;
            if self.rng.percent(60) && (exists || self.held == Held::Stray) {
                grants.insert(resource.reference.clone(), Grant { expires_at: self.instant(40) });
            }
        }
        if self.stray(20) {
            for (kind, id) in [("agent", "r0"), ("forgotten", "r1")] {
                let reference =
                    ResourceRef { kind: parse(kind, TypeKey::parse), id: parse(id, ResourceId::parse) };
                grants.insert(reference, Grant { expires_at: self.instant(40) });
            }
        }
        grants
    }

    fn stray(&mut self, chance: usize) -> bool {
        self.held == Held::Stray && self.rng.percent(chance)
    }
}

/// What was drawn is well formed: a mistake here is one of the tests, and ends them.
#[expect(clippy::panic, reason = "a test's own mistake")]
fn parse<T, E: std::fmt::Display>(text: &str, parse: impl Fn(&str) -> Result<T, E>) -> T {
    match parse(text) {
        Ok(value) => value,
        Err(error) => panic!("drew `{text}`: {error}"),
    }
}

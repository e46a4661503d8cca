//! API keys drawn at random.

use std::collections::BTreeSet;

use doorward_engine::api_key::{ApiKey, ResourceScope, Scopes, SectionPath};
use doorward_engine::id::{ActionKey, KeyId, Name, ResourceId, Revision, TypeKey};
use doorward_engine::instant::Instant;
use doorward_engine::resource::Resource;

use super::{Draw, parse};
use crate::support::rng::Rng;
use crate::support::scenario::secret_of;
use crate::support::world::Key;

impl Draw<'_> {
    pub(super) fn key(&mut self, number: usize, resources: &[Resource]) -> Key {
        let id = format!("k{number}");
        let key = ApiKey {
            id: parse(&id, KeyId::parse),
            name: parse("Key", Name::parse),
            scopes: self.scopes(resources),
            created_by: None,
            created_at: Instant::from_micros(0),
            expires_at: self.instant(40),
            revoked_at: if self.rng.percent(10) { self.instant(100) } else { None },
            revision: Revision(1),
        };
        Key { key, secret: secret_of(&id) }
    }

    fn scopes(&mut self, resources: &[Resource]) -> Scopes {
        let mut sections = BTreeSet::new();
        for section in &self.catalogue.sections {
            let parts = section.parts.iter().map(|part| format!("{}.{}", section.key, part.key));
            let paths = std::iter::once(section.key.clone()).chain(parts);
            sections
                .extend(paths.filter(|_| self.rng.percent(40)).map(|path| parse(&path, SectionPath::parse)));
        }
        let mut scopes = Vec::new();
        for kind in &self.catalogue.types {
            for action in &kind.actions {
                for _ in 0..self.rng.below(3) {
                    scopes.push(ResourceScope {
                        kind: parse(&kind.key, TypeKey::parse),
                        action: parse(&action.key, ActionKey::parse),
                        ids: self.rng.maybe(60, |rng| some_ids(rng, resources)),
                    });
                }
            }
        }
        Scopes { admin: self.rng.percent(10), sections, resources: scopes }
    }
}

fn some_ids(rng: &mut Rng, resources: &[Resource]) -> BTreeSet<ResourceId> {
    resources.iter().filter(|_| rng.percent(50)).map(|resource| resource.reference.id.clone()).collect()
}

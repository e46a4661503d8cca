//! API keys of a tenant: made, listed, revoked. Knows the form of a key's secret, and forgets each at once.

#[cfg(test)]
mod tests;

use doorward_engine::api_key::{ApiKey, ResourceScope, Scopes, SectionPath};
use doorward_engine::catalogue::Catalogue;
use doorward_engine::id::{KeyId, MemberId, Name, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::member::SecretHash;
use secrecy::{ExposeSecret, SecretString};

use super::authority::TenantAdmin;
use super::draft::{Draft, fresh_id};
use super::error::{Limited, Taken, Thing, Violation};
use super::list::{CHUNK, CHUNKS_MAX, Page};
use super::{Backend, Call, Done, Error, Operation, Service};
use crate::caller::{Caller, secret};
use crate::store::directory::Slice;
use crate::store::{Directory, Needs};

/// A key to be made.
#[derive(Clone, Debug)]
pub struct NewKey {
    /// Its id; none: a fresh one.
    pub id: Option<KeyId>,
    /// What people call it.
    pub name: Name,
    /// What it may do, in the order of the request.
    pub scopes: Vec<Scope>,
    /// From this instant on it is invalid.
    pub expires_at: Option<Instant>,
}

/// One thing that a key may do; the catalogue has not been asked about it yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// View a section or a part.
    Section(SectionPath),
    /// Do something to resources.
    Resource(ResourceScope),
    /// Administer the tenant.
    Admin,
}

/// A key that was made, with its text where it is shown.
#[derive(Debug)]
pub struct Created {
    /// The key.
    pub key: ApiKey,
    /// Its text; none where the call is a repetition, or writes nothing.
    pub secret: Option<SecretString>,
}

/// Which keys; the default matches those that are live.
#[derive(Clone, Debug, Default)]
pub struct KeyFilter {
    /// Only those that this member created.
    pub created_by: Option<MemberId>,
    /// Also those that are revoked or expired.
    pub include_ended: bool,
}

impl<B: Backend> Service<B> {
    /// Makes a key. Grows.
    ///
    /// # Errors
    /// [`Error`]: an id that was used before, the plan's limit, what the catalogue does not know.
    pub async fn create_api_key(
        &self,
        call: Call,
        tenant: TenantId,
        new: NewKey,
    ) -> Result<Done<Created>, Error> {
        let drawn = secret::draw()?;
        let hash = secret::hash(drawn.expose_secret());
        let validate_only = call.control.validate_only;
        let needs = Needs { keys: new.id.iter().cloned().collect(), live_keys: true, ..Needs::default() };
        let plan = move |admin: &TenantAdmin, draft: &mut Draft<'_>| create(admin, draft, &new, hash);
        let done = self.as_admin(call, Operation::CreateApiKey, tenant, needs, plan).await?;
        let shown = !done.replayed() && !validate_only;
        Ok(done.map(|key| Created {
            secret: shown.then(|| secret::text(secret::KEY, key.id.as_str(), &drawn)),
            key,
        }))
    }

    /// Revokes a key for good; a revoked one stays as it is.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn revoke_api_key(
        &self,
        call: Call,
        tenant: TenantId,
        key: KeyId,
    ) -> Result<Done<ApiKey>, Error> {
        let needs = Needs { keys: [key.clone()].into(), ..Needs::default() };
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| revoke(draft, &key);
        self.as_admin(call, Operation::RevokeApiKey, tenant, needs, plan).await
    }

    /// A page of keys, in the order of their ids. One that comes to its bound of reading ends early, and says where
    /// the next one goes on.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn list_api_keys(
        &self,
        caller: &Caller,
        tenant: TenantId,
        filter: KeyFilter,
        slice: Slice<KeyId>,
    ) -> Result<Page<ApiKey, KeyId>, Error> {
        let (_, view) = self.reading_admin(caller, Operation::ListApiKeys, &tenant).await?;
        let (mut after, mut found) = (slice.after, Vec::new());
        for _ in 0..CHUNKS_MAX {
            let keys =
                self.directory.keys(tenant.clone(), Slice { after: after.clone(), limit: CHUNK }).await?;
            let next = keys.last().map(|key| key.id.clone());
            let is_last = u64::try_from(keys.len()).is_ok_and(|read| read < CHUNK);
            found.extend(keys.into_iter().filter(|key| filter.matches(key, view.now)));
            if is_last || u64::try_from(found.len()).is_ok_and(|found| found > slice.limit) {
                return Ok(Page::cut(found, slice.limit, |key| key.id.clone()));
            }
            after = next;
        }
        Ok(Page { items: found, next: after })
    }
}

impl KeyFilter {
    fn matches(&self, key: &ApiKey, now: Instant) -> bool {
        let is_theirs = self.created_by.is_none() || self.created_by == key.created_by;
        is_theirs && (self.include_ended || key.is_live(now))
    }
}

fn create(
    admin: &TenantAdmin,
    draft: &mut Draft<'_>,
    new: &NewKey,
    secret: SecretHash,
) -> Result<ApiKey, Error> {
    draft.grow()?;
    let scopes = scopes(&draft.state.in_force.catalogue, &new.scopes)?;
    let id = match &new.id {
        Some(id) => id.clone(),
        None => fresh_id(KeyId::parse)?,
    };
    if draft.state.keys.contains_key(&id) {
        return Err(Error::AlreadyExists(Taken::Id));
    }
    draft.fits(Limited::ApiKeys, draft.limits()?.api_keys, draft.state.live_keys, 1)?;
    let key = ApiKey {
        id,
        name: new.name.clone(),
        scopes,
        created_by: admin.member().cloned(),
        created_at: draft.now(),
        expires_at: new.expires_at,
        revoked_at: None,
        revision: draft.state.next(),
    };
    Ok(draft.put_key(None, key, Some(secret)))
}

fn revoke(draft: &mut Draft<'_>, id: &KeyId) -> Result<ApiKey, Error> {
    let key = draft.state.keys.get(id).ok_or(Error::NotFound(Thing::ApiKey))?;
    draft.compare(key.revision)?;
    let revoked_at = key.revoked_at.or(Some(draft.now()));
    Ok(draft.put_key(Some(key), ApiKey { revoked_at, ..key.clone() }, None))
}

/// The live keys that a member created: those that go on working, and those that are revoked here and now.
pub(super) fn keys_of(draft: &mut Draft<'_>, member: &MemberId, revoke: bool) -> (Vec<ApiKey>, Vec<ApiKey>) {
    let now = draft.now();
    let theirs =
        draft.state.keys.values().filter(|key| key.created_by.as_ref() == Some(member) && key.is_live(now));
    if !revoke {
        return (theirs.cloned().collect(), Vec::new());
    }
    let revoked =
        |key: &ApiKey| draft.put_key(Some(key), ApiKey { revoked_at: Some(now), ..key.clone() }, None);
    (Vec::new(), theirs.map(revoked).collect())
}

/// The scopes as they are stored; what the catalogue does not know is named where the request has it.
fn scopes(catalogue: &Catalogue, requested: &[Scope]) -> Result<Scopes, Error> {
    let mut scopes = Scopes::default();
    let mut violations = Vec::new();
    for (at, scope) in requested.iter().enumerate() {
        match scope {
            Scope::Admin => scopes.admin = true,
            Scope::Section(path) => {
                knows_section(catalogue, path)?;
                scopes.sections.insert(path.clone());
            }
            Scope::Resource(scope) => {
                violations.extend(unknown_action(catalogue, at, scope));
                scopes.resources.push(scope.clone());
            }
        }
    }
    if violations.is_empty() { Ok(scopes) } else { Err(Error::Invalid(violations)) }
}

fn knows_section(catalogue: &Catalogue, path: &SectionPath) -> Result<(), Error> {
    let section = catalogue.section(path.section.as_str());
    let known = section.is_some_and(|section| {
        path.part.as_ref().is_none_or(|part| catalogue.part(section, part.as_str()).is_some())
    });
    if known { Ok(()) } else { Err(Error::SectionUnknown(path.to_string())) }
}

fn unknown_action(catalogue: &Catalogue, at: usize, scope: &ResourceScope) -> Option<Violation> {
    let Some(kind) = catalogue.resource_type(scope.kind.as_str()) else {
        let known = listed(catalogue.types().map(|(_, kind)| kind.key.as_str()));
        let problem = format!("`{}` is no resource type of the catalogue; allowed: {known}", scope.kind);
        return Some(Violation::new(format!("scopes[{at}].resource.type"), problem));
    };
    if catalogue.action(kind, scope.action.as_str()).is_some() {
        return None;
    }
    let known = listed(catalogue.actions(kind).map(|(_, action)| action.key.as_str()));
    let problem = format!("`{}` is no action of `{}`; allowed: {known}", scope.action, scope.kind);
    Some(Violation::new(format!("scopes[{at}].resource.action"), problem))
}

fn listed<'a>(keys: impl Iterator<Item = &'a str>) -> String {
    keys.map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", ")
}

/// The id and the hash of the secret in the text of a key, `dwk_<id>_<secret>`; none where it is no such text.
pub(crate) fn parse_presented(text: &str) -> Option<(KeyId, SecretHash)> {
    let (id, hash) = secret::parse(secret::KEY, text)?;
    Some((KeyId::parse(id).ok()?, hash))
}

//! Resources: their registration, name and tags, pause and end.

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::catalogue::Catalogue;
use doorward_engine::id::{Name, ResourceId, ResourceRef, Revision, TenantId, TypeKey};
use doorward_engine::resource::Resource;
use doorward_engine::status::ResourceStatus;

use super::authority::TenantAdmin;
use super::draft::{Draft, fresh_id};
use super::error::{Error, Limited, Taken, Thing, Violation};
use super::list::{Page, one_more};
use super::{Backend, Call, Done, Operation, Service};
use crate::caller::Caller;
use crate::store::directory::{ResourceFilter, Slice};
use crate::store::{Directory, Needs};

/// A resource to be registered.
#[derive(Clone, Debug)]
pub struct NewResource {
    /// Its type.
    pub kind: TypeKey,
    /// Its id; none: a fresh one.
    pub id: Option<ResourceId>,
    /// Its name.
    pub name: Name,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// What to change of a resource; what is none stays as it is.
#[derive(Clone, Debug, Default)]
pub struct ResourceUpdate {
    /// The new name.
    pub name: Option<Name>,
    /// The new tags, in the place of all the old ones.
    pub tags: Option<BTreeMap<String, String>>,
}

impl<B: Backend> Service<B> {
    /// Registers a resource, ACTIVE and without grants.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for an unknown type, ID_TAKEN, SUBSCRIPTION_LAPSED, RESOURCE_LIMIT.
    pub async fn register_resource(
        &self,
        call: Call,
        tenant: TenantId,
        new: NewResource,
    ) -> Result<Done<Resource>, Error> {
        let named = new.id.clone().map(|id| ResourceRef { kind: new.kind.clone(), id });
        let needs = Needs {
            resources: named.into_iter().collect(),
            resources_of: Some(new.kind.clone()),
            ..Needs::default()
        };
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| register(draft, new, 1);
        self.as_admin(call, Operation::RegisterResource, tenant, needs, plan).await
    }

    /// Registers many resources of one type: all of them or none. Grows.
    ///
    /// # Errors
    /// As [`Self::register_resource`].
    pub async fn batch_register_resources(
        &self,
        call: Call,
        tenant: TenantId,
        kind: TypeKey,
        new: Vec<NewResource>,
    ) -> Result<Done<Vec<Resource>>, Error> {
        let named = |id: &ResourceId| ResourceRef { kind: kind.clone(), id: id.clone() };
        let needs = Needs {
            resources: new.iter().filter_map(|new| new.id.as_ref().map(named)).collect(),
            resources_of: Some(kind.clone()),
            ..Needs::default()
        };
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| {
            draft.compare_tenant_revision()?;
            let wanted = u64::try_from(new.len()).unwrap_or(u64::MAX);
            new.into_iter().map(|new| register(draft, new, wanted)).collect()
        };
        self.as_admin(call, Operation::BatchRegisterResources, tenant, needs, plan).await
    }

    /// Changes a resource's name or tags.
    ///
    /// # Errors
    /// RESOURCE_NOT_FOUND.
    pub async fn update_resource(
        &self,
        call: Call,
        tenant: TenantId,
        resource: ResourceRef,
        update: ResourceUpdate,
    ) -> Result<Done<Resource>, Error> {
        self.change_resource(call, Operation::UpdateResource, tenant, resource, |after| {
            after.name = update.name.unwrap_or_else(|| after.name.clone());
            after.tags = update.tags.unwrap_or_else(|| after.tags.clone());
        })
        .await
    }

    /// Puts a resource back into use.
    ///
    /// # Errors
    /// RESOURCE_NOT_FOUND.
    pub async fn activate_resource(
        &self,
        call: Call,
        tenant: TenantId,
        resource: ResourceRef,
    ) -> Result<Done<Resource>, Error> {
        self.change_resource(call, Operation::ActivateResource, tenant, resource, |after| {
            after.status = ResourceStatus::Active;
        })
        .await
    }

    /// Pauses a resource; its grants are kept.
    ///
    /// # Errors
    /// RESOURCE_NOT_FOUND.
    pub async fn deactivate_resource(
        &self,
        call: Call,
        tenant: TenantId,
        resource: ResourceRef,
    ) -> Result<Done<Resource>, Error> {
        self.change_resource(call, Operation::DeactivateResource, tenant, resource, |after| {
            after.status = ResourceStatus::Inactive;
        })
        .await
    }

    /// Deletes a resource with its grants. A deleted one stays deleted.
    ///
    /// # Errors
    /// RESOURCE_NOT_FOUND where there never was one.
    pub async fn delete_resource(
        &self,
        call: Call,
        tenant: TenantId,
        resource: ResourceRef,
    ) -> Result<Done<Resource>, Error> {
        let needs = Needs { resources: BTreeSet::from([resource.clone()]), ..Needs::default() };
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| delete(draft, &resource);
        self.as_admin(call, Operation::DeleteResource, tenant, needs, plan).await
    }

    /// One resource.
    ///
    /// # Errors
    /// RESOURCE_NOT_FOUND, for a deleted one too.
    pub async fn get_resource(
        &self,
        caller: &Caller,
        tenant: TenantId,
        resource: ResourceRef,
    ) -> Result<Resource, Error> {
        self.reading_admin(caller, Operation::GetResource, &tenant).await?;
        let found = self.directory.resource(tenant, resource.clone()).await?;
        match found.filter(|found| found.status != ResourceStatus::Deleted) {
            Some(found) => Ok(found),
            None => {
                self.knows_type(&resource.kind).await?;
                Err(Error::NotFound(Thing::Resource))
            }
        }
    }

    /// A page of resources.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for an unknown type.
    pub async fn list_resources(
        &self,
        caller: &Caller,
        tenant: TenantId,
        filter: ResourceFilter,
        slice: Slice<ResourceRef>,
    ) -> Result<Page<Resource, ResourceRef>, Error> {
        self.reading_admin(caller, Operation::ListResources, &tenant).await?;
        let (limit, kind) = (slice.limit, filter.kind.clone());
        let rows = self.directory.resources(tenant, filter, one_more(slice)).await?;
        // Where there is a resource, there is its type.
        if let (Some(kind), true) = (kind, rows.is_empty()) {
            self.knows_type(&kind).await?;
        }
        Ok(Page::cut(rows, limit, |resource| resource.reference.clone()))
    }

    /// Refuses a type that the catalogue in force does not have.
    pub(super) async fn knows_type(&self, kind: &TypeKey) -> Result<(), Error> {
        let in_force = self.in_force().await?;
        let violation = unknown_type(&in_force.catalogue, "type", kind);
        violation.map_or(Ok(()), |violation| Err(violation.into()))
    }

    async fn change_resource<F>(
        &self,
        call: Call,
        operation: Operation,
        tenant: TenantId,
        resource: ResourceRef,
        change: F,
    ) -> Result<Done<Resource>, Error>
    where
        F: FnOnce(&mut Resource) + Send + 'static,
    {
        let needs = Needs { resources: BTreeSet::from([resource.clone()]), ..Needs::default() };
        let plan = move |_: &TenantAdmin, draft: &mut Draft<'_>| change_with(draft, &resource, change);
        self.as_admin(call, operation, tenant, needs, plan).await
    }
}

/// What is wrong with a type that the catalogue does not have.
pub(super) fn unknown_type(
    catalogue: &Catalogue,
    field: impl Into<String>,
    kind: &TypeKey,
) -> Option<Violation> {
    let types = catalogue.types().map(|(_, kind)| kind.key.as_str());
    let unknown = catalogue.resource_type(kind.as_str()).is_none();
    unknown.then(|| Violation::unknown(field, "resource type", kind.as_str(), types))
}

fn known_type(draft: &Draft<'_>, kind: &TypeKey) -> Result<(), Error> {
    let violation = unknown_type(&draft.state.in_force.catalogue, "type", kind);
    violation.map_or(Ok(()), |violation| Err(violation.into()))
}

/// `wanted`: how many of its type the whole request registers.
fn register(draft: &mut Draft<'_>, new: NewResource, wanted: u64) -> Result<Resource, Error> {
    known_type(draft, &new.kind)?;
    let id = new.id.map_or_else(|| fresh_id(ResourceId::parse), Ok)?;
    let reference = ResourceRef { kind: new.kind, id };
    if draft.state.resources.contains_key(&reference) {
        return Err(Error::AlreadyExists(Taken::Id));
    }
    draft.grow()?;
    let limit = draft.limits()?.resources.get(&reference.kind).copied();
    let what = Limited::Resources(reference.kind.clone());
    draft.fits(what, limit, draft.state.resource_count, wanted)?;
    let resource = Resource {
        reference,
        name: new.name,
        tags: new.tags,
        status: ResourceStatus::Active,
        created_at: draft.now(),
        revision: Revision::default(),
    };
    Ok(draft.put_resource(None, resource))
}

fn change_with(
    draft: &mut Draft<'_>,
    reference: &ResourceRef,
    change: impl FnOnce(&mut Resource),
) -> Result<Resource, Error> {
    known_type(draft, &reference.kind)?;
    let before = draft.resource(reference)?;
    draft.compare(before.revision)?;
    let mut after = before.clone();
    change(&mut after);
    Ok(draft.put_resource(Some(before), after))
}

fn delete(draft: &mut Draft<'_>, reference: &ResourceRef) -> Result<Resource, Error> {
    known_type(draft, &reference.kind)?;
    let found = draft.state.resources.get(reference);
    let before = found.ok_or(Error::NotFound(Thing::Resource))?;
    draft.compare(before.revision)?;
    let after = Resource { status: ResourceStatus::Deleted, ..before.clone() };
    Ok(draft.put_resource(Some(before), after))
}

#[cfg(test)]
mod tests {
    use super::super::member::sample::{NOW, in_force, lapse, plan, reason, state, with_limits};
    use super::*;
    use crate::store::State;

    fn kind(text: &str) -> TypeKey {
        TypeKey::parse(text).unwrap()
    }

    fn new(id: Option<&str>) -> NewResource {
        NewResource {
            kind: kind("agent"),
            id: id.map(|id| ResourceId::parse(id).unwrap()),
            name: Name::parse("An agent").unwrap(),
            tags: BTreeMap::new(),
        }
    }

    fn with(state: &mut State, id: &str, status: ResourceStatus) -> ResourceRef {
        let reference = ResourceRef { kind: kind("agent"), id: ResourceId::parse(id).unwrap() };
        let resource = Resource {
            reference: reference.clone(),
            name: Name::parse(id).unwrap(),
            tags: BTreeMap::new(),
            status,
            created_at: NOW,
            revision: Revision(2),
        };
        state.resources.insert(reference.clone(), resource);
        reference
    }

    fn registering(state: &State, new: NewResource) -> String {
        reason(plan(state, |_, draft| register(draft, new, 1)))
    }

    #[test]
    fn a_new_resource_is_active_and_has_an_id_of_its_own() {
        let state = state();
        let registered = || plan(&state, |_, draft| register(draft, new(None), 1)).unwrap().answer;
        let (one, other) = (registered(), registered());
        assert_eq!((one.status, one.revision, one.created_at), (ResourceStatus::Active, Revision(8), NOW));
        assert_ne!(one.reference, other.reference);
        let id = uuid::Uuid::parse_str(one.reference.id.as_str()).unwrap();
        assert_eq!(id.get_version_num(), 7);
    }

    #[test]
    fn an_id_is_used_once_even_after_a_deletion() {
        let mut state = state();
        with(&mut state, "gone", ResourceStatus::Deleted);
        with(&mut state, "here", ResourceStatus::Active);
        assert_eq!(registering(&state, new(Some("gone"))), "Id taken");
        assert_eq!(registering(&state, new(Some("here"))), "Id taken");
        assert_eq!(registering(&state, new(Some("fresh"))), "done");
    }

    #[test]
    fn a_plan_limits_the_resources_of_a_type() {
        let mut state = state();
        state.in_force = in_force(&with_limits("limits = { resources = { agent = 2 } }"));
        state.resource_count = 1;
        assert_eq!(registering(&state, new(None)), "done");
        state.resource_count = 2;
        assert_eq!(registering(&state, new(None)), "2 of 2");
        state.resource_count = 1;
        let two = plan(&state, |_, draft| register(draft, new(None), 2));
        assert_eq!(reason(two), "1 of 2");
    }

    #[test]
    fn registering_grows_and_nothing_else_does() {
        let mut state = state();
        let reference = with(&mut state, "a", ResourceStatus::Inactive);
        lapse(&mut state);
        assert_eq!(registering(&state, new(None)), "SubscriptionLapsed");
        let activated = plan(&state, |_, draft| {
            change_with(draft, &reference, |after| after.status = ResourceStatus::Active)
        });
        assert_eq!(reason(activated), "done");
        assert_eq!(reason(plan(&state, |_, draft| delete(draft, &reference))), "done");
    }

    #[test]
    fn deleting_twice_changes_once() {
        let mut state = state();
        let here = with(&mut state, "here", ResourceStatus::Active);
        let gone = with(&mut state, "gone", ResourceStatus::Deleted);
        let deleted = plan(&state, |_, draft| delete(draft, &here)).unwrap();
        assert_eq!((deleted.changes.len(), deleted.answer.revision), (1, Revision(8)));
        let again = plan(&state, |_, draft| delete(draft, &gone)).unwrap();
        assert_eq!((again.changes.len(), again.answer.revision), (0, Revision(2)));
        let changed = plan(&state, |_, draft| change_with(draft, &gone, |_| {}));
        assert_eq!(reason(changed), "no Resource");
    }

    #[test]
    fn an_unknown_type_is_named_with_those_there_are() {
        let text = registering(&state(), NewResource { kind: kind("board"), ..new(None) });
        assert!(text.contains("unknown resource type `board`; allowed: `agent`"), "{text}");
    }
}

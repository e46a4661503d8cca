//! What a subject has access to: the sections in the order of the sidebar, or the resources of a type.

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::catalogue::SECTION_TYPE;
use doorward_engine::decide::{Decision, decide};
use doorward_engine::id::{Name, ResourceId, ResourceRef, TenantId, TypeKey};
use doorward_engine::question::{PartAsked, Question, QuestionError, Target};
use doorward_engine::reason::Reason;
use doorward_engine::role::Role;
use doorward_engine::snapshot::MemberFacts;

use super::{Allowed, CHUNK, CHUNKS_MAX, Found, Page, Verdict, Walk};
use crate::caller::Caller;
use crate::service::check::Inquiry;
use crate::service::error::{Error, Violation};
use crate::service::{Backend, Operation, Service};
use crate::store::directory::{ResourceFilter, Slice};
use crate::store::{Directory, Snapshot, SubjectFacts};

/// What is asked about: all sections, or all resources of a type.
#[derive(Clone, Debug)]
pub struct Things {
    /// `section`, or a resource type.
    pub kind: String,
    /// The action.
    pub action: String,
}

/// A section or resource that a subject has access to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accessible {
    /// The section's key or the resource's id.
    pub id: String,
    /// What people call it.
    pub name: Name,
    /// Why, and until when.
    pub allowed: Allowed,
}

/// A resource that may be among them; grants know no name.
struct Candidate {
    resource: ResourceRef,
    name: Option<Name>,
}

impl<B: Backend> Service<B> {
    /// A page of the sections, in the order of the sidebar, or of the resources of a type, in the order of their ids,
    /// that a subject has access to. Whoever has none gets an empty one.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a type or action that the catalogue does not have.
    pub async fn list_accessible(
        &self,
        caller: &Caller,
        inquiry: Inquiry,
        things: Things,
        slice: Slice<String>,
    ) -> Result<Found<Accessible, String>, Error> {
        self.may_ask(caller, Operation::ListAccessible, &inquiry).await?;
        let snapshot = self.facts(&inquiry, Vec::new()).await?;
        let page = if things.kind == SECTION_TYPE {
            sections(&snapshot, &inquiry, &things, slice)?
        } else {
            self.accessible_resources(&snapshot, &inquiry, &things, slice).await?
        };
        Ok(Found { page, revision: snapshot.revision })
    }

    async fn accessible_resources(
        &self,
        first: &Snapshot,
        inquiry: &Inquiry,
        things: &Things,
        slice: Slice<String>,
    ) -> Result<Page<Accessible, String>, Error> {
        // Any id will do to learn whether type and action are known, also where there is no candidate.
        let any = ResourceId::parse(inquiry.tenant.as_str());
        let any = any.map_err(|error| Error::Internal(error.to_string()))?;
        target(first, things, &any)?;
        let after = slice.after.as_deref().map(ResourceId::parse).transpose();
        let after = after.map_err(|error| Violation::new("page_token", error))?;
        let walk = Walk::over(Slice { after, limit: slice.limit });
        let Page { items, next } = self.walk_resources(first, inquiry, things, walk).await?;
        Ok(Page { items: self.named(&inquiry.tenant, items).await?, next: next.map(String::from) })
    }

    async fn walk_resources(
        &self,
        first: &Snapshot,
        inquiry: &Inquiry,
        things: &Things,
        mut walk: Walk<(Candidate, Allowed), ResourceId>,
    ) -> Result<Page<(Candidate, Allowed), ResourceId>, Error> {
        for _ in 0..CHUNKS_MAX {
            let chunk = self.candidates(first, inquiry, &things.kind, walk.after.clone()).await?;
            let size = chunk.len();
            let resources = chunk.iter().map(|candidate| candidate.resource.clone()).collect();
            let snapshot = self.facts(inquiry, resources).await?;
            for (at, candidate) in chunk.into_iter().enumerate() {
                let resource = &candidate.resource;
                let target = target(&snapshot, things, &resource.id)?;
                let decision = decided(&snapshot, inquiry, Some(at), target);
                let verdict = Verdict::over(&decision, differs_by_resource);
                let key = resource.id.clone();
                if walk.take(key, verdict, |allowed| (candidate, allowed)).is_break() {
                    return Ok(walk.page());
                }
            }
            if walk.ends_with(size) {
                break;
            }
        }
        Ok(walk.page())
    }

    /// In the order of their ids: those that a USER has grants on, or for everybody else all.
    async fn candidates(
        &self,
        first: &Snapshot,
        inquiry: &Inquiry,
        kind: &str,
        after: Option<ResourceId>,
    ) -> Result<Vec<Candidate>, Error> {
        let kind = TypeKey::parse(kind).map_err(|error| Violation::new("type", error))?;
        match &first.subject {
            SubjectFacts::Member(None) | SubjectFacts::Key(None) => Ok(Vec::new()),
            SubjectFacts::Member(Some(member)) if member.role == Role::User => {
                Ok(granted(first, member, &kind, after.as_ref()))
            }
            SubjectFacts::Member(Some(_)) | SubjectFacts::Key(Some(_)) => {
                let after = after.map(|id| ResourceRef { kind: kind.clone(), id });
                let filter = ResourceFilter { kind: Some(kind), ..ResourceFilter::default() };
                let slice = Slice { after, limit: CHUNK };
                let rows = self.directory.resources(inquiry.tenant.clone(), filter, slice).await?;
                let candidate = |row: doorward_engine::resource::Resource| Candidate {
                    resource: row.reference,
                    name: Some(row.name),
                };
                Ok(rows.into_iter().map(candidate).collect())
            }
        }
    }

    /// The names of those that were found by a grant: a deleted one still has its name, what was decided is answered.
    async fn named(
        &self,
        tenant: &TenantId,
        found: Vec<(Candidate, Allowed)>,
    ) -> Result<Vec<Accessible>, Error> {
        let nameless = found.iter().filter(|(candidate, _)| candidate.name.is_none());
        let nameless: BTreeSet<_> = nameless.map(|(candidate, _)| candidate.resource.clone()).collect();
        let rows = self.directory.resources_of(tenant.clone(), nameless).await?;
        let names: BTreeMap<_, _> = rows.into_iter().map(|row| (row.reference, row.name)).collect();
        let with_name = |(candidate, allowed): (Candidate, Allowed)| {
            let Candidate { resource, name } = candidate;
            let name = name.or_else(|| names.get(&resource).cloned())?;
            Some(Accessible { id: resource.id.to_string(), name, allowed })
        };
        Ok(found.into_iter().filter_map(with_name).collect())
    }

    async fn facts(&self, inquiry: &Inquiry, resources: Vec<ResourceRef>) -> Result<Snapshot, Error> {
        let Inquiry { tenant, subject, freshness, .. } = inquiry;
        Ok(self.resolver.snapshot(tenant.clone(), subject, resources, *freshness).await?)
    }
}

/// The sections that are open, in the order of the sidebar.
fn sections(
    snapshot: &Snapshot,
    inquiry: &Inquiry,
    things: &Things,
    slice: Slice<String>,
) -> Result<Page<Accessible, String>, Error> {
    let catalogue = &snapshot.in_force.catalogue;
    // No key at all will do to learn whether the action is known.
    Target::section(catalogue, &things.action, "").map_err(violation)?;
    let mut rest = catalogue.sections();
    if let Some(after) = &slice.after
        && !rest.any(|(_, section)| section.key.as_str() == after)
    {
        let problem = "goes on after a section that the catalogue no longer has; begin again";
        return Err(Violation::new("page_token", problem).into());
    }
    let mut walk = Walk::over(slice);
    for (index, section) in rest {
        let target = Target::Section { section: Some(index), part: PartAsked::None };
        let decision = decided(snapshot, inquiry, None, target);
        // Each section has a denial of its own: SYSTEM ones are open where all others are not.
        let verdict = Verdict::over(&decision, |_| true);
        let (id, name) = (section.key.to_string(), section.name.clone());
        let open = |allowed| Accessible { id: id.clone(), name, allowed };
        if walk.take(id.clone(), verdict, open).is_break() {
            return Ok(walk.page());
        }
    }
    walk.ends_with(0);
    Ok(walk.page())
}

fn granted(
    snapshot: &Snapshot,
    member: &MemberFacts,
    kind: &TypeKey,
    after: Option<&ResourceId>,
) -> Vec<Candidate> {
    let index = snapshot.in_force.catalogue.resource_type(kind.as_str());
    let later = |id: &str| after.is_none_or(|after| id > after.as_str());
    let ids = member.grants().iter().filter(|(kind, id, _)| Some(*kind) == index && later(id));
    let candidate = |id: &str| {
        let resource = ResourceRef { kind: kind.clone(), id: ResourceId::parse(id).ok()? };
        Some(Candidate { resource, name: None })
    };
    let most = usize::try_from(CHUNK).unwrap_or(usize::MAX);
    ids.filter_map(|(_, id, _)| candidate(id)).take(most).collect()
}

fn target<'q>(snapshot: &Snapshot, things: &Things, id: &'q ResourceId) -> Result<Target<'q>, Error> {
    let catalogue = &snapshot.in_force.catalogue;
    Target::parse(catalogue, &things.action, &things.kind, id).map_err(violation)
}

/// The request has its type beside its action.
fn violation(error: QuestionError) -> Error {
    let field = if error.field == "resource.type" { "type" } else { error.field };
    Violation::from(QuestionError { field, ..error }).into()
}

fn decided(snapshot: &Snapshot, inquiry: &Inquiry, resource: Option<usize>, target: Target<'_>) -> Decision {
    let Inquiry { country, email_domain, .. } = inquiry;
    let question = Question { target, country: *country, email_domain: email_domain.as_ref() };
    decide(&snapshot.facts(resource), &question, snapshot.now)
}

/// Whether a denial is of one resource, and not of the whole type, the subject or the tenant.
const fn differs_by_resource(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::ResourceNotFound | Reason::NotGranted | Reason::ResourceInactive | Reason::KeyScopeMissing
    )
}

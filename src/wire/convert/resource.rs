//! Resources on the wire.

use std::collections::{BTreeMap, BTreeSet};

use doorward_engine::id::{IdError, Name, ResourceId, ResourceRef, TenantId, TypeKey};
use doorward_engine::resource::Resource;
use doorward_engine::status::ResourceStatus;

use super::fields::echo;
use super::list::{Paging, narrowing, next, paths, search};
use super::{Context, Fields, Mutation, PageFilter, answer, timestamp};
use crate::proto;
use crate::service::resource::{NewResource, ResourceUpdate};
use crate::service::{Backend, Control, Error};
use crate::store::directory::ResourceFilter;

const TAGS_MAX: usize = 64;
const TAG_KEY_CHARS_MAX: usize = 64;
const TAG_VALUE_CHARS_MAX: usize = 256;

pub(in crate::wire) async fn register_resource<B: Backend>(
    context: Context<B>,
    request: proto::RegisterResourceRequest,
) -> Result<proto::RegisterResourceResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.creation(context.operation, &request);
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let kind = fields.parse("type", &request.r#type, TypeKey::parse);
    let id = fields.optional("resource_id", &request.resource_id, ResourceId::parse);
    let name = fields.parse("name", &request.name, Name::parse);
    let tags = tags(&mut fields, "tags", request.tags);
    let (control, tenant, kind, id, name, tags) = fields.all((control, tenant, kind, id, name, tags))?;
    let new = NewResource { kind, id, name, tags };
    let call = context.call(control);
    let done = context.service.register_resource(call, tenant.clone(), new).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let resource = Some(resource(&tenant, done.answer));
    Ok(answer!(RegisterResourceResponse { resource }, tail))
}

pub(in crate::wire) async fn batch_register_resources<B: Backend>(
    context: Context<B>,
    request: proto::BatchRegisterResourcesRequest,
) -> Result<proto::BatchRegisterResourcesResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.control(context.operation, &request);
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let kind = fields.parse("type", &request.r#type, TypeKey::parse);
    let new = fields.list("resources", request.resources).zip(kind.as_ref());
    let new = new.and_then(|(new, kind)| news(&mut fields, kind, new));
    let (control, tenant, kind, new) = fields.all((control, tenant, kind, new))?;
    let call = context.call(control);
    let done = context.service.batch_register_resources(call, tenant.clone(), kind, new).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let resources = done.answer.into_iter().map(|registered| resource(&tenant, registered)).collect();
    Ok(answer!(BatchRegisterResourcesResponse { resources }, tail))
}

pub(in crate::wire) async fn update_resource<B: Backend>(
    context: Context<B>,
    request: proto::UpdateResourceRequest,
) -> Result<proto::UpdateResourceResponse, Error> {
    let mut fields = Fields::default();
    let named = control_and_key(&mut fields, &context, &request);
    let mask = paths(&mut fields, request.update_mask, &["name", "tags"]);
    let update = mask.and_then(|mask| update(&mut fields, mask, &request.name, request.tags));
    let ((control, tenant, key), update) = fields.all((named, update))?;
    let call = context.call(control);
    let done = context.service.update_resource(call, tenant.clone(), key, update).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let resource = Some(resource(&tenant, done.answer));
    Ok(answer!(UpdateResourceResponse { resource }, tail))
}

pub(in crate::wire) async fn activate_resource<B: Backend>(
    context: Context<B>,
    request: proto::ActivateResourceRequest,
) -> Result<proto::ActivateResourceResponse, Error> {
    let mut fields = Fields::default();
    let named = control_and_key(&mut fields, &context, &request);
    let ((control, tenant, key),) = fields.all((named,))?;
    let call = context.call(control);
    let done = context.service.activate_resource(call, tenant.clone(), key).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let resource = Some(resource(&tenant, done.answer));
    Ok(answer!(ActivateResourceResponse { resource }, tail))
}

pub(in crate::wire) async fn deactivate_resource<B: Backend>(
    context: Context<B>,
    request: proto::DeactivateResourceRequest,
) -> Result<proto::DeactivateResourceResponse, Error> {
    let mut fields = Fields::default();
    let named = control_and_key(&mut fields, &context, &request);
    let ((control, tenant, key),) = fields.all((named,))?;
    let call = context.call(control);
    let done = context.service.deactivate_resource(call, tenant.clone(), key).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let resource = Some(resource(&tenant, done.answer));
    Ok(answer!(DeactivateResourceResponse { resource }, tail))
}

pub(in crate::wire) async fn delete_resource<B: Backend>(
    context: Context<B>,
    request: proto::DeleteResourceRequest,
) -> Result<proto::DeleteResourceResponse, Error> {
    let mut fields = Fields::default();
    let named = control_and_key(&mut fields, &context, &request);
    let ((control, tenant, key),) = fields.all((named,))?;
    let call = context.call(control);
    let done = context.service.delete_resource(call, tenant.clone(), key).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let resource = Some(resource(&tenant, done.answer));
    Ok(answer!(DeleteResourceResponse { resource }, tail))
}

pub(in crate::wire) async fn get_resource<B: Backend>(
    context: Context<B>,
    request: proto::GetResourceRequest,
) -> Result<proto::GetResourceResponse, Error> {
    let mut fields = Fields::default();
    let key = key(&mut fields, &request.tenant_id, &request.r#type, &request.resource_id);
    let ((tenant, key),) = fields.all((key,))?;
    let found = context.service.get_resource(&context.caller, tenant.clone(), key).await?;
    Ok(proto::GetResourceResponse { resource: Some(resource(&tenant, found)) })
}

pub(in crate::wire) async fn list_resources<B: Backend>(
    context: Context<B>,
    request: proto::ListResourcesRequest,
) -> Result<proto::ListResourcesResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let kind = fields.optional("type", &request.r#type, TypeKey::parse);
    let status = status_filter(&mut fields, request.status);
    let text = search(&mut fields, "text", &request.text);
    let texts = [&request.r#type, &*request.status.to_string(), &request.text];
    let filter = PageFilter::new(context.operation, &request.tenant_id, &texts);
    let page = Paging { size: request.page_size, token: &request.page_token };
    let slice = page.slice(&mut fields, &context.keys, Some(&filter), parse_after);
    let (tenant, kind, status, text, slice) = fields.all((tenant, kind, status, text, slice))?;
    let wanted = ResourceFilter { kind, status, text };
    let service = &context.service;
    let found = service.list_resources(&context.caller, tenant.clone(), wanted, slice).await?;
    let after = found.next.map(|key| format!("{}/{}", key.kind, key.id));
    Ok(proto::ListResourcesResponse {
        resources: found.items.into_iter().map(|found| resource(&tenant, found)).collect(),
        next_page_token: next(&filter, &context.keys, after),
    })
}

/// A mutation of one resource.
trait OfResource: Mutation {
    /// The tenant's id, the type and the resource's id.
    fn key(&self) -> (&str, &str, &str);
}

macro_rules! of_resource {
    ($($message:ident)+) => {$(
        impl OfResource for proto::$message {
            fn key(&self) -> (&str, &str, &str) {
                (&self.tenant_id, &self.r#type, &self.resource_id)
            }
        }
    )+};
}

of_resource! {
    UpdateResourceRequest ActivateResourceRequest DeactivateResourceRequest DeleteResourceRequest
}

fn control_and_key<B: Backend, M: OfResource>(
    fields: &mut Fields,
    context: &Context<B>,
    request: &M,
) -> Option<(Control, TenantId, ResourceRef)> {
    let control = fields.control(context.operation, request);
    let (tenant, kind, id) = request.key();
    let (tenant, key) = key(fields, tenant, kind, id)?;
    Some((control?, tenant, key))
}

fn key(fields: &mut Fields, tenant: &str, kind: &str, id: &str) -> Option<(TenantId, ResourceRef)> {
    let tenant = fields.parse("tenant_id", tenant, TenantId::parse);
    let kind = fields.parse("type", kind, TypeKey::parse);
    let id = fields.parse("resource_id", id, ResourceId::parse);
    Some((tenant?, ResourceRef { kind: kind?, id: id? }))
}

/// Without a mask, what is not empty is to be changed.
fn update(
    fields: &mut Fields,
    mask: Option<Vec<String>>,
    name: &str,
    new_tags: BTreeMap<String, String>,
) -> Option<ResourceUpdate> {
    let named = |path: &str| mask.as_ref().map(|paths| paths.iter().any(|named| named == path));
    let with_name = named("name").unwrap_or(!name.is_empty());
    let with_tags = named("tags").unwrap_or(!new_tags.is_empty());
    if !with_name && !with_tags {
        fields.wrong("name", "is missing: expected a name or tags to set, or `update_mask`");
        return None;
    }
    let name = if with_name { fields.parse("name", name, Name::parse).map(Some) } else { Some(None) };
    let tags = if with_tags { tags(fields, "tags", new_tags).map(Some) } else { Some(None) };
    Some(ResourceUpdate { name: name?, tags: tags? })
}

/// Every resource that a batch registers; none is named twice.
fn news(fields: &mut Fields, kind: &TypeKey, all: Vec<proto::NewResource>) -> Option<Vec<NewResource>> {
    let mut ids = BTreeSet::new();
    let mut parsed = Vec::with_capacity(all.len());
    for (at, new) in all.into_iter().enumerate() {
        let path = format!("resources[{at}].");
        let id = fields.optional(format_args!("{path}resource_id"), &new.resource_id, ResourceId::parse);
        if let Some(Some(id)) = &id
            && !ids.insert(id.clone())
        {
            fields.wrong(format!("{path}resource_id"), "is another one's: expected one each, or none");
        }
        let name = fields.parse(format_args!("{path}name"), &new.name, Name::parse);
        let tags = tags(fields, &format!("{path}tags"), new.tags);
        let new = |id| Some(NewResource { kind: kind.clone(), id, name: name?, tags: tags? });
        parsed.push(id.and_then(new));
    }
    parsed.into_iter().collect()
}

fn tags(
    fields: &mut Fields,
    field: &str,
    tags: BTreeMap<String, String>,
) -> Option<BTreeMap<String, String>> {
    if tags.len() > TAGS_MAX {
        fields.wrong(field, format!("has {} entries: expected at most {TAGS_MAX}", tags.len()));
        return None;
    }
    let fits = |text: &str, chars: std::ops::RangeInclusive<usize>| {
        chars.contains(&text.chars().count()) && !text.chars().any(char::is_control)
    };
    let mut is_whole = true;
    for (key, value) in &tags {
        if !fits(key, 1..=TAG_KEY_CHARS_MAX) {
            let allowed = format!("expected 1 to {TAG_KEY_CHARS_MAX} characters");
            fields.wrong(field, format!("key {}: {allowed}, no control characters", echo(key)));
            is_whole = false;
        }
        if !fits(value, 0..=TAG_VALUE_CHARS_MAX) {
            let allowed = format!("expected at most {TAG_VALUE_CHARS_MAX} characters");
            fields.wrong(field, format!("value of {}: {allowed}, no control characters", echo(key)));
            is_whole = false;
        }
    }
    is_whole.then_some(tags)
}

fn status_filter(fields: &mut Fields, status: i32) -> Option<Option<ResourceStatus>> {
    let allowed = "ACTIVE or INACTIVE";
    match narrowing(fields, "status", status, allowed)? {
        None | Some(proto::ResourceStatus::Unspecified) => Some(None),
        Some(proto::ResourceStatus::Active) => Some(Some(ResourceStatus::Active)),
        Some(proto::ResourceStatus::Inactive) => Some(Some(ResourceStatus::Inactive)),
        Some(proto::ResourceStatus::Deleted) => {
            let problem = "is DELETED, and deleted resources are not listed";
            fields.wrong("status", format!("{problem}: expected {allowed}"));
            None
        }
    }
}

/// The key of a page token: `type/id`; a type has no slash.
fn parse_after(text: &str) -> Result<ResourceRef, IdError> {
    let (kind, id) = text.split_once('/').unwrap_or_default();
    Ok(ResourceRef { kind: TypeKey::parse(kind)?, id: ResourceId::parse(id)? })
}

/// A resource as the wire says it.
fn resource(tenant: &TenantId, resource: Resource) -> proto::RegisteredResource {
    let status = match resource.status {
        ResourceStatus::Active => proto::ResourceStatus::Active,
        ResourceStatus::Inactive => proto::ResourceStatus::Inactive,
        ResourceStatus::Deleted => proto::ResourceStatus::Deleted,
    };
    proto::RegisteredResource {
        tenant_id: tenant.to_string(),
        r#type: resource.reference.kind.into(),
        resource_id: resource.reference.id.into(),
        name: resource.name.into(),
        tags: resource.tags,
        status: status.into(),
        create_time: Some(timestamp(resource.created_at)),
        revision: resource.revision.0,
    }
}

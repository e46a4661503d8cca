//! API keys, between wire and domain. The one answer with a secret is built here.

use std::collections::BTreeSet;

use doorward_engine::api_key::{ApiKey, ResourceScope, Scopes, SectionPath};
use doorward_engine::id::{ActionKey, KeyId, MemberId, Name, ResourceId, TenantId, TypeKey};
use secrecy::ExposeSecret;

use super::fields::LIST_MAX;
use super::list::{Paging, next};
use super::{Context, Fields, PageFilter, answer, timestamp};
use crate::proto;
use crate::proto::api_key_scope::Scope as Wire;
use crate::service::api_key::{KeyFilter, NewKey, Scope};
use crate::service::{Backend, Error};

/// The most scopes of a key.
const SCOPES_MAX: usize = 100;

pub(in crate::wire) async fn create_api_key<B: Backend>(
    context: Context<B>,
    request: proto::CreateApiKeyRequest,
) -> Result<proto::CreateApiKeyResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let control = fields.creation(context.operation, &request);
    let id = fields.optional("key_id", &request.key_id, KeyId::parse);
    let name = fields.parse("name", &request.name, Name::parse);
    let scopes = fields.scopes(request.scopes);
    let expires_at = fields.instant("expires_at", request.expires_at);
    let (tenant, control, id, name, scopes, expires_at) =
        fields.all((tenant, control, id, name, scopes, expires_at))?;
    let new = NewKey { id, name, scopes, expires_at };
    let done = context.service.create_api_key(context.call(control), tenant.clone(), new).await?;
    let tail = context.tail(tenant.as_str(), &done);
    let created = done.answer;
    Ok(answer!(
        CreateApiKeyResponse {
            api_key: Some(key_message(&tenant, created.key)),
            secret: created.secret.map(|secret| secret.expose_secret().to_owned()).unwrap_or_default(),
        },
        tail
    ))
}

pub(in crate::wire) async fn revoke_api_key<B: Backend>(
    context: Context<B>,
    request: proto::RevokeApiKeyRequest,
) -> Result<proto::RevokeApiKeyResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let key = fields.parse("key_id", &request.key_id, KeyId::parse);
    let control = fields.control(context.operation, &request);
    let (tenant, key, control) = fields.all((tenant, key, control))?;
    let done = context.service.revoke_api_key(context.call(control), tenant.clone(), key).await?;
    let tail = context.tail(tenant.as_str(), &done);
    Ok(answer!(RevokeApiKeyResponse { api_key: Some(key_message(&tenant, done.answer)) }, tail))
}

pub(in crate::wire) async fn list_api_keys<B: Backend>(
    context: Context<B>,
    request: proto::ListApiKeysRequest,
) -> Result<proto::ListApiKeysResponse, Error> {
    let mut fields = Fields::default();
    let tenant = fields.parse("tenant_id", &request.tenant_id, TenantId::parse);
    let created_by = fields.optional("created_by", &request.created_by, MemberId::parse);
    let narrowed = [&*request.created_by, if request.include_ended { "ended" } else { "" }];
    let list = PageFilter::new(context.operation, &request.tenant_id, &narrowed);
    let page = Paging { size: request.page_size, token: &request.page_token };
    let slice = page.slice(&mut fields, &context.keys, Some(&list), KeyId::parse);
    let (tenant, created_by, slice) = fields.all((tenant, created_by, slice))?;
    let filter = KeyFilter { created_by, include_ended: request.include_ended };
    let page = context.service.list_api_keys(&context.caller, tenant.clone(), filter, slice).await?;
    Ok(proto::ListApiKeysResponse {
        api_keys: api_keys(&tenant, page.items),
        next_page_token: next(&list, &context.keys, page.next.map(String::from)),
    })
}

impl Fields {
    fn scopes(&mut self, scopes: Vec<proto::ApiKeyScope>) -> Option<Vec<Scope>> {
        if !(1..=SCOPES_MAX).contains(&scopes.len()) {
            self.wrong("scopes", format!("has {} entries: expected 1 to {SCOPES_MAX}", scopes.len()));
            return None;
        }
        let mut seen = BTreeSet::new();
        let mut parsed = Vec::with_capacity(scopes.len());
        for (at, scope) in scopes.into_iter().enumerate() {
            let path = format!("scopes[{at}]");
            let scope = self.scope(&path, scope);
            if scope.as_ref().is_some_and(|scope| !seen.insert(named(scope))) {
                self.wrong(path, "is named before: expected each section, and each action of a type, once");
            }
            parsed.push(scope);
        }
        parsed.into_iter().collect()
    }

    fn scope(&mut self, path: &str, scope: proto::ApiKeyScope) -> Option<Scope> {
        match scope.scope {
            Some(Wire::Section(section)) => {
                self.parse(format_args!("{path}.section"), &section, SectionPath::parse).map(Scope::Section)
            }
            Some(Wire::Resource(scope)) => {
                self.resource_scope(&format!("{path}.resource"), &scope).map(Scope::Resource)
            }
            Some(Wire::Admin(proto::AdminScope {})) => Some(Scope::Admin),
            None => {
                self.wrong(path, "is empty: expected one of `section`, `resource`, `admin`");
                None
            }
        }
    }

    fn resource_scope(&mut self, path: &str, scope: &proto::ResourceScope) -> Option<ResourceScope> {
        let kind = self.parse(format_args!("{path}.type"), &scope.r#type, TypeKey::parse);
        let action = self.parse(format_args!("{path}.action"), &scope.action, ActionKey::parse);
        let field = format!("{path}.resource_ids");
        if scope.resource_ids.len() > LIST_MAX {
            let problem = format!("has {} entries: expected at most {LIST_MAX}", scope.resource_ids.len());
            self.wrong(field, problem);
            return None;
        }
        let parse = |fields: &mut Self, path: &str, id: &String| fields.parse(path, id, ResourceId::parse);
        let ids = self.each_once(&field, &scope.resource_ids, parse);
        Some(ResourceScope { kind: kind?, action: action?, ids: Some(ids?).filter(|ids| !ids.is_empty()) })
    }
}

/// What a scope names: two scopes of a key never name the same.
fn named(scope: &Scope) -> String {
    match scope {
        Scope::Admin => String::new(),
        Scope::Section(path) => format!("section {path}"),
        Scope::Resource(scope) => format!("{} {}", scope.kind, scope.action),
    }
}

/// Keys as the wire says them.
pub(super) fn api_keys(tenant: &TenantId, keys: Vec<ApiKey>) -> Vec<proto::ApiKey> {
    keys.into_iter().map(|key| key_message(tenant, key)).collect()
}

fn key_message(tenant: &TenantId, key: ApiKey) -> proto::ApiKey {
    proto::ApiKey {
        tenant_id: tenant.to_string(),
        key_id: key.id.into(),
        name: key.name.into(),
        scopes: scope_messages(key.scopes),
        created_by: key.created_by.map(String::from).unwrap_or_default(),
        create_time: Some(timestamp(key.created_at)),
        expires_at: key.expires_at.map(timestamp),
        revoke_time: key.revoked_at.map(timestamp),
        revision: key.revision.0,
    }
}

/// First what administers, then sections, then resources.
fn scope_messages(scopes: Scopes) -> Vec<proto::ApiKeyScope> {
    let resource = |scope: ResourceScope| {
        Wire::Resource(proto::ResourceScope {
            r#type: scope.kind.into(),
            action: scope.action.into(),
            resource_ids: scope.ids.unwrap_or_default().into_iter().map(String::from).collect(),
        })
    };
    let admin = scopes.admin.then_some(Wire::Admin(proto::AdminScope {}));
    let sections = scopes.sections.into_iter().map(|path| Wire::Section(path.into()));
    let all = admin.into_iter().chain(sections).chain(scopes.resources.into_iter().map(resource));
    all.map(|scope| proto::ApiKeyScope { scope: Some(scope) }).collect()
}

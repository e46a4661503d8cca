//! Credentials of services, between wire and domain. The answers with a secret are built here.

use std::collections::BTreeSet;

use doorward_engine::credential::{ServiceCredential, ServiceScope, ServiceSecret};
use doorward_engine::id::{CredentialId, Name, TenantId};
use secrecy::{ExposeSecret, SecretString};

use super::fields::LIST_MAX;
use super::list::{Paging, next};
use super::{Context, Fields, PageFilter, answer, timestamp};
use crate::proto;
use crate::service::credential::{NewCredential, Rotation};
use crate::service::{Backend, Error};
use crate::store::act::PLATFORM;

const SCOPES: &str = "a scope: CHECK, READ, ADMIN, RESOURCES, IDENTITY or OPERATOR";

pub(in crate::wire) async fn create_service_credential<B: Backend>(
    context: Context<B>,
    request: proto::CreateServiceCredentialRequest,
) -> Result<proto::CreateServiceCredentialResponse, Error> {
    let mut fields = Fields::default();
    let control = fields.creation(context.operation, &request);
    let id = fields.optional("credential_id", &request.credential_id, CredentialId::parse);
    let name = fields.parse("name", &request.name, Name::parse);
    let scopes = fields.service_scopes(&request.scopes);
    let tenants = fields.tenants(&request.tenant_ids);
    let expires_at = fields.instant("expires_at", request.expires_at);
    let (control, id, name, scopes, tenants, expires_at) =
        fields.all((control, id, name, scopes, tenants, expires_at))?;
    let new = NewCredential { id, name, scopes, tenants, expires_at };
    let done = context.service.create_service_credential(context.call(control), new).await?;
    let tail = context.tail(PLATFORM, &done);
    let issued = done.answer;
    Ok(answer!(
        CreateServiceCredentialResponse {
            credential: Some(credential_message(issued.credential)),
            secret: shown(issued.secret),
        },
        tail
    ))
}

pub(in crate::wire) async fn rotate_service_credential<B: Backend>(
    context: Context<B>,
    request: proto::RotateServiceCredentialRequest,
) -> Result<proto::RotateServiceCredentialResponse, Error> {
    let mut fields = Fields::default();
    let id = fields.parse("credential_id", &request.credential_id, CredentialId::parse);
    let expires_at = fields.instant("expires_at", request.expires_at);
    let previous = fields.instant("previous_expires_at", request.previous_expires_at);
    let control = fields.control(context.operation, &request);
    let (id, expires_at, previous_expires_at, control) = fields.all((id, expires_at, previous, control))?;
    let rotation = Rotation { id, expires_at, previous_expires_at };
    let done = context.service.rotate_service_credential(context.call(control), rotation).await?;
    let tail = context.tail(PLATFORM, &done);
    let issued = done.answer;
    Ok(answer!(
        RotateServiceCredentialResponse {
            credential: Some(credential_message(issued.credential)),
            secret: shown(issued.secret),
        },
        tail
    ))
}

pub(in crate::wire) async fn revoke_service_credential<B: Backend>(
    context: Context<B>,
    request: proto::RevokeServiceCredentialRequest,
) -> Result<proto::RevokeServiceCredentialResponse, Error> {
    let mut fields = Fields::default();
    let id = fields.parse("credential_id", &request.credential_id, CredentialId::parse);
    let control = fields.control(context.operation, &request);
    let (id, control) = fields.all((id, control))?;
    let done = context.service.revoke_service_credential(context.call(control), id).await?;
    let tail = context.tail(PLATFORM, &done);
    let credential = Some(credential_message(done.answer));
    Ok(answer!(RevokeServiceCredentialResponse { credential }, tail))
}

pub(in crate::wire) async fn list_service_credentials<B: Backend>(
    context: Context<B>,
    request: proto::ListServiceCredentialsRequest,
) -> Result<proto::ListServiceCredentialsResponse, Error> {
    let mut fields = Fields::default();
    let narrowed = if request.include_revoked { "revoked" } else { "" };
    let list = PageFilter::new(context.operation, PLATFORM, &[narrowed]);
    let page = Paging { size: request.page_size, token: &request.page_token };
    let slice = page.slice(&mut fields, &context.keys, Some(&list), CredentialId::parse);
    let (slice,) = fields.all((slice,))?;
    let page =
        context.service.list_service_credentials(&context.caller, request.include_revoked, slice).await?;
    Ok(proto::ListServiceCredentialsResponse {
        credentials: page.items.into_iter().map(credential_message).collect(),
        next_page_token: next(&list, &context.keys, page.next.map(String::from)),
    })
}

impl Fields {
    fn service_scopes(&mut self, scopes: &[i32]) -> Option<BTreeSet<ServiceScope>> {
        if !(1..=ServiceScope::ALL.len()).contains(&scopes.len()) {
            self.wrong("scopes", format!("has {} entries: expected 1 to 6 of {SCOPES}", scopes.len()));
            return None;
        }
        self.each_once("scopes", scopes, |fields, path, scope| {
            fields.choice::<proto::ServiceScope>(path, *scope, SCOPES).and_then(scope_of)
        })
    }

    fn tenants(&mut self, ids: &[String]) -> Option<BTreeSet<TenantId>> {
        if ids.len() > LIST_MAX {
            self.wrong("tenant_ids", format!("has {} entries: expected at most {LIST_MAX}", ids.len()));
            return None;
        }
        self.each_once("tenant_ids", ids, |fields, path, id| fields.parse(path, id, TenantId::parse))
    }
}

fn shown(secret: Option<SecretString>) -> String {
    secret.map(|secret| secret.expose_secret().to_owned()).unwrap_or_default()
}

const fn scope_of(scope: proto::ServiceScope) -> Option<ServiceScope> {
    match scope {
        proto::ServiceScope::Unspecified => None,
        proto::ServiceScope::Check => Some(ServiceScope::Check),
        proto::ServiceScope::Read => Some(ServiceScope::Read),
        proto::ServiceScope::Admin => Some(ServiceScope::Admin),
        proto::ServiceScope::Resources => Some(ServiceScope::Resources),
        proto::ServiceScope::Identity => Some(ServiceScope::Identity),
        proto::ServiceScope::Operator => Some(ServiceScope::Operator),
    }
}

const fn scope_message(scope: ServiceScope) -> proto::ServiceScope {
    match scope {
        ServiceScope::Check => proto::ServiceScope::Check,
        ServiceScope::Read => proto::ServiceScope::Read,
        ServiceScope::Admin => proto::ServiceScope::Admin,
        ServiceScope::Resources => proto::ServiceScope::Resources,
        ServiceScope::Identity => proto::ServiceScope::Identity,
        ServiceScope::Operator => proto::ServiceScope::Operator,
    }
}

fn credential_message(credential: ServiceCredential) -> proto::ServiceCredential {
    proto::ServiceCredential {
        credential_id: credential.id.into(),
        name: credential.name.into(),
        scopes: credential.scopes.into_iter().map(|scope| scope_message(scope).into()).collect(),
        tenant_ids: credential.tenants.into_iter().map(String::from).collect(),
        secrets: credential.secrets.into_iter().map(secret_message).collect(),
        create_time: Some(timestamp(credential.created_at)),
        revoke_time: credential.revoked_at.map(timestamp),
        revision: credential.revision.0,
    }
}

fn secret_message(secret: ServiceSecret) -> proto::ServiceSecret {
    proto::ServiceSecret {
        create_time: Some(timestamp(secret.created_at)),
        expires_at: secret.expires_at.map(timestamp),
        last_used_time: secret.last_used_at.map(timestamp),
    }
}

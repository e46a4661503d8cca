//! A mutation as a message: which RPC sets which switch, and what its answer says.

use std::time::Duration;

use doorward::proto;
use doorward::proto::api_key_scope::Scope;
use tonic::Status;

use crate::replica::{Client, signed};
use crate::world::{Target, Tenant};

/// What an acknowledgement says.
pub(crate) struct Acknowledged {
    pub(crate) revision: u64,
    pub(crate) token: String,
    pub(crate) enforced: bool,
    pub(crate) replayed: bool,
    /// The secret of an API key that was created.
    pub(crate) secret: Option<String>,
}

/// A mutation that can be sent any number of times.
pub(crate) struct Mutation<'a> {
    pub(crate) tenant: &'a Tenant,
    pub(crate) target: Target,
    pub(crate) on: bool,
    /// The id of the key that is made or revoked.
    pub(crate) key_id: String,
    pub(crate) request_id: String,
    pub(crate) deadline: Duration,
}

/// Builds a request with the fields that all have, sends it, and reads the fields that all answers have.
macro_rules! send {
    ($self:ident, $client:ident, $method:ident, $request:ident { $($field:ident: $value:expr),* $(,)? }) => {{
        let request = proto::$request {
            tenant_id: $self.tenant.id.clone(),
            request_id: $self.request_id.clone(),
            $($field: $value,)*
            ..Default::default()
        };
        let answer = $client.$method(signed(request, $self.deadline)).await?.into_inner();
        Acknowledged {
            revision: answer.revision,
            token: answer.revision_token.clone(),
            enforced: answer.enforced,
            replayed: answer.replayed,
            secret: None,
        }
    }};
}

impl Mutation<'_> {
    /// Sends it once.
    pub(crate) async fn send(&self, client: &mut Client) -> Result<Acknowledged, Status> {
        let member = |m: usize| self.tenant.members[m].id.clone();
        let done = match (self.target, self.on) {
            (Target::Tenant, true) => send!(self, client, resume_tenant, ResumeTenantRequest {}),
            (Target::Tenant, false) => send!(self, client, suspend_tenant, SuspendTenantRequest {}),
            (Target::Member(m), true) => {
                send!(self, client, enable_member, EnableMemberRequest { member_id: member(m) })
            }
            (Target::Member(m), false) => {
                send!(self, client, disable_member, DisableMemberRequest { member_id: member(m) })
            }
            (Target::Agents(m), on) => self.section(client, member(m), "agents", on).await?,
            (Target::Traces(m), on) => self.section(client, member(m), "traces", on).await?,
            (Target::Grant(m, a), granted) => {
                let resource = Some(resource(&self.tenant.agents[a].id));
                let change = proto::GrantChange { member_id: member(m), resource, granted, expires_at: None };
                send!(self, client, set_grants, SetGrantsRequest { changes: vec![change] })
            }
            (Target::Agent(a), on) => self.agent(client, self.tenant.agents[a].id.clone(), on).await?,
            (Target::Key(_), true) => self.create_key(client).await?,
            (Target::Key(_), false) => {
                send!(self, client, revoke_api_key, RevokeApiKeyRequest { key_id: self.key_id.clone() })
            }
        };
        Ok(done)
    }

    async fn section(
        &self,
        client: &mut Client,
        member_id: String,
        key: &str,
        on: bool,
    ) -> Result<Acknowledged, Status> {
        let sections = [(key.to_owned(), on)].into_iter().collect();
        Ok(send!(
            self,
            client,
            set_section_access,
            SetSectionAccessRequest { member_id: member_id, sections: sections }
        ))
    }

    async fn agent(
        &self,
        client: &mut Client,
        resource_id: String,
        on: bool,
    ) -> Result<Acknowledged, Status> {
        let kind = "agent".to_owned();
        Ok(if on {
            send!(
                self,
                client,
                activate_resource,
                ActivateResourceRequest { r#type: kind, resource_id: resource_id }
            )
        } else {
            send!(
                self,
                client,
                deactivate_resource,
                DeactivateResourceRequest { r#type: kind, resource_id: resource_id }
            )
        })
    }

    async fn create_key(&self, client: &mut Client) -> Result<Acknowledged, Status> {
        let chat = proto::ResourceScope {
            r#type: "agent".to_owned(),
            action: "chat".to_owned(),
            resource_ids: Vec::new(),
        };
        let scopes = [Scope::Section("traces".to_owned()), Scope::Resource(chat)];
        let request = proto::CreateApiKeyRequest {
            tenant_id: self.tenant.id.clone(),
            name: "chaos".to_owned(),
            key_id: self.key_id.clone(),
            scopes: scopes.map(|scope| proto::ApiKeyScope { scope: Some(scope) }).to_vec(),
            request_id: self.request_id.clone(),
            ..Default::default()
        };
        let answer = client.create_api_key(signed(request, self.deadline)).await?.into_inner();
        Ok(Acknowledged {
            revision: answer.revision,
            token: answer.revision_token,
            enforced: answer.enforced,
            replayed: answer.replayed,
            secret: Some(answer.secret).filter(|secret| !secret.is_empty()),
        })
    }
}

/// An agent, as a resource.
pub(crate) fn resource(id: &str) -> proto::Resource {
    proto::Resource { r#type: "agent".to_owned(), id: id.to_owned() }
}

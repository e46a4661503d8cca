//! The demo's tenant, made as any client would make it: through the API.

use std::collections::BTreeMap;

use tonic::{Response, Status};

use super::questions::TENANT;
use crate::cli::Failure;
use crate::cli::client::{self, Client};
use crate::proto::{
    ActivateMemberRequest, CreateTenantRequest, DeactivateResourceRequest, DisableMemberRequest, GrantInput,
    InviteMemberRequest, RegisterResourceRequest, Resource, Role, SetSectionAccessRequest, TenantOwner,
};

/// The agents.
const AGENTS: [(&str, &str); 3] =
    [("support-bot", "Support Bot"), ("sales-bot", "Sales Bot"), ("hr-bot", "HR Bot")];
/// USERs, and the agents that they are granted.
const USERS: [(&str, &str, &[&str]); 4] = [
    ("ben", "Ben", &["support-bot", "sales-bot"]),
    ("cy", "Cy", &["hr-bot"]),
    ("dan", "Dan", &["support-bot"]),
    ("eve", "Eve", &[]),
];
/// Those who have accepted their invitations.
const ACTIVATED: [&str; 3] = ["ben", "cy", "dan"];

/// Makes it.
pub(super) async fn seed(mut client: Client) -> Result<(), Failure> {
    done(client.create_tenant(tenant()).await)?;
    for (id, name) in AGENTS {
        done(client.register_resource(registration(id, name)).await)?;
    }
    for (id, name, agents) in USERS {
        done(client.invite_member(invitation(id, name, agents)).await)?;
    }
    for id in ACTIVATED {
        let (member_id, user_id) = (id.to_owned(), id.to_owned());
        let request =
            ActivateMemberRequest { tenant_id: TENANT.to_owned(), member_id, user_id, ..Default::default() };
        done(client.activate_member(request).await)?;
    }
    let (r#type, resource_id) = ("agent".to_owned(), "sales-bot".to_owned());
    let paused =
        DeactivateResourceRequest { tenant_id: TENANT.to_owned(), r#type, resource_id, ..Default::default() };
    done(client.deactivate_resource(paused).await)?;
    let sections = BTreeMap::from([("traces".to_owned(), false)]);
    let member_id = "ben".to_owned();
    let toggled =
        SetSectionAccessRequest { tenant_id: TENANT.to_owned(), member_id, sections, ..Default::default() };
    done(client.set_section_access(toggled).await)?;
    let member_id = "dan".to_owned();
    let disabled = DisableMemberRequest { tenant_id: TENANT.to_owned(), member_id, ..Default::default() };
    done(client.disable_member(disabled).await)
}

fn done<A>(answer: Result<Response<A>, Status>) -> Result<(), Failure> {
    answer.map(drop).map_err(|status| client::refused(&status))
}

fn email(id: &str) -> String {
    format!("{id}@acme.example")
}

fn tenant() -> CreateTenantRequest {
    let owner = TenantOwner {
        user_id: "ada".to_owned(),
        email: email("ada"),
        display_name: "Ada".to_owned(),
        member_id: "ada".to_owned(),
    };
    CreateTenantRequest {
        tenant_id: TENANT.to_owned(),
        slug: TENANT.to_owned(),
        name: "Acme".to_owned(),
        owner: Some(owner),
        ..Default::default()
    }
}

fn registration(id: &str, name: &str) -> RegisterResourceRequest {
    RegisterResourceRequest {
        tenant_id: TENANT.to_owned(),
        r#type: "agent".to_owned(),
        resource_id: id.to_owned(),
        name: name.to_owned(),
        ..Default::default()
    }
}

fn invitation(id: &str, name: &str, agents: &[&str]) -> InviteMemberRequest {
    let grant = |agent: &&str| GrantInput {
        resource: Some(Resource { r#type: "agent".to_owned(), id: (*agent).to_owned() }),
        expires_at: None,
    };
    InviteMemberRequest {
        tenant_id: TENANT.to_owned(),
        email: email(id),
        role: Role::User.into(),
        display_name: name.to_owned(),
        member_id: id.to_owned(),
        grants: agents.iter().map(grant).collect(),
        ..Default::default()
    }
}

//! Puts the world into the database, through a replica, before anything is broken.

use std::sync::Arc;
use std::time::Duration;

use doorward::proto;
use rand::SeedableRng;
use rand::rngs::StdRng;

use crate::load::Load;
use crate::mutation::resource;
use crate::replica::{Client, signed};
use crate::world::{AGENTS, KEYS, MEMBERS, Target, Tenant};
use crate::writer;

const DEADLINE: Duration = Duration::from_secs(20);

/// Creates everything, with every switch on.
pub(crate) async fn create(load: &Arc<Load>, seed: u64) {
    let mut rng = StdRng::seed_from_u64(seed);
    for (number, tenant) in load.world.tenants.iter().enumerate() {
        let mut client = load.lab.replicas[0].client();
        create_tenant(&mut client, tenant).await;
        for m in 0..MEMBERS {
            create_member(&mut client, tenant, &tenant.members[m].id).await;
        }
        for a in 0..AGENTS {
            register(&mut client, tenant, &tenant.agents[a].id).await;
        }
        grant_all(&mut client, tenant).await;
        for slot in 0..KEYS {
            writer::set(load, number, Target::Key(slot), true, &mut rng).await;
        }
    }
}

async fn create_tenant(client: &mut Client, tenant: &Tenant) {
    let owner = proto::TenantOwner {
        user_id: tenant.owner(),
        email: format!("owner@{}.example", tenant.id),
        member_id: tenant.owner(),
        ..Default::default()
    };
    let request = proto::CreateTenantRequest {
        tenant_id: tenant.id.clone(),
        slug: tenant.id.clone(),
        name: tenant.id.clone(),
        owner: Some(owner),
        ..Default::default()
    };
    client.create_tenant(signed(request, DEADLINE)).await.unwrap();
}

async fn create_member(client: &mut Client, tenant: &Tenant, id: &str) {
    let sections = ["agents", "traces"].map(|section| (section.to_owned(), true));
    let invite = proto::InviteMemberRequest {
        tenant_id: tenant.id.clone(),
        email: format!("{id}@{}.example", tenant.id),
        role: proto::Role::User.into(),
        member_id: id.to_owned(),
        sections: sections.into_iter().collect(),
        ..Default::default()
    };
    client.invite_member(signed(invite, DEADLINE)).await.unwrap();
    let activate = proto::ActivateMemberRequest {
        tenant_id: tenant.id.clone(),
        member_id: id.to_owned(),
        user_id: id.to_owned(),
        ..Default::default()
    };
    client.activate_member(signed(activate, DEADLINE)).await.unwrap();
}

async fn register(client: &mut Client, tenant: &Tenant, id: &str) {
    let request = proto::RegisterResourceRequest {
        tenant_id: tenant.id.clone(),
        r#type: "agent".to_owned(),
        resource_id: id.to_owned(),
        name: id.to_owned(),
        ..Default::default()
    };
    client.register_resource(signed(request, DEADLINE)).await.unwrap();
}

async fn grant_all(client: &mut Client, tenant: &Tenant) {
    let pairs =
        tenant.members.iter().flat_map(|member| tenant.agents.iter().map(move |agent| (member, agent)));
    let changes = pairs.map(|(member, agent)| proto::GrantChange {
        member_id: member.id.clone(),
        resource: Some(resource(&agent.id)),
        granted: true,
        expires_at: None,
    });
    let changes = changes.collect();
    let request = proto::SetGrantsRequest { tenant_id: tenant.id.clone(), changes, ..Default::default() };
    client.set_grants(signed(request, DEADLINE)).await.unwrap();
}

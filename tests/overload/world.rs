//! The tenants of a run, and the questions that can be asked about them.

use std::net::SocketAddr;

use doorward::proto;
use prost::Message;
use tokio::task::JoinSet;
use tonic::codegen::Bytes;
use tonic::codegen::http::Uri;
use tonic::transport::Channel;

use crate::server::{Server, signed};

type Client = proto::access_service_client::AccessServiceClient<Channel>;

/// The most grants that one call may change.
const GRANTS_MAX: usize = 1000;

/// How much there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct World {
    pub(crate) tenants: usize,
    /// In each tenant.
    pub(crate) members: usize,
    /// In each tenant.
    pub(crate) agents: usize,
}

/// What is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A check that every fact is read for from the database.
    Fresh,
    /// A check of a member who has been asked about before.
    Cached,
    /// The grid of members and resources of a tenant.
    Matrix,
}

/// A call, ready to be sent.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    pub(crate) uri: Uri,
    pub(crate) message: Bytes,
}

impl World {
    /// Creates it all.
    pub(crate) async fn create(self, server: &Server) {
        let mut tasks = JoinSet::new();
        for tenant in 0..self.tenants {
            let client = server.client();
            tasks.spawn(async move { self.create_tenant(client, &tenant_id(tenant)).await });
        }
        tasks.join_all().await;
    }

    async fn create_tenant(self, mut client: Client, tenant: &str) {
        let owner = proto::TenantOwner {
            user_id: "owner".to_owned(),
            email: format!("owner@{tenant}.example"),
            member_id: "owner".to_owned(),
            ..Default::default()
        };
        let request = proto::CreateTenantRequest {
            tenant_id: tenant.to_owned(),
            slug: tenant.to_owned(),
            name: tenant.to_owned(),
            owner: Some(owner),
            ..Default::default()
        };
        client.create_tenant(signed(request)).await.unwrap();
        for member in 0..self.members {
            create_member(&mut client, tenant, &member_id(member)).await;
        }
        for agent in 0..self.agents {
            let request = proto::RegisterResourceRequest {
                tenant_id: tenant.to_owned(),
                r#type: "agent".to_owned(),
                resource_id: agent_id(agent),
                name: agent_id(agent),
                ..Default::default()
            };
            client.register_resource(signed(request)).await.unwrap();
        }
        self.grant(&mut client, tenant).await;
    }

    /// Every tenth crossing of members and agents.
    async fn grant(self, client: &mut Client, tenant: &str) {
        let pairs = (0..self.members).flat_map(|member| (0..self.agents).map(move |agent| (member, agent)));
        let changes = pairs.filter(|(member, agent)| (member + agent) % 10 == 0).map(|(member, agent)| {
            proto::GrantChange {
                member_id: member_id(member),
                resource: Some(agent_of(agent)),
                granted: true,
                expires_at: None,
            }
        });
        let changes: Vec<_> = changes.collect();
        for changes in changes.chunks(GRANTS_MAX) {
            let (tenant_id, changes) = (tenant.to_owned(), changes.to_vec());
            let request = proto::SetGrantsRequest { tenant_id, changes, ..Default::default() };
            client.set_grants(signed(request)).await.unwrap();
        }
    }

    /// The question of a number: neighbours are about different members and agents, as far as there are some.
    pub(crate) fn question(self, address: SocketAddr, kind: Kind, number: usize) -> Question {
        let (rpc, message) = match kind {
            Kind::Fresh => ("CheckAccess", self.check(number, true).encode_to_vec()),
            Kind::Cached => ("CheckAccess", self.check(number % 10, false).encode_to_vec()),
            Kind::Matrix => {
                let tenant_id = tenant_id(number % self.tenants);
                let request = proto::GetAccessMatrixRequest {
                    tenant_id,
                    r#type: "agent".to_owned(),
                    page_size: 50,
                    ..Default::default()
                };
                ("GetAccessMatrix", request.encode_to_vec())
            }
        };
        let uri = format!("http://{address}/doorward.v1.AccessService/{rpc}");
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        Question { uri: uri.parse().unwrap(), message: [&[0], &length[..], &message].concat().into() }
    }

    fn check(self, number: usize, is_fresh: bool) -> proto::CheckAccessRequest {
        let (tenant, rest) = (number % self.tenants, number / self.tenants);
        let (member, agent) = (rest % self.members, rest / self.members % self.agents);
        let fresh = proto::consistency::Requirement::FullyConsistent(true);
        proto::CheckAccessRequest {
            tenant_id: tenant_id(tenant),
            subject: Some(proto::Subject { kind: Some(proto::subject::Kind::UserId(member_id(member))) }),
            action: "view".to_owned(),
            resource: Some(agent_of(agent)),
            consistency: is_fresh.then_some(proto::Consistency { requirement: Some(fresh) }),
            ..Default::default()
        }
    }
}

async fn create_member(client: &mut Client, tenant: &str, id: &str) {
    let invite = proto::InviteMemberRequest {
        tenant_id: tenant.to_owned(),
        email: format!("{id}@{tenant}.example"),
        role: proto::Role::User.into(),
        member_id: id.to_owned(),
        sections: [("agents".to_owned(), true)].into_iter().collect(),
        ..Default::default()
    };
    client.invite_member(signed(invite)).await.unwrap();
    let activate = proto::ActivateMemberRequest {
        tenant_id: tenant.to_owned(),
        member_id: id.to_owned(),
        user_id: id.to_owned(),
        ..Default::default()
    };
    client.activate_member(signed(activate)).await.unwrap();
}

fn agent_of(agent: usize) -> proto::Resource {
    proto::Resource { r#type: "agent".to_owned(), id: agent_id(agent) }
}

fn tenant_id(tenant: usize) -> String {
    format!("tenant-{tenant}")
}

fn member_id(member: usize) -> String {
    format!("member-{member}")
}

fn agent_id(agent: usize) -> String {
    format!("agent-{agent}")
}

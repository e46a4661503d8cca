//! A service on an embedded database, called in this process without a socket, and questions that its memory answers.

use doorward::app::{self, Running};
use doorward::clock::Clock;
use doorward::proto;
use doorward::proto::access_service_client::AccessServiceClient;
use doorward::settings::{Root, Settings};
use prost::Message;
use tokio::runtime::Runtime;
use tonic::Request;
use tonic::codegen::Bytes;

/// The operator's token.
pub(crate) const TOKEN: &str = "cost-operator-token-0123456789";
const TENANT: &str = "acme";
const MEMBER: &str = "member-1";
/// As many as a batch or a stream asks about; every third is granted.
pub(crate) const AGENTS: usize = 100;

/// The service, and the runtime of those who call it.
pub(crate) struct World {
    pub(crate) running: Running,
    pub(crate) runtime: Runtime,
}

impl World {
    /// Starts it, and stops it after the work.
    pub(crate) fn with(work: impl FnOnce(&Self)) {
        let directory = tempfile::tempdir().unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let url = format!("sqlite://{}", directory.path().join("doorward.db").display());
        runtime.block_on(doorward::store::sql::migrate(&url)).unwrap();
        let mut settings = Settings::default();
        settings.server.listen = ([127, 0, 0, 1], 0).into();
        settings.server.workers = 1;
        settings.admin.listen = ([127, 0, 0, 1], 0).into();
        settings.database.url = url.into();
        settings.auth.operator_token = TOKEN.into();
        settings.keys.root = Some(Root::Bytes([7; 32]));
        let running = app::start(&settings, Clock::real()).unwrap();
        let world = Self { running, runtime };
        world.runtime.block_on(world.fill());
        work(&world);
        world.running.stop();
    }

    async fn fill(&self) {
        let mut client = AccessServiceClient::new(self.running.calls());
        let owner = proto::TenantOwner {
            user_id: "ada".to_owned(),
            email: "ada@acme.example".to_owned(),
            ..Default::default()
        };
        let tenant = proto::CreateTenantRequest {
            tenant_id: TENANT.to_owned(),
            slug: TENANT.to_owned(),
            name: "Acme".to_owned(),
            owner: Some(owner),
            ..Default::default()
        };
        client.create_tenant(signed(tenant)).await.unwrap();
        let invite = proto::InviteMemberRequest {
            tenant_id: TENANT.to_owned(),
            email: "ben@acme.example".to_owned(),
            role: proto::Role::User.into(),
            member_id: MEMBER.to_owned(),
            sections: [("agents".to_owned(), true)].into(),
            ..Default::default()
        };
        client.invite_member(signed(invite)).await.unwrap();
        let activate = proto::ActivateMemberRequest {
            tenant_id: TENANT.to_owned(),
            member_id: MEMBER.to_owned(),
            user_id: "ben".to_owned(),
            ..Default::default()
        };
        client.activate_member(signed(activate)).await.unwrap();
        for at in 0..AGENTS {
            let agent = proto::RegisterResourceRequest {
                tenant_id: TENANT.to_owned(),
                r#type: "agent".to_owned(),
                resource_id: format!("agent-{at}"),
                name: format!("Agent {at}"),
                ..Default::default()
            };
            client.register_resource(signed(agent)).await.unwrap();
        }
        let change = |at| proto::GrantChange {
            member_id: MEMBER.to_owned(),
            resource: Some(agent(at)),
            granted: true,
            expires_at: None,
        };
        let changes = (0..AGENTS).step_by(3).map(change).collect();
        let grants = proto::SetGrantsRequest { tenant_id: TENANT.to_owned(), changes, ..Default::default() };
        client.set_grants(signed(grants)).await.unwrap();
    }

    /// One question, as it lies on the wire.
    pub(crate) fn check(&self) -> Bytes {
        framed(&question(3))
    }

    /// As many as there are agents, one after the other.
    pub(crate) fn stream(&self) -> Bytes {
        let asked = |at| proto::StreamCheckAccessRequest { sequence: at as u64, check: Some(question(at)) };
        (0..AGENTS).flat_map(|at| framed(&asked(at))).collect()
    }

    /// As many as there are agents.
    pub(crate) fn batch(&self) -> Bytes {
        let item = |at| proto::Check { action: "view".to_owned(), resource: Some(agent(at)) };
        framed(&proto::BatchCheckAccessRequest {
            tenant_id: TENANT.to_owned(),
            subject: subject(),
            checks: (0..AGENTS).map(item).collect(),
            ..Default::default()
        })
    }
}

fn question(at: usize) -> proto::CheckAccessRequest {
    proto::CheckAccessRequest {
        tenant_id: TENANT.to_owned(),
        subject: subject(),
        action: "view".to_owned(),
        resource: Some(agent(at)),
        ..Default::default()
    }
}

fn subject() -> Option<proto::Subject> {
    Some(proto::Subject { kind: Some(proto::subject::Kind::UserId("ben".to_owned())) })
}

fn agent(at: usize) -> proto::Resource {
    proto::Resource { r#type: "agent".to_owned(), id: format!("agent-{at}") }
}

fn framed(message: &impl Message) -> Bytes {
    let message = message.encode_to_vec();
    let length = u32::try_from(message.len()).unwrap().to_be_bytes();
    [&[0], &length[..], &message].concat().into()
}

fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request
}

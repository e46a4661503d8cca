//! Calls of every RPC with what is planted, and every status that came back.

use doorward::clock::Clock;
use doorward::proto;
use prost_reflect::prost::Message;
use prost_reflect::{DynamicMessage, MethodDescriptor, ReflectMessage, Value};
use serde_json::json;
use tonic::Code;
use tonic::transport::Channel;

use super::planted::Planted;
use crate::bad_input::walk::{Place, places};
use crate::binary::Server;
use crate::matrix::wire::{Answer, Caller};
use crate::matrix::{OWN, methods, requests};
use crate::oidc::AUDIENCE;
use crate::oidc::provider::Provider;
use crate::oidc::signer::Signer;
use crate::raw::call_raw;

/// Longer than what an error repeats.
const ECHO: usize = 70;

type Headers = Vec<(&'static str, String)>;

/// A client of a binary, and what it was told.
pub(super) struct Probe {
    caller: Caller,
    channel: Channel,
    operator: String,
    /// People's and services' own.
    tokens: Vec<String>,
    pub(super) statuses: Vec<u8>,
    pub(super) audit: Vec<u8>,
}

fn bearer(token: &str) -> Headers {
    vec![("authorization", format!("Bearer {token}"))]
}

fn find(rpc: &str) -> MethodDescriptor {
    methods().into_iter().find(|method| method.name() == rpc).unwrap()
}

impl Probe {
    pub(super) async fn over(server: &Server, operator: String) -> Self {
        let channel = Channel::from_shared(server.address()).unwrap().connect().await.unwrap();
        let caller = Caller::over(channel.clone());
        Self { caller, channel, operator, tokens: Vec::new(), statuses: Vec::new(), audit: Vec::new() }
    }

    async fn call(&mut self, method: &MethodDescriptor, message: Vec<u8>, headers: &Headers) -> Answer {
        let answer = self.caller.call(method, message, headers).await;
        self.statuses.extend(answer.text.as_bytes());
        self.statuses.extend(&answer.details);
        answer
    }

    async fn done<A: Message + Default>(&mut self, rpc: &str, request: &impl Message) -> A {
        let headers = bearer(&self.operator.clone());
        let answer = self.call(&find(rpc), request.encode_to_vec(), &headers).await;
        assert_eq!(answer.code, Code::Ok, "{rpc}: {answer:?}");
        A::decode(&*answer.body).unwrap()
    }

    /// Raw headers: some that no client would send.
    async fn raw(&mut self, path: &str, message: &[u8], headers: &Headers) {
        let status = call_raw(self.channel.clone(), path, message, headers).await;
        self.statuses.extend(status.message().as_bytes());
        self.statuses.extend(status.details());
    }

    /// A tenant of people, and every secret that the service makes.
    pub(super) async fn furnish(&mut self, planted: &mut Planted) {
        let (email, name) = (planted.people[0].clone(), planted.people[1].clone());
        let owner = proto::TenantOwner {
            user_id: "acme-owner".to_owned(),
            email,
            display_name: name.clone(),
            member_id: "acme-owner".to_owned(),
        };
        let request = proto::CreateTenantRequest {
            tenant_id: "acme".to_owned(),
            slug: "acme".to_owned(),
            name: "Acme".to_owned(),
            owner: Some(owner),
            ..Default::default()
        };
        self.done::<proto::CreateTenantResponse>("CreateTenant", &request).await;
        let invite = |member: &str| proto::InviteMemberRequest {
            tenant_id: "acme".to_owned(),
            email: format!("{member}.{}", planted.people[0]),
            role: proto::Role::User.into(),
            member_id: member.to_owned(),
            display_name: name.clone(),
            ..Default::default()
        };
        let (used, open) = (invite("acme-user"), invite("acme-boss"));
        let used: proto::InviteMemberResponse = self.done("InviteMember", &used).await;
        let open: proto::InviteMemberResponse = self.done("InviteMember", &open).await;
        let accept = proto::AcceptInvitationRequest {
            tenant_id: "acme".to_owned(),
            token: used.invitation_token.clone(),
            user_id: "acme-user".to_owned(),
            ..Default::default()
        };
        self.done::<proto::AcceptInvitationResponse>("AcceptInvitation", &accept).await;
        planted.add("used invitation", &used.invitation_token);
        planted.add("open invitation", &open.invitation_token);
        self.make_credentials(planted).await;
    }

    async fn make_credentials(&mut self, planted: &mut Planted) {
        let service = proto::CreateServiceCredentialRequest {
            name: "gateway".to_owned(),
            credential_id: "a-service".to_owned(),
            scopes: vec![proto::ServiceScope::Check.into()],
            ..Default::default()
        };
        let first: proto::CreateServiceCredentialResponse =
            self.done("CreateServiceCredential", &service).await;
        let rotate = proto::RotateServiceCredentialRequest {
            credential_id: "a-service".to_owned(),
            ..Default::default()
        };
        let second: proto::RotateServiceCredentialResponse =
            self.done("RotateServiceCredential", &rotate).await;
        let admin = proto::api_key_scope::Scope::Admin(proto::AdminScope {});
        let key = proto::CreateApiKeyRequest {
            tenant_id: "acme".to_owned(),
            key_id: "acme-key".to_owned(),
            name: "key".to_owned(),
            scopes: vec![proto::ApiKeyScope { scope: Some(admin) }],
            ..Default::default()
        };
        let key: proto::CreateApiKeyResponse = self.done("CreateApiKey", &key).await;
        for (name, secret) in
            [("service", first.secret), ("rotated service", second.secret), ("key", key.secret)]
        {
            planted.add(name, secret.rsplit_once('_').unwrap().1);
            self.tokens.push(secret);
        }
    }

    /// Each credential, good and bad, and headers that are none.
    pub(super) async fn present_everything(
        &mut self,
        planted: &mut Planted,
        provider: &Provider,
        signer: &Signer,
    ) {
        let now = Clock::real().now().micros() / 1_000_000;
        let mut claims = json!({ "iss": provider.issuer(), "aud": AUDIENCE, "sub": "acme-owner", "exp": now + 600, "jti": "Canary-of-claims-5b1d" });
        let person = signer.sign(&claims);
        claims["exp"] = json!(now - 600);
        let expired = signer.sign(&claims);
        for token in [&person, &expired] {
            let parts: Vec<_> = token.split('.').collect();
            planted.add("claims of a JWT", parts[1]);
            planted.add("signature of a JWT", parts[2]);
        }
        let secret = |name: &str| planted.secret(name);
        let mut headers: Vec<Headers> = self.tokens.iter().map(|token| bearer(token)).collect();
        headers.extend(
            [person, expired, format!("{}x", self.operator), secret("wrong bearer")]
                .map(|token| bearer(&token)),
        );
        headers.extend(self.tokens.iter().map(|token| bearer(&token[..token.len() - 1])));
        let basic = ["Basic", "Digest", ""]
            .map(|scheme| vec![("authorization", format!("{scheme} {}", secret("basic password")))]);
        headers.extend(basic);
        headers.push(vec![("authorization", secret("bare header"))]);
        headers.push([bearer(&self.operator), bearer(&secret("second header"))].concat());
        headers.push(
            [bearer(&self.operator), vec![("cookie", secret("cookie")), ("x-api-key", secret("cookie"))]]
                .concat(),
        );
        headers.push(
            [bearer(&self.operator), vec![("x-doorward-actor", format!("no user {}", secret("actor")))]]
                .concat(),
        );
        headers.push([bearer(&self.operator), vec![("grpc-timeout", secret("cookie"))]].concat());
        let members = requests::request(&find("ListMembers").input(), OWN, true).encode_to_vec();
        let check = requests::request(&find("CheckAccess").input(), OWN, true).encode_to_vec();
        for headers in &headers {
            self.raw("/doorward.v1.AccessService/ListMembers", &members, headers).await;
            self.raw("/doorward.v1.AccessService/CheckAccess", &check, headers).await;
            self.raw("/doorward.v1.AccessService/Nothing", &check, headers).await;
        }
    }

    /// A good request of every RPC.
    pub(super) async fn ask_everything(&mut self, planted: &Planted) {
        self.ask_every(1, planted).await;
    }

    /// The same of one RPC in so many.
    pub(super) async fn ask_every(&mut self, nth: usize, planted: &Planted) {
        let headers = bearer(&self.operator.clone());
        // A stream that is let in goes on, and has no end to wait for.
        let ends = |method: &MethodDescriptor| method.is_client_streaming() || !method.is_server_streaming();
        for method in methods().into_iter().filter(ends).step_by(nth) {
            let mut request = requests::request(&method.input(), OWN, true);
            if method.input().get_field_by_name("display_name").is_some() {
                request.set_field_by_name("display_name", Value::String(planted.people[1].clone()));
            }
            self.call(&method, request.encode_to_vec(), &headers).await;
        }
    }

    /// Every RPC with each of its texts spoiled, and with bytes that are no message.
    pub(super) async fn spoil_everything(&mut self, planted: &Planted) {
        self.ask_everything(planted).await;
        let headers = bearer(&self.operator.clone());
        let beyond = format!("{}{}", "x".repeat(ECHO), planted.secret("beyond the echo"));
        let texts = [beyond, format!("{} ", planted.people[1]), planted.people[2].clone()];
        for method in methods() {
            let request = requests::request(&method.input(), OWN, true);
            for spoiled in texts.iter().flat_map(|text| spoiled(&request, text)) {
                self.call(&method, spoiled.encode_to_vec(), &headers).await;
            }
            let broken = [b"\x0a\x7f", planted.secret("malformed message").as_bytes(), &[0xff; 12]].concat();
            self.call(&method, [request.encode_to_vec(), broken].concat(), &headers).await;
        }
        self.present_secrets_in_fields(planted, &headers).await;
    }

    async fn present_secrets_in_fields(&mut self, planted: &Planted, headers: &Headers) {
        let token = planted.secret("invitation token");
        for token in
            [token.clone(), format!("dwi_{token}"), token.repeat(20), planted.secret("used invitation")]
        {
            let request = proto::AcceptInvitationRequest {
                tenant_id: "acme".to_owned(),
                token,
                user_id: "other".to_owned(),
                ..Default::default()
            };
            self.call(&find("AcceptInvitation"), request.encode_to_vec(), headers).await;
        }
        let key = planted.secret("api key");
        let kinds =
            [key.clone(), format!("dwk_{key}"), format!("dwk_acme-key_{key}"), self.tokens[2].clone()];
        for (kind, rpc) in
            kinds.iter().flat_map(|kind| ["CheckAccess", "ExplainAccess"].map(|rpc| (kind, rpc)))
        {
            let fresh = proto::consistency::Requirement::AtLeastAsFresh(planted.secret("revision token"));
            for consistency in [None, Some(proto::Consistency { requirement: Some(fresh) })] {
                let request = proto::CheckAccessRequest {
                    tenant_id: "acme".to_owned(),
                    subject: Some(proto::Subject { kind: Some(proto::subject::Kind::ApiKey(kind.clone())) }),
                    action: "view".to_owned(),
                    resource: Some(crate::harness::resource("section", "logs")),
                    consistency,
                    ..Default::default()
                };
                // The two requests have the same fields.
                self.call(&find(rpc), request.encode_to_vec(), headers).await;
            }
        }
        let page_token = planted.secret("page token");
        let request =
            proto::ListMembersRequest { tenant_id: "acme".to_owned(), page_token, ..Default::default() };
        self.call(&find("ListMembers"), request.encode_to_vec(), headers).await;
    }

    /// What the tenant's and the platform's logs tell.
    pub(super) async fn listen(&mut self) {
        for tenant in ["acme", ""] {
            let request = proto::ListAuditEventsRequest {
                tenant_id: tenant.to_owned(),
                page_size: 1_000,
                ..Default::default()
            };
            let answer: proto::ListAuditEventsResponse = self.done("ListAuditEvents", &request).await;
            assert!(!answer.events.is_empty());
            self.audit.extend(answer.encode_to_vec());
        }
    }
}

/// The request with each of its texts replaced in turn.
fn spoiled(request: &DynamicMessage, text: &str) -> Vec<DynamicMessage> {
    let texts = places(&request.descriptor()).into_iter().filter(Place::is_text);
    texts.map(|place| place.with(request, Value::String(text.to_owned()))).collect()
}

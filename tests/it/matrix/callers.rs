//! Every kind of caller, each with what it presents.

use doorward::proto::{self, ServiceScope};

use crate::callers::{admin_key, credential};
use crate::harness::{Client, Server, TOKEN};

/// What a caller may, by the rules.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Nobody,
    Operator,
    Check,
    Read,
    Resources,
    Identity,
    /// As an ACTIVE ADMIN of that tenant.
    AdminOf(&'static str),
    /// As its key with scope `admin`.
    KeyOf(&'static str),
    /// As `<tenant>-user`, an ACTIVE USER of it.
    UserOf(&'static str),
    /// Known, and allowed nothing.
    Powerless,
    /// A service that acts, and says for nobody.
    WithoutActor,
}

/// A caller.
#[derive(Clone, Debug)]
pub(super) struct Who {
    pub(super) name: String,
    pub(super) kind: Kind,
    /// The only tenant that the credential is for.
    pub(super) only: Option<&'static str>,
    pub(super) token: Option<String>,
    pub(super) actor: Option<&'static str>,
}

impl Who {
    /// A client as this caller.
    pub(super) fn headers(&self) -> Vec<(&'static str, String)> {
        let token = self.token.iter().map(|token| ("authorization", format!("Bearer {token}")));
        let actor = self.actor.iter().map(|actor| ("x-doorward-actor", (*actor).to_owned()));
        token.chain(actor).collect()
    }
}

/// All of them, made on a server with the tenants `acme` and `beta`.
pub(super) async fn all(server: &Server) -> Vec<Who> {
    let plain = plain_key(&mut server.operator()).await;
    let mut all = vec![
        who("nobody", Kind::Nobody, None, None),
        who("a wrong token", Kind::Nobody, Some("dws_nobody_00".to_owned()), None),
        who("the operator", Kind::Operator, Some(TOKEN.to_owned()), None),
        who("a key", Kind::KeyOf("acme"), Some(admin_key(server, "acme", "admin-key").await), None),
        who(
            "a key of another",
            Kind::KeyOf("beta"),
            Some(admin_key(server, "beta", "admin-key").await),
            None,
        ),
        who("a key without scope", Kind::Powerless, Some(plain), None),
        who("the operator for an admin", Kind::AdminOf("acme"), Some(TOKEN.to_owned()), Some("acme-owner")),
        who("the operator for a user", Kind::UserOf("acme"), Some(TOKEN.to_owned()), Some("acme-user")),
        who(
            "the operator for another's admin",
            Kind::AdminOf("beta"),
            Some(TOKEN.to_owned()),
            Some("beta-owner"),
        ),
        who("the operator for nobody", Kind::Powerless, Some(TOKEN.to_owned()), Some("nobody")),
    ];
    for only in [None, Some("acme")] {
        all.extend(services(server, only).await);
    }
    all
}

async fn services(server: &Server, only: Option<&'static str>) -> Vec<Who> {
    let rows = [
        ("check", vec![ServiceScope::Check], Kind::Check, None),
        ("read", vec![ServiceScope::Read], Kind::Read, None),
        ("resources", vec![ServiceScope::Resources], Kind::Resources, None),
        ("identity", vec![ServiceScope::Identity], Kind::Identity, None),
        ("operator", vec![ServiceScope::Operator], Kind::Operator, None),
        ("admin", vec![ServiceScope::Admin], Kind::WithoutActor, None),
        ("admin-acting", vec![ServiceScope::Admin], Kind::AdminOf("acme"), Some("acme-owner")),
        ("admin-for-user", vec![ServiceScope::Admin], Kind::Powerless, Some("acme-user")),
        ("admin-for-other", vec![ServiceScope::Admin], Kind::AdminOf("beta"), Some("beta-owner")),
        ("check-acting", vec![ServiceScope::Check, ServiceScope::Read], Kind::Powerless, Some("acme-owner")),
    ];
    let tenants: Vec<&str> = only.into_iter().collect();
    let mut services = Vec::new();
    for (name, scopes, kind, actor) in rows {
        let name = format!("{name}-in-{}", only.unwrap_or("all"));
        let token = credential(server, &name, &scopes, &tenants).await;
        services.push(Who { only, ..who(&name, kind, Some(token), actor) });
    }
    services
}

fn who(name: &str, kind: Kind, token: Option<String>, actor: Option<&'static str>) -> Who {
    Who { name: name.to_owned(), kind, only: None, token, actor }
}

async fn plain_key(operator: &mut Client) -> String {
    let section = proto::api_key_scope::Scope::Section("logs".to_owned());
    let request = proto::CreateApiKeyRequest {
        tenant_id: "acme".to_owned(),
        name: "plain".to_owned(),
        scopes: vec![proto::ApiKeyScope { scope: Some(section) }],
        ..Default::default()
    };
    operator.create_api_key(request).await.unwrap().into_inner().secret
}

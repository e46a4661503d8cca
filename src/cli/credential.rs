//! `credential`: the credentials of sibling services, made, listed, rotated and revoked.

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::client::{self, Connection};
use super::output::{self, Format};
use super::{Exit, Failure};
use crate::proto::{
    CreateServiceCredentialRequest, ListServiceCredentialsRequest, RevokeServiceCredentialRequest,
    RotateServiceCredentialRequest, ServiceCredential, ServiceScope, ServiceSecret,
};

/// The most credentials of one page.
const PAGE: i32 = 1_000;

/// What to do with credentials.
#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Make a credential. Its secret is shown here and never again.
    Create(Creation),
    /// List the credentials.
    List {
        /// Also those that are revoked.
        #[arg(long)]
        revoked: bool,
        #[command(flatten)]
        connection: Connection,
    },
    /// Make a new secret, shown here and never again. The one before stays live until its end.
    Rotate {
        /// The credential's id.
        id: String,
        /// For how many more seconds the secret from before is live; without it, as long as it was.
        #[arg(long, value_name = "SECONDS")]
        previous_for: Option<u32>,
        #[command(flatten)]
        connection: Connection,
    },
    /// Revoke a credential for good: no call that begins after this is answered.
    Revoke {
        /// The credential's id.
        id: String,
        #[command(flatten)]
        connection: Connection,
    },
}

/// A credential to be made.
#[derive(Args, Debug)]
pub(super) struct Creation {
    /// What people call the service.
    name: String,
    /// The id it shall have; without it, the server makes one.
    #[arg(long)]
    id: Option<String>,
    /// What it may do; several times for several.
    #[arg(long = "scope", required = true, value_enum)]
    scopes: Vec<Scope>,
    /// Where; several times for several, without it in every tenant.
    #[arg(long = "tenant")]
    tenants: Vec<String>,
    #[command(flatten)]
    connection: Connection,
}

/// What a service may do.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Scope {
    /// Ask checks.
    Check,
    /// Explain, list and read.
    Read,
    /// Administer, on behalf of an ACTIVE ADMIN.
    Admin,
    /// Register, change and delete resources.
    Resources,
    /// Accept invitations, activate members, change their names.
    Identity,
    /// Everything.
    Operator,
}

/// Does it.
pub(super) fn run(command: &Command) -> Result<Exit, Failure> {
    match command {
        Command::Create(creation) => create(creation),
        Command::List { revoked, connection } => list(connection, *revoked),
        Command::Rotate { id, previous_for, connection } => rotate(connection, id, *previous_for),
        Command::Revoke { id, connection } => revoke(connection, id),
    }
}

fn create(creation: &Creation) -> Result<Exit, Failure> {
    let scope = |scope: &Scope| i32::from(ServiceScope::from(*scope));
    let request = CreateServiceCredentialRequest {
        name: creation.name.clone(),
        credential_id: creation.id.clone().unwrap_or_default(),
        scopes: creation.scopes.iter().map(scope).collect(),
        tenant_ids: creation.tenants.clone(),
        ..CreateServiceCredentialRequest::default()
    };
    let made = creation.connection.run(async |mut client| {
        let made = client.create_service_credential(request).await;
        Ok(made.map_err(|status| client::refused(&status))?.into_inner())
    })?;
    tell_secret(&creation.connection, made.credential, &made.secret)
}

fn rotate(connection: &Connection, id: &str, previous_for: Option<u32>) -> Result<Exit, Failure> {
    let end = |seconds: u32| {
        let now = crate::clock::Clock::real().now().plus_seconds(i64::from(seconds));
        prost_types::Timestamp { seconds: now.micros().div_euclid(1_000_000), nanos: 0 }
    };
    let request = RotateServiceCredentialRequest {
        credential_id: id.to_owned(),
        previous_expires_at: previous_for.map(end),
        ..RotateServiceCredentialRequest::default()
    };
    let made = connection.run(async |mut client| {
        let made = client.rotate_service_credential(request).await;
        Ok(made.map_err(|status| client::refused(&status))?.into_inner())
    })?;
    tell_secret(connection, made.credential, &made.secret)
}

fn tell_secret(
    connection: &Connection,
    credential: Option<ServiceCredential>,
    secret: &str,
) -> Result<Exit, Failure> {
    let credential = credential.unwrap_or_default();
    match connection.output {
        Format::Text => output::line(&format!("{}\nsecret={secret}", told(&credential))),
        Format::Json => {
            output::line(&json!({ "credential": object(&credential), "secret": secret }).to_string())
        }
    }
    Ok(Exit::Done)
}

fn revoke(connection: &Connection, id: &str) -> Result<Exit, Failure> {
    let request = RevokeServiceCredentialRequest {
        credential_id: id.to_owned(),
        ..RevokeServiceCredentialRequest::default()
    };
    let done = connection.run(async |mut client| {
        let done = client.revoke_service_credential(request).await;
        Ok(done.map_err(|status| client::refused(&status))?.into_inner())
    })?;
    let credential = done.credential.unwrap_or_default();
    match connection.output {
        Format::Text => output::line(&told(&credential)),
        Format::Json => {
            output::line(&json!({ "credential": object(&credential), "enforced": done.enforced }).to_string())
        }
    }
    Ok(Exit::Done)
}

fn list(connection: &Connection, include_revoked: bool) -> Result<Exit, Failure> {
    let credentials = connection.run(async |mut client| {
        let mut credentials = Vec::new();
        let mut page_token = String::new();
        loop {
            let request = ListServiceCredentialsRequest { page_size: PAGE, page_token, include_revoked };
            let page = client.list_service_credentials(request).await;
            let page = page.map_err(|status| client::refused(&status))?.into_inner();
            credentials.extend(page.credentials);
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(credentials);
            }
        }
    })?;
    match connection.output {
        Format::Text => credentials.iter().for_each(|credential| output::line(&told(credential))),
        Format::Json => output::line(&Value::from_iter(credentials.iter().map(object)).to_string()),
    }
    Ok(Exit::Done)
}

fn scope_names(credential: &ServiceCredential) -> Vec<String> {
    let name = |scope: ServiceScope| scope.as_str_name().trim_start_matches("SERVICE_SCOPE_").to_lowercase();
    credential.scopes().map(name).collect()
}

/// A line for people.
fn told(credential: &ServiceCredential) -> String {
    let tenants = if credential.tenant_ids.is_empty() {
        "every tenant".to_owned()
    } else {
        credential.tenant_ids.join(", ")
    };
    let live = match (&credential.revoke_time, credential.secrets.len()) {
        (Some(_), _) => "revoked".to_owned(),
        (None, 1) => "1 secret".to_owned(),
        (None, secrets) => format!("{secrets} secrets"),
    };
    let scopes = scope_names(credential).join(", ");
    format!("{}  {}  scopes: {scopes}  in: {tenants}  {live}", credential.credential_id, credential.name)
}

fn object(credential: &ServiceCredential) -> Value {
    let time = |time: &Option<prost_types::Timestamp>| time.as_ref().map(ToString::to_string);
    let secret = |secret: &ServiceSecret| {
        json!({
            "create_time": time(&secret.create_time),
            "expires_at": time(&secret.expires_at),
            "last_used_time": time(&secret.last_used_time),
        })
    };
    json!({
        "id": credential.credential_id,
        "name": credential.name,
        "scopes": scope_names(credential),
        "tenants": credential.tenant_ids,
        "secrets": credential.secrets.iter().map(secret).collect::<Vec<_>>(),
        "create_time": time(&credential.create_time),
        "revoke_time": time(&credential.revoke_time),
        "revision": credential.revision,
    })
}

impl From<Scope> for ServiceScope {
    fn from(scope: Scope) -> Self {
        match scope {
            Scope::Check => Self::Check,
            Scope::Read => Self::Read,
            Scope::Admin => Self::Admin,
            Scope::Resources => Self::Resources,
            Scope::Identity => Self::Identity,
            Scope::Operator => Self::Operator,
        }
    }
}

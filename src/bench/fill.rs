//! Makes the data of a shape, as any client would: through the API. It knows messages, and draws a progress bar.

use std::net::SocketAddr;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt, stream};
use indicatif::{ProgressBar, ProgressStyle};
use secrecy::{ExposeSecret, SecretString};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Response, Status};

use super::Error;
use super::call::resource;
use super::shape::{Shape, TYPE, What, Who, resource_id};
use crate::clock::Stopwatch;
use crate::proto;
use crate::proto::access_service_client::AccessServiceClient;

/// How many tenants are filled at once.
const AT_ONCE: usize = 4;
/// How many invitations go in one call, and about how many grants: messages have a bound, and so has a transaction.
const INVITEES: u64 = 1_000;
const GRANTS: u64 = 5_000;
/// How many resources are registered with one call.
const RESOURCES: u64 = 1_000;
/// A tenant with this name is filled; the name is given last.
const FILLED: &str = "benchmark";
/// How often a refusal is answered with another attempt, and after how long.
const ATTEMPTS: u32 = 100;
const PAUSE: Duration = Duration::from_millis(100);

/// The name of one that is not yet; it tells which calls make it.
fn filling() -> String {
    format!("{FILLED}, being filled by {INVITEES} and {GRANTS}")
}

type Client = AccessServiceClient<InterceptedService<Channel, Bearer>>;

/// What was filled, and how fast.
#[derive(Clone, Copy, Debug, Default, serde::Serialize)]
pub(super) struct Filled {
    /// Tenants that were not there.
    pub(super) tenants: u64,
    pub(super) members: u64,
    pub(super) grants: u64,
    pub(super) seconds: f64,
}

impl Filled {
    pub(super) fn grants_per_s(self) -> f64 {
        self.grants as f64 / self.seconds.max(0.001)
    }
}

#[derive(Clone)]
struct Bearer(MetadataValue<Ascii>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request.metadata_mut().insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Fills a service with what is not there yet.
pub(super) fn fill(address: SocketAddr, token: &SecretString, shape: &Shape) -> Result<Filled, Error> {
    let watch = Stopwatch::start();
    let bar = ProgressBar::new(shape.people());
    let style = "filling {bar:40} {human_pos}/{human_len} members, {per_sec}, {eta} left";
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    let filled = block_on(async {
        let client = connect(address, token).await?;
        let tenants = stream::iter(0..shape.tenants).map(|tenant| {
            let tenant = Tenant { client: client.clone(), shape, tenant, bar: &bar };
            tenant.fill()
        });
        let filled = tenants.buffer_unordered(AT_ONCE);
        let add = |sum: Filled, one: Filled| async move {
            let (tenants, members) = (sum.tenants + one.tenants, sum.members + one.members);
            Ok(Filled { tenants, members, grants: sum.grants + one.grants, ..sum })
        };
        filled.try_fold(Filled::default(), add).await
    })?;
    bar.finish_and_clear();
    Ok(Filled { seconds: watch.elapsed().as_secs_f64(), ..filled })
}

/// The secret of a service that may check and read in every tenant and change nothing.
pub(super) fn credential(address: SocketAddr, token: &SecretString) -> Result<SecretString, Error> {
    let request = proto::CreateServiceCredentialRequest {
        name: "benchmark".to_owned(),
        scopes: vec![proto::ServiceScope::Check.into(), proto::ServiceScope::Read.into()],
        ..Default::default()
    };
    let made = block_on(async {
        let mut client = connect(address, token).await?;
        client.create_service_credential(request).await.map_err(|status| refused(&status))
    })?;
    Ok(made.into_inner().secret.into())
}

fn block_on<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(work)
}

async fn connect(address: SocketAddr, token: &SecretString) -> Result<Client, Error> {
    let endpoint =
        Endpoint::from_shared(format!("http://{address}")).map_err(|error| Error(error.to_string()))?;
    let channel = endpoint.connect_timeout(Duration::from_secs(5)).tcp_nodelay(true).connect().await;
    let channel = channel.map_err(|_| {
        Error(format!(
            "no service answers at {address}. Leave --address away to measure one that is started for it, or start one \
             with `doorward serve`."
        ))
    })?;
    let mut bearer = MetadataValue::try_from(format!("Bearer {}", token.expose_secret()))
        .map_err(|_| Error("the token has characters that a token cannot have".to_owned()))?;
    bearer.set_sensitive(true);
    Ok(AccessServiceClient::with_interceptor(channel, Bearer(bearer)))
}

/// What an earlier run has left of a tenant.
enum Found {
    Nothing,
    /// A part: what there is of it was made as it would be made now, call by call.
    Begun,
    Filled,
}

struct Tenant<'a> {
    client: Client,
    shape: &'a Shape,
    tenant: u64,
    bar: &'a ProgressBar,
}

impl Tenant<'_> {
    async fn fill(self) -> Result<Filled, Error> {
        match self.found().await? {
            Found::Filled => {
                self.bar.inc(self.shape.members);
                return Ok(Filled::default());
            }
            Found::Begun => {}
            Found::Nothing => self.create().await?,
        }
        for from in (0..self.shape.resources).step_by(RESOURCES as usize) {
            self.resources(from, self.shape.resources.min(from + RESOURCES)).await?;
        }
        let mut grants = 0;
        let invitees = self.invitees();
        for from in (0..self.shape.members).step_by(invitees as usize) {
            let until = self.shape.members.min(from + invitees);
            grants += self.members(from, until).await?;
            self.bar.inc(until - from);
        }
        self.name_it_filled().await?;
        Ok(Filled { tenants: 1, members: self.shape.members, grants, seconds: 0.0 })
    }

    fn id(&self) -> String {
        self.shape.tenant_id(self.tenant)
    }

    async fn found(&self) -> Result<Found, Error> {
        let request = proto::GetTenantRequest { tenant_id: self.id() };
        let found = match self.client.clone().get_tenant(request).await {
            Ok(answer) => answer.into_inner().tenant.unwrap_or_default(),
            Err(status) if status.code() == Code::NotFound => return Ok(Found::Nothing),
            Err(status) => return Err(refused(&status)),
        };
        match found.name.as_str() {
            FILLED => Ok(Found::Filled),
            name if name == filling() => Ok(Found::Begun),
            _ => Err(Error(format!(
                "the tenant `{}` is not as this program makes them: delete it, or give another --seed",
                self.id()
            ))),
        }
    }

    async fn create(&self) -> Result<(), Error> {
        let id = self.id();
        let owner = proto::TenantOwner {
            user_id: format!("{id}-owner"),
            email: format!("owner@{id}.example"),
            member_id: format!("{id}-owner"),
            ..Default::default()
        };
        let request = proto::CreateTenantRequest {
            tenant_id: id.clone(),
            slug: id,
            name: filling(),
            owner: Some(owner),
            ..Default::default()
        };
        tried(&self.client, request, async |mut client, request| client.create_tenant(request).await).await
    }

    async fn resources(&self, from: u64, until: u64) -> Result<(), Error> {
        let new = |number| proto::NewResource {
            resource_id: resource_id(number),
            name: resource_id(number),
            ..Default::default()
        };
        let request = proto::BatchRegisterResourcesRequest {
            tenant_id: self.id(),
            r#type: TYPE.to_owned(),
            resources: (from..until).map(new).collect(),
            wait: proto::Wait::Committed.into(),
            ..Default::default()
        };
        let call = async |mut client: Client, request| client.batch_register_resources(request).await;
        tried(&self.client, request, call).await
    }

    /// How many are invited with one call.
    fn invitees(&self) -> u64 {
        let grants = self.shape.resources as f64 * self.shape.granted;
        ((GRANTS as f64 / grants.max(1.0)) as u64).clamp(1, INVITEES)
    }

    /// Invites so many with their grants, as people who are known; how many grants these are.
    async fn members(&self, from: u64, until: u64) -> Result<u64, Error> {
        let people = (from..until).map(|member| Who { tenant: self.tenant, member });
        let invitees: Vec<_> = people.map(|who| self.invitee(who)).collect();
        let grants = invitees.iter().map(|invitee| invitee.grants.len() as u64).sum();
        let request = proto::BatchInviteMembersRequest {
            tenant_id: self.id(),
            invitees,
            wait: proto::Wait::Committed.into(),
            ..Default::default()
        };
        tried(&self.client, request, async |mut client, request| client.batch_invite_members(request).await)
            .await?;
        Ok(grants)
    }

    fn invitee(&self, who: Who) -> proto::Invitee {
        let id = self.shape.member_id(who);
        let grant =
            |number| proto::GrantInput { resource: Some(resource(What::Resource(number))), expires_at: None };
        proto::Invitee {
            email: format!("{id}@bench.example"),
            role: proto::Role::User.into(),
            user_id: id.clone(),
            member_id: id,
            grants: self.shape.grants(who).map(grant).collect(),
            ..Default::default()
        }
    }

    async fn name_it_filled(&self) -> Result<(), Error> {
        let request = proto::UpdateTenantRequest {
            tenant_id: self.id(),
            name: FILLED.to_owned(),
            ..Default::default()
        };
        tried(&self.client, request, async |mut client, request| client.update_tenant(request).await).await
    }
}

/// Calls, and again where the service says that it has too much to do. What is there was made by the same call of an earlier
/// run, for a call does all or nothing.
async fn tried<R: Clone, A>(
    client: &Client,
    request: R,
    call: impl AsyncFn(Client, R) -> Result<Response<A>, Status>,
) -> Result<(), Error> {
    let mut attempts = 0;
    loop {
        match call(client.clone(), request.clone()).await {
            Ok(_) => return Ok(()),
            Err(status) if status.code() == Code::AlreadyExists => return Ok(()),
            Err(status) if is_busy(&status) && attempts < ATTEMPTS => {
                attempts += 1;
                tokio::time::sleep(PAUSE).await;
            }
            Err(status) => return Err(refused(&status)),
        }
    }
}

fn is_busy(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::ResourceExhausted)
}

fn refused(status: &Status) -> Error {
    let hint = match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => {
            "\nFilling needs the operator's token: --token, or DOORWARD_TOKEN."
        }
        _ => "",
    };
    Error(format!("the data could not be made: {}: {}{hint}", status.code().description(), status.message()))
}

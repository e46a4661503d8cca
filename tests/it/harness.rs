//! A running server for a test, on a database of its own, and clients that call it over a socket.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};

use doorward::app::{self, Running};
use doorward::clock::Clock;
use doorward::proto;
use doorward::proto::access_service_client::AccessServiceClient;
use doorward::settings::{Root, Settings};
use doorward_engine::instant::Instant;
use tonic::metadata::MetadataValue;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::postgres;

/// The operator token of every test server.
pub(crate) const TOKEN: &str = "test-operator-token-0123456789";
/// 2026-03-01T12:00:00Z: what a test's clock says until it is set.
pub(crate) const NOW: Instant = Instant::from_micros(1_772_366_400_000_000);

/// Which database a test runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Database {
    Sqlite,
    Postgres,
}

/// Writes a test for both databases: `on_both!(a_promise, |server| { … });` with an async body.
macro_rules! on_both {
    ($(#[$attribute:meta])* $name:ident, |$server:ident| $body:block) => {
        $(#[$attribute])*
        mod $name {
            use super::*;

            async fn promise($server: &$crate::harness::Server) $body

            #[test]
            fn sqlite() {
                $crate::harness::run($crate::harness::Database::Sqlite, async |server| promise(server).await);
            }

            #[test]
            fn postgres() {
                $crate::harness::run($crate::harness::Database::Postgres, async |server| promise(server).await);
            }
        }
    };
}
pub(crate) use on_both;

/// A server of a test's own.
pub(crate) struct Server {
    pub(crate) running: Running,
    pub(crate) clock: Clock,
    pub(crate) url: String,
    channel: Channel,
}

pub(crate) type Client = AccessServiceClient<InterceptedService<Channel, Auth>>;

/// Presents a token, and names whom it acts for.
#[derive(Clone)]
pub(crate) struct Auth {
    token: String,
    actor: Option<String>,
}

impl Auth {
    /// The operator's.
    pub(crate) fn operator() -> Self {
        Self { token: TOKEN.to_owned(), actor: None }
    }
}

impl Interceptor for Auth {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        let bearer = MetadataValue::try_from(format!("Bearer {}", self.token)).unwrap();
        request.metadata_mut().insert("authorization", bearer);
        if let Some(actor) = &self.actor {
            request.metadata_mut().insert("x-doorward-actor", MetadataValue::try_from(actor).unwrap());
        }
        Ok(request)
    }
}

/// Runs a test's body against a server of its own, and stops the server.
pub(crate) fn run(database: Database, body: impl AsyncFnOnce(&Server)) {
    let migrate = async |url: &str| drop(doorward::store::sql::migrate(url).await.unwrap());
    run_over(database, &Clock::manual(NOW), migrate, body);
}

/// The same, where the database is made ready by `prepare` before the server starts.
pub(crate) fn run_over(
    database: Database,
    clock: &Clock,
    prepare: impl AsyncFnOnce(&str),
    body: impl AsyncFnOnce(&Server),
) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let url = match database {
        Database::Sqlite => format!("sqlite://{}", directory.path().join("doorward.db").display()),
        Database::Postgres => postgres::fresh_database(),
    };
    runtime.block_on(prepare(&url));
    serve(&runtime, &url, clock, body);
}

/// The same, on a database that has been made ready.
pub(crate) fn run_on(url: &str, body: impl AsyncFnOnce(&Server)) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    serve(&runtime, url, &Clock::manual(NOW), body);
}

fn serve(runtime: &tokio::runtime::Runtime, url: &str, clock: &Clock, body: impl AsyncFnOnce(&Server)) {
    let running = start(url, clock);
    let channel = runtime.block_on(connect(&running));
    let server = Server { running, clock: clock.clone(), url: url.to_owned(), channel };
    runtime.block_on(body(&server));
    // The client must go on reading, or the server waits out its grace for the connection to end.
    let stopped = runtime.spawn_blocking(move || server.running.stop());
    runtime.block_on(stopped).unwrap();
}

/// Starts a server over a database that has been migrated (or a SQLite file).
pub(crate) fn start(url: &str, clock: &Clock) -> Running {
    start_with(url, clock, |_| {})
}

/// The same, with other settings.
pub(crate) fn start_with(url: &str, clock: &Clock, change: impl FnOnce(&mut Settings)) -> Running {
    let local = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut settings = Settings::default();
    settings.server.listen = local;
    settings.server.workers = 1;
    settings.admin.listen = local;
    settings.database.url = url.into();
    settings.auth.operator_token = TOKEN.into();
    settings.keys.root = Some(Root::Bytes([0xab; 32]));
    // Tests call as fast as they can; those of the limits set their own.
    (settings.limits.tenant_calls_per_s, settings.limits.accepts_per_s) = (0, 0);
    change(&mut settings);
    tell_warnings();
    app::start(&settings, clock.clone()).unwrap()
}

/// What is answered as unavailable is told with its cause by the log alone.
fn tell_warnings() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::WARN).with_ansi(false);
        lines.with_writer(std::io::stderr).init();
    });
}

async fn connect(running: &Running) -> Channel {
    Channel::from_shared(format!("http://{}", running.grpc)).unwrap().connect().await.unwrap()
}

/// The request for a tenant: its id and slug are `name`, its owner's user and member id are `<name>-owner`.
pub(crate) fn new_tenant(name: &str) -> proto::CreateTenantRequest {
    proto::CreateTenantRequest {
        tenant_id: name.to_owned(),
        slug: name.to_owned(),
        name: name.to_owned(),
        owner: Some(proto::TenantOwner {
            user_id: format!("{name}-owner"),
            email: format!("owner@{name}.example"),
            member_id: format!("{name}-owner"),
            ..Default::default()
        }),
        ..Default::default()
    }
}

impl Server {
    /// One that has been started, with a connection to it.
    pub(crate) async fn over(running: Running, url: &str, clock: &Clock) -> Self {
        let channel = connect(&running).await;
        Self { running, clock: clock.clone(), url: url.to_owned(), channel }
    }

    /// How many checks were decided by facts of a tier.
    pub(crate) fn decided(&self, tier: &str) -> u64 {
        let label = format!("tier=\"{tier}\"}}");
        self.counted(|series| series.starts_with("doorward_checks_total") && series.contains(&label))
    }

    /// The sum of the counters whose series, name and labels, are meant.
    pub(crate) fn counted(&self, is_meant: impl Fn(&str) -> bool) -> u64 {
        let (_, text) = crate::binary::get(&self.running.admin.to_string(), "/metrics");
        let series = text.lines().filter_map(|line| line.rsplit_once(' '));
        series.filter(|(series, _)| is_meant(series)).filter_map(|(_, value)| value.parse::<u64>().ok()).sum()
    }

    /// The operator's client.
    pub(crate) fn operator(&self) -> Client {
        self.client(TOKEN, None)
    }

    /// A client that acts for a member, by user id.
    pub(crate) fn acting(&self, user: &str) -> Client {
        self.client(TOKEN, Some(user))
    }

    /// The connection, without any token.
    pub(crate) fn channel(&self) -> Channel {
        self.channel.clone()
    }

    /// A client with any token.
    pub(crate) fn client(&self, token: &str, actor: Option<&str>) -> Client {
        let auth = Auth { token: token.to_owned(), actor: actor.map(str::to_owned) };
        AccessServiceClient::with_interceptor(self.channel.clone(), auth)
    }

    /// A client on a connection of its own.
    pub(crate) async fn another_connection(&self) -> Client {
        AccessServiceClient::with_interceptor(connect(&self.running).await, Auth::operator())
    }

    /// Creates a tenant, as [`new_tenant`] names it.
    pub(crate) async fn tenant(&self, name: &str) -> proto::Tenant {
        let answer = self.operator().create_tenant(new_tenant(name)).await.unwrap().into_inner();
        answer.tenant.unwrap()
    }

    /// Invites and activates a USER: member and user id are `name`.
    pub(crate) async fn user(&self, tenant: &str, name: &str) -> proto::Member {
        self.member(tenant, name, proto::Role::User).await
    }

    /// Invites and activates a member: member and user id are `name`.
    pub(crate) async fn member(&self, tenant: &str, name: &str, role: proto::Role) -> proto::Member {
        let invite = proto::InviteMemberRequest {
            tenant_id: tenant.to_owned(),
            email: format!("{name}@{tenant}.example"),
            role: role.into(),
            member_id: name.to_owned(),
            ..Default::default()
        };
        self.operator().invite_member(invite).await.unwrap();
        let activate = proto::ActivateMemberRequest {
            tenant_id: tenant.to_owned(),
            member_id: name.to_owned(),
            user_id: name.to_owned(),
            ..Default::default()
        };
        let answer = self.operator().activate_member(activate).await.unwrap().into_inner();
        answer.member.unwrap()
    }

    /// Registers an agent.
    pub(crate) async fn agent(&self, tenant: &str, id: &str) -> proto::RegisteredResource {
        let request = proto::RegisterResourceRequest {
            tenant_id: tenant.to_owned(),
            r#type: "agent".to_owned(),
            resource_id: id.to_owned(),
            name: id.to_owned(),
            ..Default::default()
        };
        let answer = self.operator().register_resource(request).await.unwrap().into_inner();
        answer.resource.unwrap()
    }

    /// Asks as the operator: the answer as `(allowed, reason, hide)`.
    pub(crate) async fn check(
        &self,
        tenant: &str,
        user: &str,
        action: &str,
        kind: &str,
        id: &str,
    ) -> (bool, String, bool) {
        let request = proto::CheckAccessRequest {
            tenant_id: tenant.to_owned(),
            subject: Some(user_subject(user)),
            action: action.to_owned(),
            resource: Some(resource(kind, id)),
            ..Default::default()
        };
        let answer = self.operator().check_access(request).await.unwrap().into_inner();
        let reason = answer.reason().as_str_name().trim_start_matches("REASON_").to_owned();
        (answer.allowed, reason, answer.hide)
    }

    /// The reason of [`Self::check`] for viewing a section.
    pub(crate) async fn section(&self, tenant: &str, user: &str, section: &str) -> String {
        self.check(tenant, user, "view", "section", section).await.1
    }
}

/// A subject by user id.
pub(crate) fn user_subject(user: &str) -> proto::Subject {
    proto::Subject { kind: Some(proto::subject::Kind::UserId(user.to_owned())) }
}

/// A type and an id.
pub(crate) fn resource(kind: &str, id: &str) -> proto::Resource {
    proto::Resource { r#type: kind.to_owned(), id: id.to_owned() }
}

/// A fresh UUID for a request.
pub(crate) fn request_id() -> String {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    format!("00000000-0000-4000-8000-{:012x}", NEXT.fetch_add(1, Ordering::Relaxed))
}

/// An instant as the wire says it.
pub(crate) fn timestamp(instant: Instant) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: instant.micros().div_euclid(1_000_000),
        nanos: i32::try_from(instant.micros().rem_euclid(1_000_000) * 1_000).unwrap(),
    }
}

/// Asserts an error's code and its ErrorInfo's reason; answers the text.
#[track_caller]
pub(crate) fn refused<T: std::fmt::Debug>(answer: Result<T, Status>, code: Code, reason: &str) -> String {
    let status = answer.expect_err("should have been refused");
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no ErrorInfo: {status:?}"));
    assert_eq!((status.code(), info.reason.as_str()), (code, reason), "{status:?}");
    assert_eq!(info.domain, "doorward");
    status.message().to_owned()
}

/// Asserts INVALID_ARGUMENT with these fields, in any order.
#[track_caller]
pub(crate) fn invalid<T: std::fmt::Debug>(answer: Result<T, Status>, fields: &[&str]) {
    let status = answer.expect_err("should have been refused");
    assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
    let details = status.get_details_bad_request().unwrap_or_else(|| panic!("no BadRequest: {status:?}"));
    let mut found: Vec<_> =
        details.field_violations.iter().map(|violation| violation.field.as_str()).collect();
    found.sort_unstable();
    let mut fields = fields.to_vec();
    fields.sort_unstable();
    assert_eq!(found, fields, "{status:?}");
}

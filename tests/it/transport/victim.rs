//! A service under attack: the real binary, whose memory is measured, and an honest client that goes on asking. Knows no
//! attack.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use doorward::proto::access_service_client::AccessServiceClient;
use doorward::proto::{CheckAccessRequest, CreateTenantRequest, Resource, Subject, TenantOwner, subject};
use tonic::Request;

use super::counted;
use crate::binary::Server;
use crate::harness::TOKEN;
use crate::serve::environment;

/// How much a service may grow under attack.
const GROWTH_MAX_KB: u64 = 64 * 1024;
/// How many checks of the honest client are made at the least.
const CHECKS_MIN: usize = 20;

pub(crate) struct Victim {
    server: Server,
    _folder: tempfile::TempDir,
}

/// What came of an attack.
#[derive(Debug)]
pub(crate) struct Outcome<T> {
    pub(crate) attack: T,
    pub(crate) grown_kb: u64,
    /// How long each honest check took.
    pub(crate) checks: Vec<Duration>,
    pub(crate) failed: Vec<String>,
}

impl Victim {
    /// One worker, a second for greetings and two for those who take nothing; and other settings.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", folder.path().join("d.db").display());
        let mut environment = environment(&url);
        environment.extend([
            ("DOORWARD_AUTH__OPERATOR_TOKEN", TOKEN),
            ("DOORWARD_SERVER__WORKERS", "1"),
            ("DOORWARD_SERVER__GREETING_MS", "1000"),
            ("DOORWARD_SERVER__STALL_MS", "2000"),
        ]);
        environment.extend(settings);
        let server = Server::start(&["serve"], &environment);
        let victim = Self { server, _folder: folder };
        runtime().block_on(async {
            let mut client = victim.client().await;
            let owner = TenantOwner {
                user_id: "ada".to_owned(),
                email: "ada@acme.example".to_owned(),
                ..TenantOwner::default()
            };
            let create = CreateTenantRequest {
                tenant_id: "acme".to_owned(),
                slug: "acme".to_owned(),
                name: "Acme".to_owned(),
                owner: Some(owner),
                ..CreateTenantRequest::default()
            };
            client.create_tenant(signed(create)).await.unwrap();
        });
        victim.ask(Duration::from_millis(500));
        victim
    }

    pub(crate) fn address(&self) -> &str {
        &self.server.grpc
    }

    /// The value of a series of its metrics.
    pub(crate) fn counted(&self, series: &str) -> f64 {
        counted(&self.server.admin, series)
    }

    /// Status and body of `/readyz`.
    pub(crate) fn readiness(&self) -> impl Fn() -> (u16, String) + use<> {
        let admin = self.server.admin.clone();
        move || crate::binary::get(&admin, "/readyz")
    }

    pub(crate) fn stop(self) -> (std::process::ExitStatus, Duration) {
        self.server.stop()
    }

    async fn client(&self) -> AccessServiceClient<tonic::transport::Channel> {
        AccessServiceClient::connect(self.server.address()).await.unwrap()
    }

    /// The honest client alone, for a time: how long its checks took.
    pub(crate) fn ask(&self, time: Duration) -> Vec<Duration> {
        let outcome = self.under(|_| thread::sleep(time));
        assert_eq!(outcome.failed, Vec::<String>::new());
        outcome.checks
    }

    /// Asks, one check after the other, while the attack runs; it begins when the first has been answered.
    pub(crate) fn under<T: Send>(&self, attack: impl FnOnce(&str) -> T + Send) -> Outcome<T> {
        let (honest_at, pid) = (self.server.address(), self.server.pid());
        let address = self.address().to_owned();
        let before = memory_kb(pid);
        let is_over = AtomicBool::new(false);
        let (connected, is_connected) = mpsc::channel();
        thread::scope(|scope| {
            let is_over = &is_over;
            let honest = scope.spawn(move || check_until(&honest_at, pid, is_over, &connected));
            let attacked = scope.spawn(move || {
                // An honest client that never gets there hangs up, and says why itself.
                let _ = is_connected.recv();
                let attacked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| attack(&address)));
                is_over.store(true, Ordering::SeqCst);
                attacked
            });
            let (most, checks, failed) = honest.join().unwrap();
            let attack = attacked.join().unwrap().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            Outcome { attack, grown_kb: most.saturating_sub(before), checks, failed }
        })
    }
}

impl<T> Outcome<T> {
    /// Whether others were served, and memory had its bound; answers what the attack found.
    #[track_caller]
    pub(crate) fn survived(self) -> T {
        assert_eq!(self.failed, Vec::<String>::new(), "an honest check failed");
        assert!(self.grown_kb < GROWTH_MAX_KB, "it grew by {} kB", self.grown_kb);
        self.attack
    }
}

fn check_until(
    address: &str,
    pid: u32,
    is_over: &AtomicBool,
    connected: &mpsc::Sender<()>,
) -> (u64, Vec<Duration>, Vec<String>) {
    let (mut most, mut checks, mut failed) = (0, Vec::new(), Vec::new());
    runtime().block_on(async {
        let mut client = AccessServiceClient::connect(address.to_owned()).await.unwrap();
        while failed.len() < 3 && (!is_over.load(Ordering::SeqCst) || checks.len() < CHECKS_MIN) {
            let begun = Instant::now();
            match client.check_access(signed(check())).await {
                Ok(answer) if answer.get_ref().allowed => checks.push(begun.elapsed()),
                Ok(answer) => failed.push(format!("{answer:?}")),
                Err(status) => failed.push(status.to_string()),
            }
            let _ = connected.send(());
            if checks.len().is_multiple_of(32) {
                most = most.max(memory_kb(pid));
            }
        }
    });
    (most.max(memory_kb(pid)), checks, failed)
}

/// What of a process's memory is in use, by the system's count.
fn memory_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

fn signed<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    request
}

/// Whether ada may see the analytics.
pub(crate) fn check() -> CheckAccessRequest {
    CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(Subject { kind: Some(subject::Kind::UserId("ada".to_owned())) }),
        action: "view".to_owned(),
        resource: Some(Resource { r#type: "section".to_owned(), id: "analytics".to_owned() }),
        ..CheckAccessRequest::default()
    }
}

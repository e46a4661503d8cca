//! A client of several replicas: asks them in turn, asks the next one where one does not answer, and takes access away and
//! gives it back meanwhile. `scripts/cluster.sh` runs it. Arguments: `SECONDS ADDRESS…`, 0 seconds being until it is ended;
//! the first line of stdin is the operator's token.
#![expect(clippy::disallowed_methods, reason = "a client measures with the clock of its own process")]

use std::error::Error;
use std::io::{BufRead, Write};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use doorward::proto::access_service_client::AccessServiceClient;
use doorward::proto::subject::Kind;
use doorward::proto::{
    CheckAccessRequest, CreateTenantRequest, Resource, ResumeTenantRequest, Subject, SuspendTenantRequest,
    TenantOwner,
};
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Request, Status};

type Failure = Box<dyn Error + Send + Sync>;

const TENANT: &str = "cluster";
const USER: &str = "ada";
/// Of a check: another replica is asked then. Of a change: longer than it waits for a replica that is dead.
const CHECK_DEADLINE: Duration = Duration::from_secs(1);
const CHANGE_DEADLINE: Duration = Duration::from_secs(5);
const CONNECT: Duration = Duration::from_millis(500);
/// How long is asked after each change, and the pause between two checks.
const TURN: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(5);

/// A replica, and how many checks it has answered.
struct Replica {
    client: AccessServiceClient<Channel>,
    answers: u64,
}

/// What happened.
#[derive(Default)]
struct Tally {
    changes: u64,
    /// Changes that no replica made, and checks that none answered.
    failed: u64,
    /// Checks that another replica answered than the one that was asked first.
    elsewhere: u64,
    /// Answers of before an acknowledged change.
    stale: u64,
}

/// The client.
struct Balance {
    replicas: Vec<Replica>,
    token: MetadataValue<Ascii>,
    /// The access of the last change that was acknowledged; none: one may have been made since.
    known: Option<bool>,
    tally: Tally,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(good) if good => ExitCode::SUCCESS,
        Ok(_) => ExitCode::from(3),
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "balance: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Answers whether nothing was stale.
async fn run() -> Result<bool, Failure> {
    let mut words = std::env::args().skip(1);
    let seconds: u64 = words.next().ok_or("wanted: SECONDS ADDRESS…")?.parse()?;
    let replicas = words.map(|address| Replica::new(&address)).collect::<Result<Vec<_>, Failure>>()?;
    let mut token = String::new();
    std::io::stdin().lock().read_line(&mut token)?;
    let token = format!("Bearer {}", token.trim()).parse()?;
    let mut balance = Balance { replicas, token, known: Some(true), tally: Tally::default() };
    balance.create().await?;
    let began = Instant::now();
    while seconds == 0 || began.elapsed() < Duration::from_secs(seconds) {
        balance.turn().await?;
        balance.say(began.elapsed())?;
    }
    Ok(balance.tally.stale == 0)
}

impl Replica {
    fn new(address: &str) -> Result<Self, Failure> {
        let endpoint = Endpoint::from_shared(address.to_owned())?.connect_timeout(CONNECT);
        Ok(Self { client: AccessServiceClient::new(endpoint.connect_lazy()), answers: 0 })
    }

    /// Whether she may look, or that this replica does not say.
    async fn check(&mut self, token: &MetadataValue<Ascii>) -> Result<bool, Status> {
        let request = CheckAccessRequest {
            tenant_id: TENANT.to_owned(),
            subject: Some(Subject { kind: Some(Kind::UserId(USER.to_owned())) }),
            action: "view".to_owned(),
            resource: Some(Resource { r#type: "section".to_owned(), id: "analytics".to_owned() }),
            ..CheckAccessRequest::default()
        };
        let answer = self.client.check_access(signed(token, CHECK_DEADLINE, request)).await?.into_inner();
        self.answers += 1;
        Ok(answer.allowed)
    }

    /// Takes her access away, or gives it back; when it is acknowledged, every replica knows.
    async fn set(&mut self, token: &MetadataValue<Ascii>, access: bool) -> Result<bool, Status> {
        let tenant_id = TENANT.to_owned();
        if access {
            let request = ResumeTenantRequest { tenant_id, ..ResumeTenantRequest::default() };
            Ok(self
                .client
                .resume_tenant(signed(token, CHANGE_DEADLINE, request))
                .await?
                .into_inner()
                .enforced)
        } else {
            let request = SuspendTenantRequest { tenant_id, ..SuspendTenantRequest::default() };
            Ok(self
                .client
                .suspend_tenant(signed(token, CHANGE_DEADLINE, request))
                .await?
                .into_inner()
                .enforced)
        }
    }
}

impl Balance {
    /// A tenant with an admin, whose access comes and goes with the tenant's.
    async fn create(&mut self) -> Result<(), Failure> {
        let email = "ada@cluster.example".to_owned();
        let owner = TenantOwner { user_id: USER.to_owned(), email, ..TenantOwner::default() };
        let request = CreateTenantRequest {
            tenant_id: TENANT.to_owned(),
            slug: TENANT.to_owned(),
            name: TENANT.to_owned(),
            owner: Some(owner),
            ..CreateTenantRequest::default()
        };
        let first = self.replicas.first_mut().ok_or("an address at least")?;
        first.client.create_tenant(signed(&self.token, CHANGE_DEADLINE, request)).await?;
        Ok(())
    }

    /// Changes access through the replica whose turn it is, asks every replica at once, and goes on asking for a while.
    async fn turn(&mut self) -> Result<(), Failure> {
        let end = Instant::now() + TURN;
        self.change().await?;
        for first in 0..self.replicas.len() {
            self.ask(first).await?;
        }
        let mut first = 0;
        while Instant::now() < end {
            self.ask(first).await?;
            first += 1;
            tokio::time::sleep(PAUSE).await;
        }
        Ok(())
    }

    async fn change(&mut self) -> Result<(), Failure> {
        let access = self.known != Some(true);
        let turn = usize::try_from(self.tally.changes)?;
        self.known = None;
        for number in in_turn(turn, self.replicas.len()) {
            let Some(replica) = self.replicas.get_mut(number) else { continue };
            match replica.set(&self.token, access).await {
                Ok(enforced) => {
                    self.tally.changes += 1;
                    self.known = enforced.then_some(access);
                    return Ok(());
                }
                Err(status) if is_away(&status) => {}
                Err(status) => return Err(status.into()),
            }
        }
        self.tally.failed += 1;
        Ok(())
    }

    /// A check of the replica whose turn it is, or of the next that answers.
    async fn ask(&mut self, first: usize) -> Result<(), Failure> {
        for (attempt, number) in in_turn(first, self.replicas.len()).enumerate() {
            let Some(replica) = self.replicas.get_mut(number) else { continue };
            match replica.check(&self.token).await {
                Ok(allowed) => {
                    self.tally.elsewhere += u64::from(attempt > 0);
                    let stale = self.known.is_some_and(|access| access != allowed);
                    self.tally.stale += u64::from(stale);
                    return Ok(());
                }
                Err(status) if is_away(&status) => {}
                Err(status) => return Err(status.into()),
            }
        }
        self.tally.failed += 1;
        Ok(())
    }

    fn say(&self, after: Duration) -> std::io::Result<()> {
        let answers: Vec<_> = self.replicas.iter().map(|replica| replica.answers.to_string()).collect();
        let Tally { changes, failed, elsewhere, stale } = &self.tally;
        writeln!(
            std::io::stdout(),
            "{:3} s: answers {}, of these by another replica {elsewhere}; changes {changes}; failed {failed}, stale {stale}",
            after.as_secs(),
            answers.join(" + "),
        )
    }
}

/// Each of so many, beginning with the one whose turn it is.
fn in_turn(first: usize, count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |next| (first + next) % count)
}

/// Whether another replica may do better.
fn is_away(status: &Status) -> bool {
    matches!(status.code(), Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown)
}

fn signed<T>(token: &MetadataValue<Ascii>, deadline: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.metadata_mut().insert("authorization", token.clone());
    request.set_timeout(deadline);
    request
}

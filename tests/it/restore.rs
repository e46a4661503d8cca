//! Backups: a replica that goes on running, or one that is pointed to another cluster, over a database of an earlier time.
//! Nothing that was read from the later one is answered, from memory or from Redis, and its tokens are not compared.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]
#![expect(clippy::disallowed_methods, reason = "a lease is real time")]

use std::time::{Duration, Instant};

use doorward::proto::access_service_client::AccessServiceClient;
use doorward::proto::{
    CheckAccessRequest, CheckAccessResponse, Consistency, Resource, ResumeTenantRequest, Subject,
    SuspendTenantRequest, UpdateTenantRequest, consistency::Requirement, subject::Kind,
};
use tonic::Status;
use tonic::transport::Channel;

use crate::binary::Server;
use crate::postgres;
use crate::redis::Redis;
use crate::serve::{create_tenant, environment, migrated, signed};

const LEASE: Duration = Duration::from_millis(500);
const PATIENCE: Duration = Duration::from_secs(30);

type Client = AccessServiceClient<Channel>;

fn start(url: &str, redis: &Redis) -> Server {
    let redis = redis.url();
    let mut environment = environment(url);
    environment.extend([
        ("DOORWARD_REDIS__URL", &*redis),
        ("DOORWARD_CACHE__LEASE_MS", "500"),
        ("DOORWARD_CACHE__POLL_MS", "50"),
        ("DOORWARD_CACHE__SUSPEND_MS", "300"),
    ]);
    Server::start(&["serve"], &environment)
}

async fn client(server: &Server) -> Client {
    AccessServiceClient::connect(server.address()).await.unwrap()
}

/// Whether ada may see the analytics: for as long as the tenant is not suspended.
async fn check(client: &mut Client, requirement: Option<Requirement>) -> Result<CheckAccessResponse, Status> {
    let request = CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(Subject { kind: Some(Kind::UserId("ada".to_owned())) }),
        action: "view".to_owned(),
        resource: Some(Resource { r#type: "section".to_owned(), id: "analytics".to_owned() }),
        consistency: Some(Consistency { requirement }),
        ..CheckAccessRequest::default()
    };
    Ok(client.check_access(signed(request)).await?.into_inner())
}

/// After the backup: suspended, which the replica has in memory and in Redis. It answers the revision that never was.
async fn suspend(client: &mut Client) -> String {
    let request = SuspendTenantRequest { tenant_id: "acme".to_owned(), ..Default::default() };
    let answer = client.suspend_tenant(signed(request)).await.unwrap().into_inner();
    assert!(answer.enforced);
    for _ in 0..3 {
        assert!(!check(client, None).await.unwrap().allowed);
    }
    answer.revision_token
}

/// Before the backup: allowed, and known to the replica.
async fn before(server: &Server) -> Client {
    create_tenant(server.address()).await;
    let mut client = client(server).await;
    assert!(check(&mut client, None).await.unwrap().allowed);
    client
}

/// A restart takes what it takes: until then there is no answer.
async fn answered(client: &mut Client, requirement: Option<Requirement>) {
    let end = Instant::now() + PATIENCE;
    while let Err(status) = check(client, requirement.clone()).await {
        assert!(Instant::now() < end, "{status:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Over the restored database, once a lease has ended: it is as it was, whatever is asked, and what changes is seen.
async fn as_it_was(client: &mut Client, later: String) {
    let token = Requirement::AtLeastAsFresh(later);
    answered(client, Some(Requirement::FullyConsistent(true))).await;
    tokio::time::sleep(LEASE).await;
    // Its revision is not reached here, and is of another epoch: otherwise this would be UNAVAILABLE.
    assert!(check(client, Some(token.clone())).await.unwrap().allowed);
    for _ in 0..3 {
        assert!(check(client, None).await.unwrap().allowed);
    }
    // The next revision has the number of the one that never was, and says nothing of what that said.
    let named = UpdateTenantRequest {
        tenant_id: "acme".to_owned(),
        name: "Acme again".to_owned(),
        update_mask: Some(prost_types::FieldMask { paths: vec!["name".to_owned()] }),
        ..Default::default()
    };
    client.update_tenant(signed(named)).await.unwrap();
    assert!(check(client, None).await.unwrap().allowed);
    let request = SuspendTenantRequest { tenant_id: "acme".to_owned(), ..Default::default() };
    assert!(client.suspend_tenant(signed(request)).await.unwrap().into_inner().enforced);
    assert!(!check(client, None).await.unwrap().allowed);
    let request = ResumeTenantRequest { tenant_id: "acme".to_owned(), ..Default::default() };
    assert!(client.resume_tenant(signed(request)).await.unwrap().into_inner().enforced);
    assert!(check(client, Some(token)).await.unwrap().allowed);
    assert!(check(client, None).await.unwrap().allowed);
}

fn block_on(work: impl Future<Output = ()>) {
    tokio::runtime::Runtime::new().unwrap().block_on(work);
}

#[test]
fn a_dump_restored_over_the_same_database_while_a_replica_runs_is_another_epoch() {
    let (cluster, redis) = (postgres::shared(), Redis::start(""));
    let url = migrated(cluster.fresh_database());
    let server = start(&url, &redis);
    block_on(async {
        let mut client = before(&server).await;
        let dump = cluster.dump(&url);
        let later = suspend(&mut client).await;
        cluster.restore(&url, &dump, &["--clean", "--if-exists", "--single-transaction"]);
        as_it_was(&mut client, later).await;
    });
}

#[test]
fn a_dump_restored_into_another_cluster_is_another_epoch() {
    let (old, new, redis) = (postgres::shared(), postgres::cluster(), Redis::start(""));
    let url = migrated(old.fresh_database());
    let server = start(&url, &redis);
    block_on(async {
        let mut client = before(&server).await;
        let dump = old.dump(&url);
        let later = suspend(&mut client).await;
        let restored = new.fresh_database();
        new.restore(&restored, &dump, &[]);
        // With the Redis of before, which is full of what was read there.
        let server = start(&restored, &redis);
        as_it_was(&mut self::client(&server).await, later).await;
    });
}

#[test]
fn a_data_directory_that_was_copied_is_another_epoch_over_the_same_address() {
    let (mut cluster, redis) = (postgres::cluster(), Redis::start(""));
    let url = migrated(cluster.fresh_database());
    let server = start(&url, &redis);
    block_on(async {
        let mut client = before(&server).await;
        cluster.copy_data();
        answered(&mut client, None).await;
        let later = suspend(&mut client).await;
        cluster.return_to_copy();
        as_it_was(&mut client, later).await;
    });
}

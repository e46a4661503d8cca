//! Postgres over TLS, as `database.url` says it: whom it trusts, and that another certificate needs no restart of ours.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, Instant};

use doorward::clock::Clock;
use doorward::store::sql;

use super::certificates::{Authority, Folder};
use crate::harness::{NOW, Server, start};
use crate::postgres::{self, Cluster};

const PATIENCE: Duration = Duration::from_secs(60);

/// Connections of ours that are open, and those of them without TLS.
const OURS: &str = "SELECT count(*) > 2, count(*) FILTER (WHERE NOT ssl) FROM pg_stat_ssl JOIN pg_stat_activity \
                    USING (pid) WHERE application_name LIKE 'doorward%'";

/// A cluster whose certificate is vouched for by an authority.
struct Secured {
    cluster: Cluster,
    folder: Folder,
}

fn set_mode(path: &Path, mode: u32) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}

impl Secured {
    fn start(ca: &Authority) -> Self {
        let folder = Folder::new();
        set_mode(folder.path(), 0o755);
        let (cert, key) = folder.write_pair(&ca.server());
        set_mode(&key, 0o600);
        Self { cluster: postgres::cluster_with_tls(&cert, &key), folder }
    }

    /// The server shows another certificate from now on. The files stay those that it may read.
    fn certify_anew(&mut self, ca: &Authority) {
        let pair = ca.server();
        std::fs::write(self.folder.path().join("tls.pem"), &pair.cert).unwrap();
        std::fs::write(self.folder.path().join("tls.key"), &pair.key).unwrap();
        self.cluster.restart();
    }
}

fn verified(url: &str, ca_file: &Path) -> String {
    format!("{url}?sslmode=verify-full&sslrootcert={}", ca_file.display())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_connection_to_postgres_is_verified_and_another_certificate_needs_no_restart() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let mut secured = Secured::start(&old);
    let trusted = Folder::new();
    let ca_file = trusted.write("ca.pem", &old.pem());
    let plain = secured.cluster.fresh_database();
    let url = verified(&plain, &ca_file);
    sql::migrate(&url).await.unwrap();
    let clock = Clock::manual(NOW);
    let (started, given) = (url.clone(), clock.clone());
    let running = tokio::task::spawn_blocking(move || start(&started, &given)).await.unwrap();
    let server = Server::over(running, &url, &clock).await;
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    assert!(server.check("acme", "acme-owner", "view", "section", "analytics").await.0);
    assert_eq!(secured.cluster.ask(&plain, OURS), "t|0");

    secured.certify_anew(&new);
    let refused = sql::migration_state(&url).await.unwrap_err().to_string();
    assert!(refused.to_lowercase().contains("certificate") && !refused.contains("postgres://"), "{refused}");
    trusted.write("ca.pem", &new.pem());
    sql::migration_state(&url).await.unwrap();
    let end = Instant::now() + PATIENCE;
    let request = || doorward::proto::GetTenantRequest { tenant_id: "acme".to_owned() };
    while server.operator().get_tenant(request()).await.is_err() {
        assert!(Instant::now() < end, "it does not connect again");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    server.user("acme", "cai").await;
    let end = Instant::now() + PATIENCE;
    while secured.cluster.ask(&plain, OURS) != "t|0" {
        assert!(Instant::now() < end, "{}", secured.cluster.ask(&plain, OURS));
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    tokio::task::spawn_blocking(move || server.running.stop()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_of_another_authority_or_name_is_refused_without_its_address() {
    let (ca, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let secured = Secured::start(&ca);
    let trusted = Folder::new();
    let (good, bad) = (trusted.write("ca.pem", &ca.pem()), trusted.write("foreign.pem", &foreign.pem()));
    let url = secured.cluster.fresh_database().replace("postgres@", "postgres:hunter2@");
    sql::migrate(&verified(&url, &good)).await.unwrap();
    let absent = trusted.path().join("absent.pem");
    for refused in [&bad, &absent] {
        let said = sql::migration_state(&verified(&url, refused)).await.unwrap_err().to_string();
        assert!(!said.contains("hunter2") && !said.contains("postgres:") && !said.is_empty(), "{said}");
        let said =
            crate::binary::run(&["migrate", "status", "--database-url", &verified(&url, refused)], &[]);
        assert!(said.code == Some(1) && !said.stderr.contains("hunter2"), "{said:?}");
    }
    let said = sql::migration_state(&verified(&url, &bad)).await.unwrap_err().to_string();
    assert!(said.to_lowercase().contains("certificate"), "{said}");
    // The address is in no name of the certificate.
    let other_name = verified(&url, &good).replace("127.0.0.1", "127.0.0.2");
    assert!(sql::migration_state(&other_name).await.is_err());
}

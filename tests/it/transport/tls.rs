//! TLS on the gRPC port: who is let in, and that new files are taken without a restart.

use std::time::{Duration, Instant};

use doorward::app::Running;
use doorward::proto::GetCatalogueRequest;
use doorward::proto::access_service_client::AccessServiceClient;
use doorward::settings::{ClientAuth, Settings};
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Error, Identity};
use tonic::{Code, Request};

use super::certificates::{Authority, Folder, Pair};
use super::counted;
use crate::binary;
use crate::harness::{NOW, TOKEN, start_with};
use crate::serve::environment;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server with TLS over a database of its own, and its files.
struct Shown {
    folder: Folder,
    running: Option<Running>,
}

impl Shown {
    async fn start(pair: Pair, client_auth: ClientAuth, client_ca: Option<&Authority>) -> Self {
        let client_ca = client_ca.map(Authority::pem);
        // A service has runtimes of its own.
        let started = tokio::task::spawn_blocking(move || Self::start_here(&pair, client_auth, client_ca));
        started.await.unwrap()
    }

    fn start_here(pair: &Pair, client_auth: ClientAuth, client_ca: Option<String>) -> Self {
        let folder = Folder::new();
        let (cert, key) = folder.write_pair(pair);
        let client_ca = client_ca.map(|ca| folder.write("clients.pem", &ca));
        let url = format!("sqlite://{}", folder.path().join("d.db").display());
        let running = start_with(&url, &doorward::clock::Clock::manual(NOW), |settings: &mut Settings| {
            settings.tls.cert_file = Some(cert);
            settings.tls.key_file = Some(key);
            settings.tls.client_auth = client_auth;
            settings.tls.client_ca_file = client_ca;
        });
        Self { folder, running: Some(running) }
    }

    fn running(&self) -> &Running {
        self.running.as_ref().unwrap()
    }

    /// A call over a new connection.
    async fn call(&self, ca: &Authority, identity: Option<&Pair>) -> Result<Code, Error> {
        call(&self.running().grpc.to_string(), ca, identity).await
    }

    async fn until(&self, what: &str, is_so: impl AsyncFn() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so().await {
            assert!(Instant::now() < end, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    }

    fn counted(&self, series: &str) -> f64 {
        counted(&self.running().admin.to_string(), series)
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        // It cannot end in a thread of the test's runtime.
        let running = self.running.take();
        let _ = std::thread::spawn(|| drop(running)).join();
    }
}

async fn channel(address: &str, ca: &Authority, identity: Option<&Pair>) -> Result<Channel, Error> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca.pem())).domain_name("localhost");
    let tls = match identity {
        Some(pair) => tls.identity(Identity::from_pem(&pair.cert, &pair.key)),
        None => tls,
    };
    Channel::from_shared(format!("https://{address}")).unwrap().tls_config(tls)?.connect().await
}

/// The code of a call; a handshake that is refused after the client's part is an error of the call, too.
async fn call(address: &str, ca: &Authority, identity: Option<&Pair>) -> Result<Code, Error> {
    let mut client = AccessServiceClient::new(channel(address, ca, identity).await?);
    let mut request = Request::new(GetCatalogueRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    Ok(client.get_catalogue(request).await.map_or_else(|status| status.code(), |_| Code::Ok))
}

const HANDSHAKES: &str = r#"doorward_connections_refused_total{reason="handshake"}"#;

fn is_served(answer: &Result<Code, Error>) -> bool {
    matches!(answer, Ok(Code::Ok))
}

#[tokio::test(flavor = "multi_thread")]
async fn who_trusts_the_authority_is_served_and_who_speaks_no_tls_is_not() {
    let (ca, foreign) = (Authority::new("ours"), Authority::new("foreign"));
    let shown = Shown::start(ca.server(), ClientAuth::None, None).await;
    assert!(is_served(&shown.call(&ca, None).await));
    assert!(!is_served(&shown.call(&foreign, None).await));
    let plain = Channel::from_shared(format!("http://{}", shown.running().grpc)).unwrap();
    let mut plain = AccessServiceClient::new(plain.connect_lazy());
    assert!(plain.get_catalogue(GetCatalogueRequest::default()).await.is_err());
    shown.until("the handshake is counted", async || shown.counted(HANDSHAKES) >= 1.0).await;
    // 2050-01-01.
    assert_eq!(shown.counted("doorward_tls_certificate_expiry_seconds"), 2_524_608_000.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_certificate_is_required_only_a_good_one_is_let_in() {
    let (ca, clients, foreign) =
        (Authority::new("ours"), Authority::new("clients"), Authority::new("foreign"));
    let shown = Shown::start(ca.server(), ClientAuth::Required, Some(&clients)).await;
    assert!(is_served(&shown.call(&ca, Some(&clients.client("spiffe://test/gateway"))).await));
    assert!(!is_served(&shown.call(&ca, None).await));
    assert!(!is_served(&shown.call(&ca, Some(&foreign.client("spiffe://test/gateway"))).await));
    assert!(!is_served(&shown.call(&ca, Some(&clients.expired_client())).await));
    // One for servers is none for clients.
    assert!(!is_served(&shown.call(&ca, Some(&clients.server())).await));
    shown.until("the handshakes are counted", async || shown.counted(HANDSHAKES) >= 4.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn where_a_certificate_is_optional_a_bad_one_is_worse_than_none() {
    let (ca, clients, foreign) =
        (Authority::new("ours"), Authority::new("clients"), Authority::new("foreign"));
    let shown = Shown::start(ca.server(), ClientAuth::Optional, Some(&clients)).await;
    assert!(is_served(&shown.call(&ca, None).await));
    assert!(is_served(&shown.call(&ca, Some(&clients.client("spiffe://test/gateway"))).await));
    assert!(!is_served(&shown.call(&ca, Some(&foreign.client("spiffe://test/gateway"))).await));
    assert!(!is_served(&shown.call(&ca, Some(&clients.expired_client())).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_certificate_is_shown_without_a_restart_and_a_bad_one_is_not() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let shown = Shown::start(old.server(), ClientAuth::None, None).await;
    let kept = channel(&shown.running().grpc.to_string(), &old, None).await.unwrap();
    shown.folder.write("tls.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let failed = r#"doorward_tls_reloads_total{outcome="failed"}"#;
    shown.until("the bad one is noticed", async || shown.counted(failed) >= 1.0).await;
    assert!(is_served(&shown.call(&old, None).await));
    // The key of another certificate.
    shown.folder.write("tls.pem", &old.server().cert);
    shown.until("the other key is noticed", async || shown.counted(failed) >= 2.0).await;
    assert!(is_served(&shown.call(&old, None).await));
    shown.folder.write_pair(&new.server());
    shown.until("the new one is shown", async || is_served(&shown.call(&new, None).await)).await;
    assert!(!is_served(&shown.call(&old, None).await));
    assert!(shown.counted(r#"doorward_tls_reloads_total{outcome="done"}"#) >= 1.0);
    // Those that were open stay.
    let mut request = Request::new(GetCatalogueRequest::default());
    request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
    AccessServiceClient::new(kept).get_catalogue(request).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn another_authority_of_clients_is_taken_without_a_restart() {
    let (ca, old, new) = (Authority::new("ours"), Authority::new("old"), Authority::new("new"));
    let shown = Shown::start(ca.server(), ClientAuth::Required, Some(&old)).await;
    let (of_old, of_new) = (old.client("spiffe://test/a"), new.client("spiffe://test/a"));
    assert!(
        is_served(&shown.call(&ca, Some(&of_old)).await) && !is_served(&shown.call(&ca, Some(&of_new)).await)
    );
    shown.folder.write("clients.pem", &new.pem());
    shown.until("the new one is let in", async || is_served(&shown.call(&ca, Some(&of_new)).await)).await;
    assert!(!is_served(&shown.call(&ca, Some(&of_old)).await));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_with_a_certificate_is_audited_with_its_address() {
    let (ca, clients) = (Authority::new("ours"), Authority::new("clients"));
    let shown = Shown::start(ca.server(), ClientAuth::Required, Some(&clients)).await;
    let identity = clients.client("spiffe://test/gateway");
    let channel = channel(&shown.running().grpc.to_string(), &ca, Some(&identity)).await.unwrap();
    let mut client = AccessServiceClient::with_interceptor(channel, |mut request: Request<()>| {
        request.metadata_mut().insert("authorization", format!("Bearer {TOKEN}").parse().unwrap());
        Ok(request)
    });
    let owner = doorward::proto::TenantOwner {
        user_id: "ada".to_owned(),
        email: "ada@acme.example".to_owned(),
        ..Default::default()
    };
    let create = doorward::proto::CreateTenantRequest {
        tenant_id: "acme".to_owned(),
        slug: "acme".to_owned(),
        name: "Acme".to_owned(),
        owner: Some(owner),
        ..Default::default()
    };
    client.create_tenant(create).await.unwrap();
    let list = doorward::proto::ListAuditEventsRequest { tenant_id: "acme".to_owned(), ..Default::default() };
    let events = client.list_audit_events(list).await.unwrap().into_inner();
    assert!(format!("{events:?}").contains("127.0.0.1:"), "{events:?}");
}

#[test]
fn a_file_that_cannot_be_used_is_named_at_the_start_and_not_repeated() {
    let folder = Folder::new();
    let (one, other) = (Authority::new("one").server(), Authority::new("other").server());
    let url = format!("sqlite://{}", folder.path().join("d.db").display());
    let good = folder.write("good.pem", &one.cert);
    let key = folder.write("good.key", &one.key);
    let empty = folder.write("empty.pem", "");
    let broken = folder.write("broken.key", &one.key.replace("MIG", "hunter2"));
    let foreign = folder.write("foreign.key", &other.key);
    let absent = folder.path().join("absent.pem");
    for (cert, key, expected) in [
        (&absent, &key, "tls.cert_file `"),
        (&empty, &key, "it holds no certificate in PEM"),
        (&good, &empty, "it holds no private key in PEM"),
        (&good, &broken, "tls.key_file `"),
        (&good, &foreign, "it is not the key of the certificate in tls.cert_file"),
        (&folder.path().to_owned(), &key, "it is not a file"),
    ] {
        let mut environment = environment(&url);
        environment.push(("DOORWARD_TLS__CERT_FILE", cert.to_str().unwrap()));
        environment.push(("DOORWARD_TLS__KEY_FILE", key.to_str().unwrap()));
        let said = binary::run(&["serve"], &environment);
        assert!(said.code == Some(1) && said.stderr.contains(expected), "{said:?}");
        assert!(!said.stderr.contains("hunter2") && said.stderr.contains("cannot be used: "), "{said:?}");
    }
}

#[test]
fn a_signal_has_the_files_read_at_once_and_a_service_with_tls_ends_cleanly() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let folder = Folder::new();
    let (cert, key) = folder.write_pair(&old.server());
    let url = format!("sqlite://{}", folder.path().join("d.db").display());
    let mut environment = environment(&url);
    environment.push(("DOORWARD_TLS__CERT_FILE", cert.to_str().unwrap()));
    environment.push(("DOORWARD_TLS__KEY_FILE", key.to_str().unwrap()));
    environment.push(("DOORWARD_AUTH__OPERATOR_TOKEN", TOKEN));
    let server = binary::Server::start(&["serve"], &environment);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    assert!(is_served(&runtime.block_on(call(&server.grpc, &old, None))));
    folder.write_pair(&new.server());
    server.signal("HUP");
    let end = Instant::now() + PATIENCE;
    while !is_served(&runtime.block_on(call(&server.grpc, &new, None))) {
        assert!(Instant::now() < end, "the new certificate is not shown");
    }
    let _open = runtime.block_on(channel(&server.grpc, &new, None)).unwrap();
    let (status, took) = server.stop();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(9), "{took:?}");
}

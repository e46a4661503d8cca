//! Services by their client certificates: a name that stands for one is as good as its secret, and no better.

use doorward::clock::Clock;
use doorward::proto::access_service_client::AccessServiceClient;
use doorward::proto::{CheckAccessRequest, GetTenantRequest};
use doorward::settings::ClientAuth;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Identity};
use tonic::{Code, Request};

use crate::binary;
use crate::harness::{self, NOW, TOKEN, refused, resource, user_subject};
use crate::transport::certificates::{Authority, Folder, Pair};

const SERVICES: &str =
    "[[service]]\nid = \"gateway\"\nnames = [\"uri:spiffe://test/gateway\"]\nscopes = [\"check\"]\n";

async fn client(address: &str, ca: &Authority, pair: Option<&Pair>) -> AccessServiceClient<Channel> {
    let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca.pem())).domain_name("localhost");
    let tls = match pair {
        Some(pair) => tls.identity(Identity::from_pem(&pair.cert, &pair.key)),
        None => tls,
    };
    let endpoint = Channel::from_shared(address.to_owned()).unwrap().tls_config(tls).unwrap();
    AccessServiceClient::new(endpoint.connect().await.unwrap())
}

fn question() -> CheckAccessRequest {
    CheckAccessRequest {
        tenant_id: "nowhere".to_owned(),
        subject: Some(user_subject("nobody")),
        action: "view".to_owned(),
        resource: Some(resource("section", "logs")),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_in_a_certificate_is_a_services_proof() {
    let (ca, clients, folder) = (Authority::new("ours"), Authority::new("clients"), Folder::new());
    let (cert, key) = folder.write_pair(&ca.server());
    let (services, client_ca) =
        (folder.write("services.toml", SERVICES), folder.write("ca.pem", &clients.pem()));
    let url = format!("sqlite://{}", folder.path().join("d.db").display());
    let started = tokio::task::spawn_blocking(move || {
        harness::start_with(&url, &Clock::manual(NOW), |settings| {
            (settings.tls.cert_file, settings.tls.key_file) = (Some(cert), Some(key));
            (settings.tls.client_ca_file, settings.tls.client_auth) = (Some(client_ca), ClientAuth::Optional);
            settings.auth.services_file = Some(services);
        })
    });
    let running = started.await.unwrap();
    let address = format!("https://localhost:{}", running.grpc.port());
    let pair = clients.client("spiffe://test/gateway");
    let mut gateway = client(&address, &ca, Some(&pair)).await;
    assert!(!gateway.check_access(question()).await.unwrap().into_inner().allowed);
    let get = GetTenantRequest { tenant_id: "nowhere".to_owned() };
    refused(gateway.get_tenant(get).await, Code::PermissionDenied, "PERMISSION_DENIED");
    // A token counts before the certificate: a wrong one is not made good by it.
    let mut wrong = Request::new(question());
    wrong.metadata_mut().insert("authorization", "Bearer dws_gateway_00".parse().unwrap());
    refused(gateway.check_access(wrong).await, Code::Unauthenticated, "UNAUTHENTICATED");
    for nobody in [None, Some(&clients.client("spiffe://test/other"))] {
        let mut nobody = client(&address, &ca, nobody).await;
        refused(nobody.check_access(question()).await, Code::Unauthenticated, "UNAUTHENTICATED");
    }
    let (ca_file, identity) = (
        folder.write("server-ca.pem", &ca.pem()),
        folder.write("me.pem", &format!("{}{}", pair.cert, pair.key)),
    );
    let said = tokio::task::spawn_blocking(move || {
        let texts = [ca_file.display().to_string(), identity.display().to_string()];
        let question = [
            "check", "--tenant", "acme", "--user", "u", "--action", "view", "--type", "section", "--id",
            "logs",
        ];
        let tls = ["--address", &address, "--ca-file", &texts[0], "--identity-file", &texts[1]];
        let by_certificate = binary::run(&[&question[..], &tls[..]].concat(), &[]);
        let by_token = binary::run(&[&question[..], &tls[..4]].concat(), &[("DOORWARD_TOKEN", TOKEN)]);
        drop(running);
        [by_certificate, by_token]
    });
    for said in said.await.unwrap() {
        assert_eq!((said.code, said.stdout.trim()), (Some(3), "denied TENANT_NOT_FOUND"), "{}", said.stderr);
    }
}

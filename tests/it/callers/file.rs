//! Services of the configuration: read at the start, and again when the file changes.

use std::path::Path;
use std::time::Duration;

use doorward::app;
use doorward::caller::secret;
use doorward::clock::Clock;
use doorward::settings::Settings;
use tonic::Code;

use super::checks;
use crate::harness::{self, NOW, Server, refused};

fn write(file: &Path, secret: &str, scope: &str) {
    let hash = secret::hex(&secret::hash(secret).0);
    let text =
        format!("[[service]]\nid = \"gateway\"\nsecrets = [\"sha256:{hash}\"]\nscopes = [\"{scope}\"]\n");
    std::fs::write(file, text).unwrap();
}

#[test]
fn a_service_of_the_file_calls_and_follows_the_file() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (database, file) = (directory.path().join("d.db"), directory.path().join("services.toml"));
    write(&file, "one", "check");
    let (url, clock) = (format!("sqlite://{}", database.display()), Clock::manual(NOW));
    let running =
        harness::start_with(&url, &clock, |settings| settings.auth.services_file = Some(file.clone()));
    let server = runtime.block_on(async {
        let server = Server::over(running, &url, &clock).await;
        server.tenant("acme").await;
        let (mut one, mut two) =
            (server.client("dws_gateway_one", None), server.client("dws_gateway_two", None));
        assert!(checks(&mut one, "acme").await.unwrap());
        refused(checks(&mut two, "acme").await, Code::Unauthenticated, "UNAUTHENTICATED");
        std::fs::write(&file, "[[service]]\nid = 7").unwrap();
        tokio::time::sleep(Duration::from_secs(5)).await;
        assert!(checks(&mut one, "acme").await.unwrap(), "what cannot be read changes nothing");
        write(&file, "two", "check");
        let mut is_two = false;
        for _ in 0..100 {
            is_two = checks(&mut two, "acme").await.is_ok();
            if is_two {
                break;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(is_two);
        refused(checks(&mut one, "acme").await, Code::Unauthenticated, "UNAUTHENTICATED");
        server
    });
    drop(server);
}

#[test]
fn a_server_that_nobody_could_call_does_not_start() {
    let directory = tempfile::tempdir().unwrap();
    let mut settings = Settings::default();
    settings.database.url = format!("sqlite://{}", directory.path().join("d.db").display()).into();
    let said = app::start(&settings, Clock::manual(NOW)).err().unwrap().to_string();
    assert!(said.contains("nobody could call"), "{said}");
    let file = directory.path().join("services.toml");
    settings.auth.services_file = Some(file.clone());
    let said = app::start(&settings, Clock::manual(NOW)).err().unwrap().to_string();
    assert!(said.contains("services.toml cannot be used"), "{said}");
    std::fs::write(&file, "[[service]]\nid = \"a\"\nscopes = [\"check\"]").unwrap();
    let said = app::start(&settings, Clock::manual(NOW)).err().unwrap().to_string();
    assert!(said.contains("service 1: `secrets`"), "{said}");
    std::fs::write(&file, "").unwrap();
    let said = app::start(&settings, Clock::manual(NOW)).err().unwrap().to_string();
    assert!(said.contains("names no service"), "{said}");
}

//! SIGHUP: limits and the log's level are taken by a running service, what needs a restart is named, and what cannot be
//! used changes nothing.

use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;

use doorward::proto::GetTenantRequest;
use doorward::proto::access_service_client::AccessServiceClient;
use tempfile::TempDir;
use tonic::Code;

use crate::binary::{Server, until};
use crate::serve::{environment, signed};
use crate::transport::counted;

const PATIENCE: Duration = Duration::from_secs(30);
const CALLS: u32 = 20;

/// A service with a file of settings, and its log.
struct Served {
    folder: TempDir,
    server: Server,
}

impl Served {
    fn start(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        std::fs::write(path("doorward.toml"), text).unwrap();
        let url = format!("sqlite://{}", path("d.db"));
        let log = File::create(path("log")).unwrap();
        let arguments = ["serve", "--config", &path("doorward.toml")];
        let mut server = Server::launch_logging_to(log.into(), &arguments, &environment(&url));
        server.wait_until_listening();
        Self { folder, server }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap()
    }

    /// New settings, a signal, and the wait for the outcome to be counted once more.
    fn reload(&self, text: &str, outcome: &str) {
        let series = format!("doorward_settings_reloads_total{{outcome=\"{outcome}\"}}");
        let counted = || counted(&self.server.admin, &series);
        let before = counted();
        std::fs::write(self.path("doorward.toml"), text).unwrap();
        self.server.signal("HUP");
        until(PATIENCE, "an outcome", || counted() > before);
        assert_eq!(counted(), before + 1.0);
    }

    /// Whether one of many calls in a row is turned away: with one a second, they would have to last as many seconds.
    fn is_limited(&self) -> bool {
        tokio::runtime::Runtime::new().unwrap().block_on(async {
            let mut client = AccessServiceClient::connect(self.server.address()).await.unwrap();
            for _ in 0..CALLS {
                let request = GetTenantRequest { tenant_id: "acme".to_owned() };
                match client.get_tenant(signed(request)).await.unwrap_err().code() {
                    Code::NotFound => {}
                    Code::ResourceExhausted => return true,
                    code => panic!("{code:?}"),
                }
            }
            false
        })
    }
}

#[test]
fn limits_and_the_logs_level_change_and_the_rest_is_named() {
    let served = Served::start("[log]\nlevel = \"error\"\n[server]\nworkers = 1\n");
    assert!(!served.is_limited());
    assert_eq!(served.log(), "");
    served.reload("[log]\nlevel = \"info\"\n[server]\nworkers = 2\n[limits]\nreads = 1\nwrites = 1\nin_flight = 1\nchecks = 1\n\
        tenant_calls_per_s = 1\n", "done");
    let log = served.log();
    let taken = "[\"limits.in_flight\", \"limits.checks\", \"limits.reads\", \"limits.writes\", \
                 \"limits.tenant_calls_per_s\", \"log.level\"]";
    assert!(log.contains("the settings were read again") && log.contains(taken), "{log}");
    assert!(log.contains("need a restart") && log.contains("[\"server.workers\"]"), "{log}");
    assert!(served.is_limited());

    // What cannot be used changes nothing, and its place is told.
    served.reload("[limits]\ntenant_calls_per_s = -1\n[server]\nlistne = \"x\"\n", "failed");
    let log = served.log();
    assert!(log.contains("doorward.toml:2: `limits.tenant_calls_per_s`: `-1` is not allowed"), "{log}");
    assert!(log.contains("doorward.toml:4: there is no setting `server.listne`"), "{log}");
    assert!(served.is_limited());

    // A limit that is taken out is the default's again.
    served.reload("", "done");
    assert!(!served.is_limited());
    let (status, _) = served.server.stop();
    assert_eq!(status.code(), Some(0));
}

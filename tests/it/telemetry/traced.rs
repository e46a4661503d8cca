//! A binary whose traces go to a receiver, and calls of it that are in a trace. It knows no promise.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use doorward::proto;
use doorward::proto::access_service_client::AccessServiceClient;
use tonic::transport::Channel;
use tonic::{Request, Status};

use crate::binary::{Server, get};
use crate::harness::{new_tenant, resource, user_subject};
use crate::serve::{environment, signed};
use crate::transport::counted;

/// The trace of a call of a test, by a number.
pub(crate) fn trace(number: u8) -> String {
    format!("{number:032x}")
}

/// The span that calls.
pub(crate) const SPAN: &str = "00000000000000b7";

/// A service and a connection to it.
pub(crate) struct Traced {
    pub(crate) server: Server,
    client: AccessServiceClient<Channel>,
}

impl Traced {
    /// The binary on a database, with settings more, its log in a file.
    pub(crate) async fn start(url: &str, settings: &[(&str, &str)], log: &Path) -> Self {
        let mut all = environment(url);
        all.extend([("DOORWARD_SERVER__WORKERS", "1"), ("DOORWARD_LIMITS__TENANT_CALLS_PER_S", "0")]);
        all.extend(settings);
        let mut server = Server::launch_logging_to(File::create(log).unwrap().into(), &["serve"], &all);
        server.wait_until_listening();
        let client = AccessServiceClient::connect(server.address()).await.unwrap();
        Self { server, client }
    }

    fn request<T>(message: T, parent: Option<&str>) -> Request<T> {
        let mut request = signed(message);
        if let Some(parent) = parent {
            request.metadata_mut().insert("traceparent", parent.parse().unwrap());
        }
        request
    }

    pub(crate) async fn create_tenant(&self, name: &str, parent: Option<&str>) {
        self.client.clone().create_tenant(Self::request(new_tenant(name), parent)).await.unwrap();
    }

    pub(crate) async fn suspend_tenant(&self, name: &str, parent: Option<&str>) {
        let message = proto::SuspendTenantRequest { tenant_id: name.to_owned(), ..Default::default() };
        self.client.clone().suspend_tenant(Self::request(message, parent)).await.unwrap();
    }

    pub(crate) async fn check(
        &self,
        tenant: &str,
        user: &str,
        parent: Option<&str>,
    ) -> Result<proto::CheckAccessResponse, Status> {
        let message = proto::CheckAccessRequest {
            tenant_id: tenant.to_owned(),
            subject: Some(user_subject(user)),
            action: "view".to_owned(),
            resource: Some(resource("section", "logs")),
            ..Default::default()
        };
        Ok(self.client.clone().check_access(Self::request(message, parent)).await?.into_inner())
    }

    pub(crate) async fn batch(&self, tenant: &str, user: &str, parent: Option<&str>) {
        let check = proto::Check { action: "view".to_owned(), resource: Some(resource("section", "logs")) };
        let message = proto::BatchCheckAccessRequest {
            tenant_id: tenant.to_owned(),
            subject: Some(user_subject(user)),
            checks: vec![check.clone(), check],
            ..Default::default()
        };
        self.client.clone().batch_check_access(Self::request(message, parent)).await.unwrap();
    }

    /// The traces of a tenant's log, the oldest first.
    pub(crate) async fn logged_traces(&self, tenant: &str) -> Vec<String> {
        let message = proto::ListAuditEventsRequest { tenant_id: tenant.to_owned(), ..Default::default() };
        let answer = self.client.clone().list_audit_events(Self::request(message, None)).await.unwrap();
        answer.into_inner().events.into_iter().map(|event| event.trace_id).collect()
    }

    pub(crate) fn metrics(&self) -> String {
        get(&self.server.admin, "/metrics").1
    }

    /// The value of a series.
    pub(crate) fn counted(&self, series: &str) -> f64 {
        counted(&self.server.admin, series)
    }

    /// Calls again and again until a series has counted something.
    pub(crate) async fn call_until(&self, series: &str, call: impl AsyncFn(&Self)) {
        for _ in 0..1_000 {
            call(self).await;
            if self.counted(series) > 0.0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{series} has counted nothing in {}", self.metrics());
    }
}

//! A client of a running service. Its errors say what to do next.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use secrecy::{ExposeSecret, SecretString};
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use super::output::Format;
use super::{Failure, runtime};
use crate::proto::access_service_client::AccessServiceClient;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// Which service to ask, and as whom.
#[derive(Args, Clone, Debug)]
pub(super) struct Connection {
    /// Where the service answers.
    #[arg(long, env = "DOORWARD_ADDRESS", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    address: String,
    /// The token of the operator or a service. In the environment it cannot be seen by others on this machine.
    #[arg(allow_hyphen_values = true, long, env = "DOORWARD_TOKEN", hide_env_values = true)]
    token: Option<SecretString>,
    /// For https://: a PEM file of the authorities that the service's certificate is to come from.
    #[arg(long, env = "DOORWARD_CA_FILE", value_name = "FILE")]
    ca_file: Option<PathBuf>,
    /// For https://: a PEM file with a client certificate and its key.
    #[arg(long, env = "DOORWARD_IDENTITY_FILE", value_name = "FILE", requires = "ca_file")]
    identity_file: Option<PathBuf>,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    pub(super) output: Format,
}

/// A connected client.
pub(super) type Client = AccessServiceClient<InterceptedService<Channel, Bearer>>;

/// Adds the token to each call.
#[derive(Clone)]
pub(super) struct Bearer(Option<MetadataValue<Ascii>>);

impl Interceptor for Bearer {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(bearer) = &self.0 {
            request.metadata_mut().insert("authorization", bearer.clone());
        }
        Ok(request)
    }
}

impl Connection {
    /// To an address, with a token.
    pub(super) fn to(address: String, token: SecretString) -> Self {
        Self { address, token: Some(token), ca_file: None, identity_file: None, output: Format::Text }
    }

    /// To an address, for what needs no token.
    pub(super) fn unsigned(
        address: String,
        ca_file: Option<PathBuf>,
        identity_file: Option<PathBuf>,
    ) -> Self {
        Self { address, token: None, ca_file, identity_file, output: Format::Text }
    }

    /// Connects, and does something with the client.
    pub(super) fn run<T, F>(&self, work: impl FnOnce(Client) -> F) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let bearer = Bearer(self.bearer()?);
        runtime()?.block_on(async {
            work(AccessServiceClient::with_interceptor(self.connected().await?, bearer)).await
        })
    }

    /// Connects, and does something with the connection itself, all of it within so long.
    pub(super) fn run_within<T, F>(
        &self,
        within: Duration,
        work: impl FnOnce(Channel) -> F,
    ) -> Result<T, Failure>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let silent = || Failure(format!("no answer from {} within {} ms", self.address, within.as_millis()));
        runtime()?.block_on(async {
            let worked = timeout(within, async { work(self.connected().await?).await }).await;
            worked.unwrap_or_else(|_| Err(silent()))
        })
    }

    async fn connected(&self) -> Result<Channel, Failure> {
        self.endpoint()?.connect().await.map_err(|error| self.unreachable(&error))
    }

    fn endpoint(&self) -> Result<Endpoint, Failure> {
        let refused = || {
            Failure(format!(
                "`{}` is not an address; allowed: http://HOST:PORT, and https://HOST:PORT with --ca-file (--address, \
                 DOORWARD_ADDRESS)",
                self.address
            ))
        };
        let endpoint = Endpoint::from_shared(self.address.clone()).map_err(|_| refused())?;
        let endpoint = match (self.address.split_once("://"), &self.ca_file) {
            (Some(("http", _)), None) => endpoint,
            (Some(("https", _)), Some(ca_file)) => endpoint.tls_config(self.tls(ca_file)?)?,
            _ => return Err(refused()),
        };
        Ok(endpoint.connect_timeout(CONNECT_TIMEOUT).timeout(CALL_TIMEOUT).tcp_nodelay(true))
    }

    fn tls(&self, ca_file: &Path) -> Result<ClientTlsConfig, Failure> {
        let read = |file: &Path| {
            std::fs::read(file)
                .map_err(|error| Failure(format!("{} cannot be read: {error}", file.display())))
        };
        let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(ca_file)?));
        match &self.identity_file {
            None => Ok(tls),
            Some(file) => {
                let pem = read(file)?;
                Ok(tls.identity(Identity::from_pem(&pem, &pem)))
            }
        }
    }

    fn bearer(&self) -> Result<Option<MetadataValue<Ascii>>, Failure> {
        let Some(token) = &self.token else {
            return Ok(None);
        };
        let text = format!("Bearer {}", token.expose_secret());
        let mut value = MetadataValue::try_from(text).map_err(|_| {
            Failure("the token (--token, DOORWARD_TOKEN) has characters that a token cannot have".to_owned())
        })?;
        value.set_sensitive(true);
        Ok(Some(value))
    }

    fn unreachable(&self, error: &tonic::transport::Error) -> Failure {
        Failure(format!(
            "no service answers at {}: {}\n\
             Start one with `doorward demo` (to try) or `doorward serve`, or name another with --address or DOORWARD_ADDRESS.",
            self.address,
            innermost(error)
        ))
    }
}

fn innermost(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// What a call failed with, and what to do about it.
pub(super) fn refused(status: &Status) -> Failure {
    let violations = status.get_details_bad_request().map(|bad| bad.field_violations);
    let lines = violations.unwrap_or_default().into_iter();
    let lines = lines.map(|violation| format!("\n  {}: {}", violation.field, violation.description));
    let mut what: String = lines.collect();
    if what.is_empty() {
        what = format!(" {}", status.message());
    }
    let mut text = format!("{}:{what}", status.code().description());
    let hint = match status.code() {
        Code::Unauthenticated => {
            "\nGive a token with DOORWARD_TOKEN or --token, the operator's or a service's: `doorward demo` prints one as \
             `token=…`, and `doorward serve` has the operator's from DOORWARD_AUTH__OPERATOR_TOKEN."
        }
        Code::Unavailable => "\nNothing was decided: this is neither yes nor no. Try again in a moment.",
        Code::Unimplemented => "\nThe service is of another version than this command.",
        _ => "",
    };
    text.push_str(hint);
    Failure(text)
}

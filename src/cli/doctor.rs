//! `doctor`: a line for everything that a service needs, and what to do where it is not there.

use std::time::Duration;

use clap::Args;

use super::health::{self, Tls};
use super::output::{self, Format};
use super::serve::Source;
use super::{Exit, Failure, runtime};
use crate::app::doctor::{Finding, Verdict, examine};
use crate::clock::Clock;

/// How long a service may take to tell its health.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

/// Arguments of `doctor`.
#[derive(Args, Debug)]
pub(super) struct Arguments {
    #[command(flatten)]
    source: Source,
    /// Ask the health of a service that runs, too: http://HOST:PORT or https://HOST:PORT.
    #[arg(long, value_name = "URL")]
    address: Option<String>,
    #[command(flatten)]
    tls: Tls,
    /// The form of the answer.
    #[arg(long, value_enum, default_value_t)]
    output: Format,
}

/// Looks at everything, prints it, and fails where something would not work.
pub(super) fn run(arguments: &Arguments) -> Result<Exit, Failure> {
    let mut findings = match arguments.source.load(&[]) {
        Ok(settings) => runtime()?.block_on(examine(&settings, &Clock::real())),
        // All else is as `serve` would have it only with settings.
        Err(error) => error.to_string().lines().map(|line| Finding::failed("settings", line)).collect(),
    };
    if let Some(address) = &arguments.address {
        findings.push(answering(address, &arguments.tls));
    }
    match arguments.output {
        Format::Text => findings.iter().for_each(|finding| output::line(&line(finding))),
        Format::Json => output::line(&json(&findings)),
    }
    let failed = findings.iter().filter(|finding| finding.verdict == Verdict::Failed).count();
    if failed > 0 {
        return Err(Failure(format!("{failed} of {} checks failed", findings.len())));
    }
    Ok(Exit::Done)
}

fn answering(address: &str, tls: &Tls) -> Finding {
    match health::over_grpc(address, tls, ANSWER_TIMEOUT) {
        Ok(true) => Finding::ok("grpc", format!("{address} answers, and is ready")),
        Ok(false) => Finding::failed("grpc", format!("{address} answers, and is not ready: ask its /readyz")),
        Err(Failure(what)) => Finding::failed("grpc", what),
    }
}

fn name(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Ok => "ok",
        Verdict::Warning => "warning",
        Verdict::Failed => "failed",
        Verdict::Skipped => "skipped",
    }
}

fn line(finding: &Finding) -> String {
    format!("{:<8} {:<12} {}", name(finding.verdict), finding.about, finding.what.replace('\n', " "))
}

fn json(findings: &[Finding]) -> String {
    let one = |finding: &Finding| {
        let Finding { about, verdict, what } = finding;
        serde_json::json!({ "about": about, "verdict": name(*verdict), "what": what })
    };
    let findings: Vec<_> = findings.iter().map(one).collect();
    serde_json::json!({ "findings": findings }).to_string()
}

//! The first five minutes: `demo` answers the questions that it prints as it says, and leaves nothing behind.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on must fail")]

use std::process::{Command, Stdio};
use std::time::Duration;

use doorward::cli::questions::QUESTIONS;
use doorward::proto::access_service_client::AccessServiceClient;
use doorward::proto::{CheckAccessRequest, CheckAccessResponse, Resource, Subject, subject};

use crate::binary::{Server, get, run};

pub(crate) const FREE_PORTS: [&str; 5] = ["demo", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"];

/// A demo, and all that it printed after the line `listening`.
pub(crate) fn start(environment: &[(&str, &str)]) -> (Server, Vec<String>) {
    let mut server = Server::start(&FREE_PORTS, environment);
    let lines = server.lines_until(|line| line.starts_with("# Why? "));
    (server, lines)
}

/// The token that it printed.
pub(crate) fn token(lines: &[String]) -> String {
    lines.iter().find_map(|line| line.strip_prefix("token=")).unwrap().to_owned()
}

/// What is printed for a paste, and what is printed to expect.
fn printed<'a>(lines: &'a [String], command: &str) -> Vec<(&'a str, &'a str)> {
    let pairs = lines.iter().zip(lines.iter().skip(1));
    let mine = pairs.filter(|(line, _)| line.starts_with(command));
    mine.map(|(line, answer)| (line.as_str(), answer.strip_prefix("#> ").unwrap())).collect()
}

#[test]
fn each_printed_command_gives_the_printed_answer() {
    let (_server, lines) = start(&[]);
    let setup = lines.iter().find(|line| line.starts_with("export ")).unwrap();
    let commands = printed(&lines, "doorward check ");
    assert_eq!(commands.len(), QUESTIONS.len());
    for (command, expected) in commands {
        let script = format!("{setup}\n{command}\n");
        let mut shell = Command::new("/bin/sh");
        let output = shell.args(["-c", &script]).stdin(Stdio::null()).output().unwrap();
        let (stdout, stderr) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert_eq!(stdout.trim_end(), expected, "{command}: {stderr}");
        let code = if expected.starts_with("allowed ") { 0 } else { 3 };
        assert_eq!(output.status.code(), Some(code), "{command}");
    }
}

#[tokio::test]
async fn each_printed_grpcurl_question_gives_the_printed_answer() {
    let (server, lines) = tokio::task::spawn_blocking(|| start(&[])).await.unwrap();
    let token = token(&lines);
    let mut client = AccessServiceClient::connect(server.address()).await.unwrap();
    let commands = printed(&lines, "grpcurl ");
    assert_eq!(commands.len(), QUESTIONS.len());
    for (command, expected) in commands {
        assert!(
            command.contains(&format!(" {} doorward.v1.AccessService/CheckAccess", server.grpc)),
            "{command}"
        );
        let body = command.split('\'').nth(1).unwrap();
        let mut request = tonic::Request::new(request(body));
        request.metadata_mut().insert("authorization", format!("Bearer {token}").parse().unwrap());
        let response = client.check_access(request).await.unwrap().into_inner();
        assert_eq!(shown(&response), expected, "{command}");
    }
}

fn request(json: &str) -> CheckAccessRequest {
    let json: serde_json::Value = serde_json::from_str(json).unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let who = &json["subject"];
    let kind = match who.get("user_id") {
        Some(user) => subject::Kind::UserId(text(user)),
        None => subject::Kind::MemberId(text(&who["member_id"])),
    };
    let resource = &json["resource"];
    CheckAccessRequest {
        tenant_id: text(&json["tenant_id"]),
        subject: Some(Subject { kind: Some(kind) }),
        action: text(&json["action"]),
        resource: Some(Resource { r#type: text(&resource["type"]), id: text(&resource["id"]) }),
        ..CheckAccessRequest::default()
    }
}

fn shown(response: &CheckAccessResponse) -> String {
    let (reason, hide) = (response.reason().as_str_name(), response.hide);
    format!(r#""allowed": {}, "reason": "{reason}", "hide": {hide}"#, response.allowed)
}

#[test]
fn it_ends_at_once_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (server, _) = start(&[("TMPDIR", folder.path().to_str().unwrap())]);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let (status, took) = server.stop();
    assert_eq!(status.code(), Some(0));
    assert!(took < Duration::from_secs(10), "{took:?}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn its_probes_and_metrics_answer() {
    let (server, lines) = start(&[]);
    assert_eq!(get(&server.admin, "/livez").0, 200);
    assert_eq!(get(&server.admin, "/readyz"), (200, "ready\n".to_owned()));
    let (address, token) = (server.address(), token(&lines));
    let environment = [("DOORWARD_ADDRESS", address.as_str()), ("DOORWARD_TOKEN", token.as_str())];
    let question = ["check", "--tenant", "acme", "--user", "ada", "--action", "view", "--type", "section"];
    assert_eq!(run(&[&question[..], &["--id", "traces"]].concat(), &environment).code, Some(0));
    let (status, text) = get(&server.admin, "/metrics");
    assert_eq!(status, 200);
    for expected in [
        "doorward_build_info{version=",
        r#"doorward_checks_total{decision="allowed",reason="ROLE_ADMIN",tier="store"} 1"#,
        r#"rpc_server_call_duration_seconds_count{rpc="CheckAccess",code="OK"} 1"#,
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn it_listens_on_this_machine_only() {
    for flag in ["--listen", "--admin-listen"] {
        let said = run(&["demo", flag, "0.0.0.0:0"], &[]);
        assert_eq!(said.code, Some(1));
        assert!(said.stderr.contains("this machine only; allowed: 127.0.0.1:PORT"), "{said:?}");
        assert!(said.stdout.is_empty());
    }
}

#[test]
fn a_port_that_is_taken_is_told_with_a_way_out() {
    let (server, _) = start(&[]);
    let said = run(&["demo", "--listen", &server.grpc, "--admin-listen", "127.0.0.1:0"], &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains(&server.grpc) && said.stderr.contains("--listen 127.0.0.1:0"), "{said:?}");
}

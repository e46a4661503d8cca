//! What the operator sets, through the real binary: unknown keys, missing ones, and the order of the layers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on must fail")]

use std::path::PathBuf;

use tempfile::TempDir;

use crate::binary::{Server, run};

const TOKEN: (&str, &str) = ("DOORWARD_AUTH__OPERATOR_TOKEN", "0123456789abcdef0123456789abcdef");

fn file(text: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("doorward.toml");
    std::fs::write(&path, text).unwrap();
    (folder, path)
}

#[test]
fn an_unknown_key_stops_the_start_and_is_named() {
    let (_folder, path) = file("[server]\nlistne = \"127.0.0.1:0\"\n");
    let said = run(&["serve", "--config", path.to_str().unwrap()], &[("DOORWARD_SERVER_LISTEN", "x")]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    for expected in [
        "doorward.toml:2: there is no setting `server.listne`; did you mean server.listen?",
        "environment variable DOORWARD_SERVER_LISTEN: there is no such setting; did you mean DOORWARD_SERVER__LISTEN?",
        "server.workers",
    ] {
        assert!(said.stderr.contains(expected), "{expected}: {said:?}");
    }
}

#[test]
fn what_is_missing_is_named_with_the_way_to_set_it() {
    let said = run(&["serve"], &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("DOORWARD_DATABASE__URL"), "{said:?}");
    assert!(said.stderr.contains("DOORWARD_AUTH__OPERATOR_TOKEN"), "{said:?}");
    let said = run(&["serve", "--database-url", "postgres://127.0.0.1:1/d"], &[TOKEN]);
    assert!(said.code == Some(1) && said.stderr.contains("DOORWARD_KEYS__ROOT"), "{said:?}");
    let said = run(&["migrate", "status"], &[]);
    assert!(said.code == Some(1) && said.stderr.contains("DOORWARD_DATABASE__URL"), "{said:?}");
}

#[test]
fn a_wrong_secret_is_refused_and_not_repeated() {
    let said = run(
        &["serve"],
        &[("DOORWARD_AUTH__OPERATOR_TOKEN", "hunter2"), ("DOORWARD_DATABASE__URL", "hunter2")],
    );
    assert!(said.code == Some(1) && !said.stderr.contains("hunter2"), "{said:?}");
    assert!(said.stderr.contains("16 to 512 visible ASCII characters"), "{said:?}");
}

#[test]
fn a_flag_overrides_the_environment_and_that_the_file() {
    let (folder, path) = file("[server]\nlisten = \"127.0.0.1:1\"\n[admin]\nlisten = \"127.0.0.1:1\"\n");
    let url = format!("sqlite://{}", folder.path().join("d.db").display());
    let environment = [
        TOKEN,
        ("DOORWARD_DATABASE__URL", url.as_str()),
        ("DOORWARD_ADMIN__LISTEN", "127.0.0.1:0"),
        ("DOORWARD_SERVER__LISTEN", "127.0.0.1:2"),
    ];
    let server = Server::start(
        &["serve", "--config", path.to_str().unwrap(), "--listen", "127.0.0.1:0"],
        &environment,
    );
    assert!(!server.grpc.ends_with(":1") && !server.grpc.ends_with(":2"), "{}", server.grpc);
    assert!(!server.admin.ends_with(":1"), "{}", server.admin);
}

#[test]
fn the_example_is_a_file_that_works() {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/doorward.example.toml");
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("d.db").display());
    let arguments = [
        "serve",
        "--config",
        example,
        "--database-url",
        &url,
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let (status, _) = Server::start(&arguments, &[TOKEN]).stop();
    assert_eq!(status.code(), Some(0));
}

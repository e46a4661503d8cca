//! `doorward doctor` and `doorward settings`: what is wrong is named with what to do, and no secret is shown.

use crate::binary::{Said, Server, run};
use crate::postgres;
use crate::serve::{ROOT, TOKEN, environment};

/// The verdict about something.
fn verdict<'a>(said: &'a Said, about: &str) -> &'a str {
    let line = said.stdout.lines().find(|line| line.split_whitespace().nth(1) == Some(about));
    line.and_then(|line| line.split_whitespace().next()).unwrap_or_else(|| panic!("{about}: {said:?}"))
}

fn shows(said: &Said, secret: &str) -> bool {
    said.stdout.contains(secret) || said.stderr.contains(secret)
}

#[test]
fn a_deployment_on_postgres_is_looked_at_from_end_to_end() {
    let cluster = postgres::shared();
    let url = cluster.fresh_database();
    let mut environment = environment(&url);
    environment.push(("DOORWARD_DATABASE__DIRECT_URL", &url));
    let said = run(&["doctor"], &environment);
    assert_eq!((said.code, verdict(&said, "schema"), verdict(&said, "database")), (Some(1), "failed", "ok"));
    assert!(said.stdout.contains("the schema is missing: run `doorward migrate up`"), "{said:?}");
    assert!(said.stderr.contains("1 of "), "{said:?}");

    assert_eq!(run(&["migrate", "up"], &environment).code, Some(0));
    let server = Server::start(&["serve"], &environment);
    let address = server.address();
    let said = run(&["doctor", "--address", &address], &environment);
    assert_eq!(said.code, Some(0), "{said:?}");
    for about in [
        "settings",
        "keys",
        "callers",
        "tls",
        "catalogue",
        "database",
        "schema",
        "permissions",
        "clock",
        "redis",
    ] {
        assert_eq!(verdict(&said, about), "ok", "{said:?}");
    }
    assert!(said.stdout.contains("PostgreSQL ") && said.stdout.contains("answers, and is ready"), "{said:?}");
    assert!(![TOKEN, ROOT, url.as_str()].iter().any(|secret| shows(&said, secret)), "{said:?}");

    // A role that may only read, and a Redis and a service that are not there.
    cluster.ask(&url, "CREATE ROLE weak LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO weak");
    let weak = url.replace("postgres@", "weak@");
    let other = cluster.fresh_database();
    let environment = [
        &environment[..],
        &[
            ("DOORWARD_DATABASE__URL", weak.as_str()),
            ("DOORWARD_DATABASE__DIRECT_URL", other.as_str()),
            ("DOORWARD_REDIS__URL", "redis://:hunter2@127.0.0.1:1"),
            ("DOORWARD_TLS__CERT_FILE", "/nowhere/cert.pem"),
            ("DOORWARD_CATALOGUE__FILE", "/nowhere/catalogue.toml"),
        ],
    ]
    .concat();
    let said = run(&["doctor", "--address", "http://127.0.0.1:1", "--output", "json"], &environment);
    assert_eq!(said.code, Some(1), "{said:?}");
    let answer: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    let failed = |finding: &&serde_json::Value| finding["verdict"] == "failed";
    let failed: Vec<_> = answer["findings"].as_array().unwrap().iter().filter(failed).collect();
    let about: Vec<_> = failed.iter().map(|finding| finding["about"].as_str().unwrap()).collect();
    assert_eq!(about, ["settings", "catalogue", "permissions", "direct url", "redis", "grpc"], "{said:?}");
    assert!(said.stdout.contains("DELETE on member") && said.stdout.contains("another database"), "{said:?}");
    assert!(!shows(&said, "hunter2"), "{said:?}");
}

#[test]
fn a_deployment_on_sqlite_is_looked_at_and_nothing_is_made() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("d.db").display());
    let said = run(&["doctor"], &environment(&url));
    assert_eq!(
        (said.code, verdict(&said, "schema"), verdict(&said, "keys")),
        (Some(0), "ok", "ok"),
        "{said:?}"
    );
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    let server = Server::start(&["serve"], &environment(&url));
    let said = run(&["doctor", "--address", &server.address()], &environment(&url));
    assert_eq!(
        (said.code, verdict(&said, "schema"), verdict(&said, "grpc")),
        (Some(0), "ok", "ok"),
        "{said:?}"
    );
    let said = run(&["doctor"], &[("DOORWARD_SERVER__LISTNE", "x")]);
    assert_eq!((said.code, verdict(&said, "settings")), (Some(1), "failed"), "{said:?}");
    let said = run(&["doctor", "--database-url", "postgres://u:hunter2@127.0.0.1:1/d"], &[]);
    assert_eq!((said.code, verdict(&said, "database")), (Some(1), "failed"), "{said:?}");
    assert!(!shows(&said, "hunter2"), "{said:?}");
}

#[test]
fn the_settings_in_effect_are_a_file_that_serves_once_the_secrets_are_given() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}", folder.path().join("d.db").display());
    let said = run(&["settings", "--effective"], &environment(&url));
    assert_eq!(said.code, Some(0));
    assert!(!shows(&said, TOKEN) && !shows(&said, &url), "{said:?}");
    assert!(
        said.stdout.contains("listen = \"127.0.0.1:0\"  # environment variable DOORWARD_SERVER__LISTEN\n"),
        "{said:?}"
    );
    let file = folder.path().join("effective.toml");
    std::fs::write(&file, &said.stdout).unwrap();
    let file = file.display().to_string();
    let secrets = [("DOORWARD_AUTH__OPERATOR_TOKEN", TOKEN), ("DOORWARD_DATABASE__URL", url.as_str())];
    let (status, _) = Server::start(&["serve", "--settings", &file], &secrets).stop();
    assert_eq!(status.code(), Some(0));
    let again = run(&["settings", "--effective", "--settings", &file], &secrets);
    assert!(again.stdout.contains(&format!("listen = \"127.0.0.1:0\"  # {file}:2\n")), "{again:?}");

    let said = run(&["settings"], &[]);
    assert!(
        said.code == Some(0) && said.stdout.contains("DOORWARD_SERVER__GRACE_MS; default: 10000"),
        "{said:?}"
    );
    let said = run(&["settings", "--effective"], &[("DOORWARD_SERVER__WORKERS", "many")]);
    assert!(said.code == Some(1) && said.stderr.contains("DOORWARD_SERVER__WORKERS: `many`"), "{said:?}");
}

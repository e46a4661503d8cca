//! What the settings promise: layers, teaching errors, secrets that are not repeated, a complete example.

use std::ffi::OsString;

use super::*;

fn environment(variables: &[(&str, &str)]) -> Vec<environment::Variable> {
    variables.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
}

pub(super) fn of_file(text: &str) -> Result<Settings, Error> {
    Settings::compose(Some((Path::new("doorward.toml"), text)), Vec::new(), &[])
}

pub(super) fn of_environment(variables: &[(&str, &str)]) -> Result<Settings, Error> {
    Settings::compose(None, environment(variables), &[])
}

fn said(result: Result<Settings, Error>) -> String {
    result.expect_err("must be refused").to_string()
}

pub(super) fn is_default(settings: &Settings) -> bool {
    format!("{settings:?}") == format!("{:?}", Settings::default())
}

#[test]
fn each_layer_overrides_the_one_before() {
    let file = "[server]\nlisten = \"0.0.0.0:1\"\nworkers = 2\ngrace_ms = 3\n";
    let variables = [("DOORWARD_SERVER__LISTEN", "0.0.0.0:2"), ("DOORWARD_SERVER__WORKERS", "4")];
    let flags = [Flag { flag: "--listen", key: "server.listen", value: "0.0.0.0:3".to_owned() }];
    let file = Some((Path::new("f.toml"), file));
    let settings = Settings::compose(file, environment(&variables), &flags).unwrap();
    assert_eq!(settings.server.listen.port(), 3);
    assert_eq!(settings.server.workers, 4);
    assert_eq!(settings.server.grace_ms, 3);
    assert_eq!(settings.admin.listen.port(), 9090);
}

/// Another value than the default, for every setting.
pub(super) const VALUES: [(&str, &str); 57] = [
    ("server.listen", "[::1]:7"),
    ("server.workers", "3"),
    ("server.grace_ms", "1"),
    ("server.connections_max", "10"),
    ("server.streams_max", "1"),
    ("server.connection_age_s", "60"),
    ("server.greeting_ms", "100"),
    ("server.stall_ms", "100"),
    ("tls.cert_file", "/cert.pem"),
    ("tls.key_file", "/key.pem"),
    ("tls.client_ca_file", "/clients.pem"),
    ("tls.client_auth", "required"),
    ("admin.listen", "0.0.0.0:0"),
    ("database.url", "sqlite:///tmp/d.db"),
    ("database.reads_max", "2"),
    ("database.writes_max", "3"),
    ("database.direct_url", "postgres://h/d"),
    ("redis.url", "rediss+sentinel://u:p@h1,h2/master"),
    ("redis.ca_file", "/ca.pem"),
    ("redis.ttl_s", "60"),
    ("cache.near_mb", "1"),
    ("cache.lease_ms", "100"),
    ("cache.poll_ms", "5"),
    ("cache.suspend_ms", "50"),
    ("cache.coherence", "wait_only"),
    ("cache.stale_ms", "1"),
    ("limits.in_flight", "1"),
    ("limits.checks", "2"),
    ("limits.reads", "3"),
    ("limits.writes", "4"),
    ("limits.streams", "5"),
    ("limits.loads", "12"),
    ("limits.check_deadline_ms", "6"),
    ("limits.admin_deadline_ms", "7"),
    ("limits.tenant_calls_per_s", "8"),
    ("limits.tenant_checks_per_s", "9"),
    ("limits.accepts_per_s", "11"),
    ("auth.operator_token", "0123456789abcdef"),
    ("auth.services_file", "/etc/services.toml"),
    ("auth.oidc_issuer", "https://id.example/realm"),
    ("auth.oidc_audience", "doorward"),
    ("auth.oidc_jwks_url", "http://127.0.0.1:1/keys"),
    ("auth.oidc_algorithms", "PS256,EdDSA"),
    ("auth.oidc_ca_file", "/ca.pem"),
    ("keys.root", "/k"),
    ("keys.previous", "file:k"),
    ("catalogue.file", "c.toml"),
    ("policy.trial_days", "1"),
    ("policy.grace_days", "2"),
    ("policy.invitation_hours", "3"),
    ("log.format", "json"),
    ("log.level", "warn,doorward=debug"),
    ("telemetry.otlp_endpoint", "https://collector.example:4317"),
    ("telemetry.otlp_ca_file", "/ca.pem"),
    ("telemetry.otlp_timeout_ms", "1"),
    ("telemetry.trace_ratio", "0.01"),
    ("telemetry.trace_queue", "1"),
];

#[test]
fn every_key_can_be_set_in_every_layer() {
    assert_eq!(
        VALUES.map(|(name, _)| name).to_vec(),
        key::KEYS.iter().map(|key| key.name).collect::<Vec<_>>()
    );
    for (name, value) in VALUES {
        let (section, field) = name.split_once('.').unwrap();
        let by_file = of_file(&format!("[{section}]\n{field} = \"{value}\"")).unwrap();
        let variable = problem::variable(name);
        let by_variable = of_environment(&[(&variable, value)]).unwrap();
        assert_eq!(format!("{by_file:?}"), format!("{by_variable:?}"), "{name}");
        let secret =
            ["database.url", "database.direct_url", "redis.url", "auth.operator_token"].contains(&name);
        assert!(secret || !is_default(&by_file), "{name}");
    }
}

#[test]
fn an_unknown_key_of_a_file_is_named_with_its_line_and_what_there_is() {
    let said = said(of_file("[server]\nlisten = \"0.0.0.0:1\"\nlistne = 5\n"));
    assert!(said.starts_with("doorward.toml:3: there is no setting `server.listne`; "), "{said}");
    assert!(said.contains("did you mean server.listen?"), "{said}");
    assert!(said.contains("there are: server.listen, server.workers, server.grace_ms, "), "{said}");
}

#[test]
fn an_unknown_section_is_named() {
    for (text, expected) in [
        ("[sever]\nlisten = \"0.0.0.0:1\"", "`sever.listen`; did you mean server.listen?"),
        ("[radis]\nurl = \"redis://h\"", "`radis.url`; did you mean redis.url?"),
        ("[traces]", "`traces`; there are: server.listen, "),
        ("listen = \"0.0.0.0:1\"", "`listen`; did you mean server.listen?"),
        ("[server.listen]\nport = 1", "`server.listen`: a value of type table is not allowed"),
    ] {
        let said = said(of_file(text));
        assert!(said.contains(expected), "{text}: {said}");
        assert_eq!(said.lines().count(), 1, "{said}");
    }
    assert!(is_default(&of_file("[server]\n[log]\n").unwrap()));
}

#[test]
fn an_unknown_variable_is_named_with_the_one_that_was_meant() {
    let said = said(of_environment(&[("DOORWARD_SERVER_LISTEN", "0.0.0.0:1"), ("HOME", "x")]));
    assert!(said.contains("environment variable DOORWARD_SERVER_LISTEN: there is no such setting"), "{said}");
    assert!(said.contains("did you mean DOORWARD_SERVER__LISTEN?"), "{said}");
    assert!(said.contains("DOORWARD_LOG__LEVEL"), "{said}");
    for name in
        ["DOORWARD_REDIS__URI", "DOORWARD_X", "DOORWARD_", "DOORWARD_SERVER__LISTEN__X", "DOORWARD_PORT"]
    {
        assert!(of_environment(&[(name, "5")]).is_err(), "{name}");
    }
}

#[test]
fn variables_of_clients_tests_and_kubernetes_are_left_alone() {
    let settings = of_environment(&[
        ("DOORWARD_TOKEN", "x"),
        ("DOORWARD_ADDRESS", "x"),
        ("DOORWARD_TEST_POSTGRES", "/nowhere"),
        ("DOORWARD_SERVICE_HOST", "10.0.0.1"),
        ("DOORWARD_SERVICE_PORT", "50051"),
        ("DOORWARD_SERVICE_PORT_GRPC", "50051"),
        ("DOORWARD_ADMIN_SERVICE_HOST", "10.0.0.1"),
        ("DOORWARD_PORT", "tcp://10.0.0.1:50051"),
        ("DOORWARD_PORT_50051_TCP", "tcp://10.0.0.1:50051"),
        ("DOORWARD_PORT_50051_TCP_ADDR", "10.0.0.1"),
        ("DOORWARD_ADMIN_PORT_9090_TCP_PORT", "9090"),
        ("DOORWARDEN", "x"),
    ]);
    assert!(is_default(&settings.unwrap()));
}

#[test]
fn a_value_that_is_not_allowed_says_what_is() {
    for (name, value, expected) in [
        ("server.listen", "localhost", "`localhost` is not allowed; allowed: an address and a port"),
        ("server.workers", "-1", "a number from 0"),
        ("server.grace_ms", "1.5", "milliseconds from 0 to 600000"),
        ("database.reads_max", "0", "a number from 1 to 1000"),
        ("auth.oidc_issuer", "id.example", "https://HOST or https://HOST/PATH; http:// only for a loopback"),
        ("auth.oidc_jwks_url", "https://", "https://HOST"),
        ("auth.oidc_algorithms", "HS256", "RS256, RS384, RS512, PS256"),
        ("auth.oidc_algorithms", "none", "RS256, RS384, RS512, PS256"),
        ("auth.oidc_algorithms", "RS256,,ES256", "RS256, RS384, RS512, PS256"),
        ("auth.oidc_algorithms", "", "RS256, RS384, RS512, PS256"),
        ("policy.trial_days", "4000", "days from 0 to 3650"),
        ("policy.invitation_hours", "0", "hours from 1"),
        ("log.format", "xml", "text or json"),
        ("log.level", "infoo", "off, error, warn"),
        ("log.level", "doorward=loud", "off, error, warn"),
        ("log.level", "", "off, error, warn"),
    ] {
        let said = said(of_environment(&[(&problem::variable(name), value)]));
        assert!(said.contains(expected) && said.contains(&problem::variable(name)), "{name}: {said}");
    }
    let said = said(of_file("[server]\nworkers = [1]\ngrace_ms = 1979-05-27\n"));
    assert!(
        said.contains("doorward.toml:2: `server.workers`: a value of type array is not allowed"),
        "{said}"
    );
    assert!(said.contains("doorward.toml:3: `server.grace_ms`: a value of type datetime"), "{said}");
}

#[test]
fn a_wrong_secret_is_not_repeated() {
    let secret = "hunter2 hunter2 hunter2";
    for name in ["database.url", "auth.operator_token", "keys.root", "keys.previous"] {
        let (section, field) = name.split_once('.').unwrap();
        let by_variable = said(of_environment(&[(&problem::variable(name), secret)]));
        let by_file = said(of_file(&format!("[{section}]\n{field} = \"{secret}\"")));
        for said in [by_variable, by_file] {
            assert!(said.contains("the value (not shown) is not allowed; allowed: "), "{said}");
            assert!(!said.contains("hunter"), "{said}");
        }
    }
    let said = said(of_file("[database]\nurl = \"postgres://u:hunter2@h/d\n"));
    assert!(said.starts_with("doorward.toml:2: not TOML: ") && !said.contains("hunter"), "{said}");
}

#[test]
fn settings_never_show_their_secrets() {
    let settings = of_environment(&[
        ("DOORWARD_DATABASE__URL", "postgres://u:hunter2@h/d"),
        ("DOORWARD_AUTH__OPERATOR_TOKEN", "hunter2hunter2hunter2"),
        ("DOORWARD_KEYS__ROOT", &"ab".repeat(32)),
    ]);
    let shown = format!("{:?}", settings.unwrap());
    assert!(!shown.contains("hunter") && !shown.contains("abab") && !shown.contains("171"), "{shown}");
}

#[test]
fn every_problem_is_told_at_once() {
    let variables = environment(&[("DOORWARD_LOG__LEVEL", "loud"), ("DOORWARD_X__Y", "")]);
    let file = Some((Path::new("f.toml"), "[server]\nx = 1\nworkers = \"many\"\n"));
    let said = said(Settings::compose(file, variables, &[]));
    assert_eq!(said.lines().count(), 4, "{said}");
}

#[test]
fn hostile_text_is_shortened_and_cannot_move_the_cursor() {
    let said = said(of_environment(&[("DOORWARD_SERVER__LISTEN", &format!("\u{1b}[2J{}", "x".repeat(500)))]));
    assert!(!said.contains('\u{1b}') && said.len() < 300, "{said}");
}

#[test]
fn an_empty_optional_value_is_one_that_is_not_set() {
    let file = "[catalogue]\nfile = \"c.toml\"\n[keys]\nroot = \"/k\"\n";
    let variables = environment(&[("DOORWARD_CATALOGUE__FILE", ""), ("DOORWARD_KEYS__ROOT", "")]);
    let settings = Settings::compose(Some((Path::new("f.toml"), file)), variables, &[]).unwrap();
    assert!(settings.catalogue.file.is_none() && settings.keys.root.is_none());
}

#[test]
fn what_a_server_needs_is_told_with_how_to_set_it() {
    let said = Settings::default().require_for_serving().unwrap_err().to_string();
    assert!(said.contains("database.url is not set. Set DOORWARD_DATABASE__URL"), "{said}");
    assert!(
        said.contains("auth.operator_token is not set (nobody could call without it, auth.services_file or auth.oidc_issuer"),
        "{said}"
    );
    assert!(said.contains("`operator_token` in the section [auth]"), "{said}");
    assert!(!said.contains("keys.root"), "{said}");

    let token = ("DOORWARD_AUTH__OPERATOR_TOKEN", "0123456789abcdef");
    let postgres = of_environment(&[token, ("DOORWARD_DATABASE__URL", "postgres://h/d")]).unwrap();
    let said = postgres.require_for_serving().unwrap_err().to_string();
    assert!(said.starts_with("keys.root is not set (every replica needs the same one"), "{said}");
    assert!(postgres.keys().is_err() && postgres.require_database().is_ok());

    let slow = ("DOORWARD_CACHE__POLL_MS", "1501");
    let slow = of_environment(&[token, ("DOORWARD_DATABASE__URL", "sqlite:///d.db"), slow]).unwrap();
    let said = slow.require_for_serving().unwrap_err().to_string();
    assert_eq!(
        said,
        "cache.poll_ms is 1501 (environment variable DOORWARD_CACHE__POLL_MS) and cache.lease_ms 3000 (default): \
         the lease must be twice as long at the least"
    );

    let sqlite = of_environment(&[token, ("DOORWARD_DATABASE__URL", "sqlite:///d.db")]).unwrap();
    assert!(sqlite.require_for_serving().is_ok());
    assert!(Settings::default().require_database().is_err());
}

#[test]
fn a_provider_of_people_is_told_of_whole_or_not_at_all() {
    let of = |names: &[&str]| {
        let values = [
            ("issuer", "https://id.example"),
            ("audience", "doorward"),
            ("jwks_url", "https://id.example/keys"),
            ("ca_file", "/ca.pem"),
        ];
        let named = values.into_iter().filter(|(name, _)| names.contains(name));
        let lines: Vec<_> = named.map(|(name, value)| format!("oidc_{name} = \"{value}\"")).collect();
        of_file(&format!("[auth]\n{}\n", lines.join("\n"))).unwrap()
    };
    assert_eq!(of(&[]).auth.oidc().unwrap(), None);
    let oidc = of(&["issuer", "audience"]).auth.oidc().unwrap().unwrap();
    assert_eq!((oidc.issuer.as_str(), oidc.audience.as_str()), ("https://id.example", "doorward"));
    assert_eq!((oidc.jwks_url, oidc.algorithms), (None, JwtAlgorithm::USUAL.to_vec()));
    for (names, missing) in [
        (&["issuer"][..], "auth.oidc_audience is not set (auth.oidc_issuer is set, and without an audience"),
        (&["audience"], "auth.oidc_issuer is not set (auth.oidc_audience is set, and says nothing without"),
        (
            &["jwks_url", "ca_file"],
            "auth.oidc_issuer is not set (auth.oidc_jwks_url, auth.oidc_ca_file is set",
        ),
    ] {
        let settings = of(names);
        assert!(settings.auth.oidc().unwrap_err().to_string().starts_with(missing), "{names:?}");
        let said = settings.require_for_serving().unwrap_err().to_string();
        assert!(said.contains(missing), "{names:?}: {said}");
    }
}

#[test]
fn tls_is_set_in_whole_or_not_at_all() {
    let needed =
        "[database]\nurl = \"sqlite:///d.db\"\n[auth]\noperator_token = \"0123456789abcdef\"\n[tls]\n";
    let (cert, key, ca) = ("cert_file = \"c\"\n", "key_file = \"k\"\n", "client_ca_file = \"a\"\n");
    let (optional, required) = ("client_auth = \"optional\"\n", "client_auth = \"required\"\n");
    let asked =
        |lines: &[&str]| of_file(&format!("{needed}{}", lines.concat())).unwrap().require_for_serving();
    for lines in [&[][..], &[cert, key], &[cert, key, ca, optional], &[cert, key, ca, required]] {
        assert!(asked(lines).is_ok(), "{lines:?}");
    }
    for (lines, expected) in [
        (
            &[cert][..],
            "tls.key_file is not set (tls.cert_file is, and needs its key). Set DOORWARD_TLS__KEY_FILE",
        ),
        (&[key], "tls.cert_file is not set (tls.key_file is, and needs its certificate)"),
        (&[cert, key, required], "tls.client_ca_file is not set (tls.client_auth asks for certificates)"),
        (&[optional], "tls.client_ca_file is not set (tls.client_auth asks for certificates)"),
        (
            &[ca, required],
            "tls.cert_file is not set (tls.client_auth asks for certificates, which needs TLS)",
        ),
        (&[cert, key, ca], "tls.client_ca_file is set and tls.client_auth is none"),
    ] {
        let said = asked(lines).unwrap_err().to_string();
        assert!(said.starts_with(expected) && said.lines().count() == 1, "{lines:?}: {said}");
    }
}

#[test]
fn a_sqlite_database_keeps_its_key() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite://{}?mode=rwc", folder.path().join("d.db").display());
    let settings = of_environment(&[("DOORWARD_DATABASE__URL", &url)]).unwrap();
    let token = settings.keys().unwrap().sign(crate::keys::Purpose::Page, b"x");
    assert!(settings.keys().unwrap().check(crate::keys::Purpose::Page, &token).is_some());
    assert!(folder.path().join("d.db.key").exists());
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let said = said(Settings::load(Some(Path::new("/nowhere/doorward.toml")), &[]));
    assert!(said.starts_with("/nowhere/doorward.toml: cannot be read: "), "{said}");
}

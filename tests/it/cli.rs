//! The client verbs against a running service: exit codes, forms of output, errors that teach.

use crate::binary::{Said, Server, run};
use crate::demo;

struct Demo {
    server: Server,
    token: String,
}

impl Demo {
    fn start() -> Self {
        let (server, lines) = demo::start(&[]);
        let token = demo::token(&lines);
        Self { server, token }
    }

    /// Runs a verb with words between spaces as its arguments.
    fn run(&self, arguments: &str) -> Said {
        let address = self.server.address();
        let environment = [("DOORWARD_ADDRESS", address.as_str()), ("DOORWARD_TOKEN", &self.token)];
        run(&arguments.split(' ').collect::<Vec<_>>(), &environment)
    }
}

#[test]
fn a_check_exits_with_0_3_or_1() {
    let demo = Demo::start();
    let allowed = demo.run("check --tenant acme --user ada --action view --type section --id traces");
    assert_eq!((allowed.code, allowed.stdout.as_str()), (Some(0), "allowed ROLE_ADMIN\n"));
    let denied = demo.run("check --tenant acme --user cy --action chat --type agent --id support-bot");
    assert_eq!((denied.code, denied.stdout.as_str()), (Some(3), "denied NOT_GRANTED hide\n"));
    let member = demo.run("check --tenant acme --member ben --action view --type section --id logs");
    assert_eq!((member.code, member.stdout.as_str()), (Some(0), "allowed SECTION_GRANTED\n"));
    let key = demo.run("check --tenant acme --key dwk_none_x --action view --type section --id logs");
    assert_eq!((key.code, key.stdout.as_str()), (Some(3), "denied KEY_INVALID\n"));
    let unknown = demo.run("check --tenant nowhere --user ada --action view --type section --id logs");
    assert_eq!((unknown.code, unknown.stdout.as_str()), (Some(3), "denied TENANT_NOT_FOUND\n"));
}

#[test]
fn a_question_that_cannot_be_asked_names_the_field_and_what_is_allowed() {
    let demo = Demo::start();
    let said = demo.run("check --tenant acme --user ada --action fly --type agent --id support-bot");
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    assert!(said.stderr.contains("\n  action: "), "{said:?}");
    let said = demo.run("check --tenant acme --user ada --action view --type section");
    assert_eq!(said.code, Some(1));
    let said = demo.run("check --tenant acme --user a --member b --action view --type section --id x");
    assert_eq!(said.code, Some(1));
}

#[test]
fn json_is_for_programs() {
    let demo = Demo::start();
    let said =
        demo.run("check --tenant acme --user cy --action chat --type agent --id support-bot --output json");
    assert_eq!(said.code, Some(3));
    let answer: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(answer["allowed"], false);
    assert_eq!(answer["reason"], "NOT_GRANTED");
    assert_eq!(answer["hide"], true);
    assert_eq!(answer["degraded"], false);
    assert!(answer["revision_token"].as_str().is_some_and(|token| !token.is_empty()));
    // The trial ends one day.
    assert!(answer["valid_until"].as_str().is_some_and(|instant| instant.ends_with('Z')), "{answer}");
}

#[test]
fn an_explanation_agrees_and_ends_with_the_rule_that_decided() {
    let demo = Demo::start();
    let question = "explain --tenant acme --user ben --action view --type section --id traces";
    let said = demo.run(question);
    assert_eq!(said.code, Some(3));
    assert!(said.stdout.starts_with("denied SECTION_DISABLED\n"), "{said:?}");
    let last = said.stdout.lines().last().unwrap_or_default();
    assert!(last.starts_with("> 17 stored value ") && last.contains(" decided "), "{said:?}");
    let said = demo.run(&format!("{question} --output json"));
    let answer: serde_json::Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(answer["reason"], "SECTION_DISABLED");
    let steps = answer["steps"].as_array().unwrap();
    assert_eq!(steps.last().unwrap()["rule"], 17);
    assert_eq!(steps.last().unwrap()["outcome"], "decided");
}

#[test]
fn a_wrong_token_and_none_say_how_to_give_one() {
    let demo = Demo::start();
    let address = demo.server.address();
    let question = [
        "check", "--tenant", "acme", "--user", "ada", "--action", "view", "--type", "section", "--id", "logs",
    ];
    let hyphen = run(&[&question[..], &["--address", &address, "--token", "-wrong-wrong"]].concat(), &[]);
    assert!(hyphen.stderr.contains("DOORWARD_TOKEN or --token"), "{hyphen:?}");
    for token in [None, Some("wrong-wrong-wrong-wrong")] {
        let environment: Vec<_> = [("DOORWARD_ADDRESS", Some(address.as_str())), ("DOORWARD_TOKEN", token)]
            .into_iter()
            .filter_map(|(name, value)| Some((name, value?)))
            .collect();
        let said = run(&question, &environment);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
        assert!(said.stderr.contains("DOORWARD_TOKEN or --token"), "{said:?}");
        assert!(!said.stderr.contains("wrong-wrong"), "{said:?}");
    }
    let flags = ["--address", &address, "--token", &demo.token];
    assert_eq!(run(&[&question[..], &flags].concat(), &[]).code, Some(0));
}

#[test]
fn where_nobody_answers_the_way_to_a_service_is_told() {
    let question = "check --tenant a --user b --action view --type section --id x --address";
    let question: Vec<_> = question.split(' ').collect();
    let said = run(&[&question[..], &["http://127.0.0.1:1"]].concat(), &[]);
    assert_eq!(said.code, Some(1));
    assert!(said.stderr.contains("no service answers at http://127.0.0.1:1"), "{said:?}");
    assert!(said.stderr.contains("`doorward demo`"), "{said:?}");
    let said = run(&[&question[..], &["127.0.0.1:1"]].concat(), &[]);
    assert!(said.code == Some(1) && said.stderr.contains("allowed: http://HOST:PORT"), "{said:?}");
}

#[test]
fn a_catalogue_is_tried_before_it_is_put_in_force() {
    let demo = Demo::start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("catalogue.toml");
    std::fs::write(&file, doorward::catalogue::SHIPPED).unwrap();
    let path = file.display();
    let said = demo.run(&format!("catalogue apply {path} --dry-run"));
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "no difference to the catalogue in force\n"));

    let retyped = doorward::catalogue::SHIPPED.replacen("default = true", "default = false", 1);
    std::fs::write(&file, retyped).unwrap();
    let said = demo.run(&format!("catalogue apply {path} --dry-run"));
    assert!(said.code == Some(0) && said.stdout.ends_with("a dry run\n"), "{said:?}");
    assert!(said.stdout.lines().count() > 1, "{said:?}");
    let said = demo.run(&format!("catalogue apply {path}"));
    assert!(said.code == Some(0) && said.stdout.ends_with("in force: version 2\n"), "{said:?}");

    std::fs::write(&file, "[[section]]\nkey = 5\n").unwrap();
    let said = demo.run(&format!("catalogue apply {path}"));
    assert!(said.code == Some(1) && said.stderr.contains("\n  document: "), "{said:?}");
    let said = demo.run("catalogue apply /nowhere/c.toml");
    assert!(said.code == Some(1) && said.stderr.contains("/nowhere/c.toml cannot be read"), "{said:?}");
}

#[test]
fn the_allocator_gives_memory_back_in_whole_huge_pages() {
    let said = run(&["--version"], &[("MIMALLOC_VERBOSE", "1")]);
    assert!(said.stderr.contains("option 'allow_thp': 2"), "{said:?}");
}

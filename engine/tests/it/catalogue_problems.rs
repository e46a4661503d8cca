//! What keeps a document from being a catalogue, and what the errors teach.

use doorward_engine::catalogue::{Catalogue, Document, Problem};

use crate::catalogue::{PLAN, built, document};

/// The problems of a document, each as a line.
fn problems(text: &str) -> Vec<String> {
    let problems = Catalogue::build(document(text)).unwrap_err();
    problems.iter().map(Problem::to_string).collect()
}

/// Asserts that a document with a plan has exactly one problem, and that its line holds all of the words.
fn refused(text: &str, words: &[&str]) {
    let problems = problems(&format!("{PLAN}{text}"));
    assert_eq!(problems.len(), 1, "{problems:?}");
    for word in words {
        assert!(problems.first().unwrap().contains(word), "{problems:?} lacks {word}");
    }
}

#[test]
fn an_unknown_word_in_a_document_is_an_error() {
    for text in [
        "sections = []",
        "section = [{ key = \"a\", name = \"A\", type = \"ALWAYS\", colour = \"red\" }]",
        "section = [{ key = \"a\", name = \"A\", type = \"SOMETIMES\" }]",
        "section = [{ key = \"a\", name = \"A\" }]",
        "section = [{ key = \"a\", name = \"A\", type = \"SYSTEM\", part = [{ key = \"b\", name = \"B\" }] }]",
        "type = [{ key = \"a\", name = \"A\", action = [{ key = \"view\", owner_only = true }] }]",
        "plan = [{ key = \"a\", name = \"A\", limits = { seats = 3 } }]",
    ] {
        assert!(toml::from_str::<Document>(text).is_err(), "{text}");
    }
}

#[test]
fn keys_and_names_fit_their_grammar() {
    for key in ["", "Traces", "0a", "a-b", "a.b", "a b", "a\\u0000", "a\\n", "\\u202E", "a'"] {
        let section = format!("section = [{{ key = \"{key}\", name = \"A\", type = \"ALWAYS\" }}]");
        refused(&section, &["is not a valid section key", "1 to 64 of a-z 0-9 _, the first a letter"]);
    }
    refused(
        "section = [{ key = \"a\", name = \"\", type = \"ALWAYS\" }]",
        &["section `a`", "is not a valid name"],
    );
    refused("firewall_switch = \"A\"", &["firewall_switch", "`A` is not a valid feature switch"]);
    let switch = "section = [{ key = \"a\", name = \"A\", type = \"ALWAYS\", switch = \"-\" }]";
    refused(switch, &["section `a`, switch", "`-` is not a valid feature switch"]);
    let part = "section = [{ key = \"a\", name = \"A\", type = \"ALWAYS\", part = [{ key = \"B\", name = \"B\", role = \"USER\" }] }]";
    refused(part, &["section `a`, part `B`", "is not a valid part key"]);
    refused(
        "type = [{ key = \"a\", name = \"A\", action = [{ key = \"?\" }] }]",
        &["type `a`, action `?`", "is not a valid action"],
    );
}

#[test]
fn a_key_stands_once() {
    let section = "{ key = \"a\", name = \"A\", type = \"ALWAYS\" }";
    refused(&format!("section = [{section}, {section}]"), &["section `a`", "a second section of that key"]);
    let part = "{ key = \"b\", name = \"B\", role = \"USER\" }";
    let parts =
        format!("section = [{{ key = \"a\", name = \"A\", type = \"ALWAYS\", part = [{part}, {part}] }}]");
    refused(&parts, &["part `b`", "a second part of that key"]);
    let kind = "{ key = \"a\", name = \"A\", action = [{ key = \"view\" }] }";
    refused(&format!("type = [{kind}, {kind}]"), &["a second type of that key"]);
    refused(
        "type = [{ key = \"a\", name = \"A\", action = [{ key = \"view\" }, { key = \"view\" }] }]",
        &["action `view`", "a second action of that key"],
    );
    let plans = problems("plan = [{ key = \"p\", name = \"P\" }, { key = \"p\", name = \"Q\" }]");
    assert!(plans.concat().contains("a second plan of that key"), "{plans:?}");
    // Parts and actions of two owners may share a key.
    built(&format!(
        "section = [{{ key = \"a\", name = \"A\", type = \"ALWAYS\", part = [{part}] }}, {{ key = \"c\", name = \"C\", type = \"ALWAYS\", part = [{part}] }}]"
    ));
}

#[test]
fn no_type_is_called_section_and_each_has_an_action() {
    let text = "type = [{ key = \"section\", name = \"S\", action = [{ key = \"view\" }] }]";
    refused(text, &["type `section`", "`section` addresses sections"]);
    refused("type = [{ key = \"a\", name = \"A\" }]", &["type `a`", "no action"]);
}

#[test]
fn only_a_configurable_section_has_a_default() {
    for kind in ["ADMIN_ONLY", "ALWAYS", "SYSTEM"] {
        let text = format!("section = [{{ key = \"a\", name = \"A\", type = \"{kind}\", default = false }}]");
        refused(&text, &["section `a`", kind, "CONFIGURABLE sections only"]);
    }
    let catalogue = built("section = [{ key = \"a\", name = \"A\", type = \"CONFIGURABLE\" }]");
    assert!(!catalogue.sections().any(|(_, section)| section.default), "no default means off");
}

#[test]
fn what_is_named_exists() {
    let section = "section = [{ key = \"a\", name = \"A\", type = \"ALWAYS\" }]\n";
    let action = "type = [{ key = \"t\", name = \"T\", action = [{ key = \"view\", section = \"b\" }] }]";
    refused(&format!("{section}{action}"), &["action `view`", "the unknown section `b`", "allowed: `a`"]);
    let plan =
        problems(&format!("{section}plan = [{{ key = \"p\", name = \"P\", sections = [\"a\", \"b\"] }}]"));
    assert!(plan.concat().contains("plan `p`: the unknown section `b`"), "{plan:?}");
    let plan = problems("plan = [{ key = \"p\", name = \"P\", limits = { resources = { bot = 3 } } }]");
    assert!(plan.concat().contains("a limit on the unknown type `bot`"), "{plan:?}");
}

#[test]
fn there_is_a_plan_and_not_too_much_of_anything() {
    assert_eq!(problems("").len(), 1);
    assert!(problems("").concat().contains("no plan"));
    let section =
        |n: usize, more: &str| format!("{{ key = \"s{n}\", name = \"S\", type = \"ALWAYS\"{more} }}");
    let sections = |count: usize, more: &dyn Fn(usize) -> String| {
        let rows: Vec<_> = (0..count).map(|n| section(n, &more(n))).collect();
        format!("section = [{}]", rows.join(", "))
    };
    assert_eq!(built(&sections(128, &|_| String::new())).sections().count(), 128);
    refused(&sections(129, &|_| String::new()), &["129 sections", "at most 128"]);
    let switch = |n: usize| format!(", switch = \"w{n}\"");
    assert_eq!(built(&sections(64, &switch)).switches().count(), 64);
    refused(&sections(65, &switch), &["65 switches", "at most 64"]);
    let parts = |n: usize| {
        let rows: Vec<_> =
            (0..43).map(|p| format!("{{ key = \"p{p}\", name = \"P{n}\", role = \"USER\" }}")).collect();
        format!(", part = [{}]", rows.join(", "))
    };
    refused(&sections(3, &parts), &["129 parts of all sections", "at most 128"]);
}

#[test]
fn a_part_can_be_asked_for() {
    let key = "k".repeat(64);
    let part = format!("part = [{{ key = \"{key}\", name = \"P\", role = \"USER\" }}]");
    let text = format!("section = [{{ key = \"{key}\", name = \"S\", type = \"ALWAYS\", {part} }}]");
    refused(&text, &["keys too long to be asked for", "128 bytes"]);
    built(&text.replacen(&key, &key[1..], 1));
}

#[test]
fn all_problems_are_told_at_once_and_none_echoes_much() {
    let long = "X".repeat(500);
    let text = format!(
        "section = [{{ key = \"{long}\", name = \"A\", type = \"ALWAYS\" }}]
         type = [{{ key = \"section\", name = \"S\", action = [{{ key = \"view\", section = \"{long}\" }}] }}]"
    );
    let problems = problems(&text);
    assert_eq!(problems.len(), 4, "{problems:?}");
    assert!(problems.iter().all(|problem| !problem.contains(&"X".repeat(65))), "{problems:?}");
}

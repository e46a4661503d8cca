//! Questions as they are parsed, and what the errors teach.

use doorward_engine::catalogue::{Catalogue, SHIPPED};
use doorward_engine::id::ResourceId;
use doorward_engine::question::{PartAsked, QuestionError, Target};

fn shipped() -> Catalogue {
    Catalogue::build(toml::from_str(SHIPPED).unwrap()).unwrap()
}

fn error(action: &str, kind: &str, id: &str) -> QuestionError {
    Target::parse(&shipped(), action, kind, &ResourceId::parse(id).unwrap()).unwrap_err()
}

#[test]
fn a_section_a_part_and_a_resource_are_told_apart() {
    let catalogue = shipped();
    let parsed = |action: &str, kind: &str, id: &str| {
        let id = ResourceId::parse(id).unwrap();
        format!("{:?}", Target::parse(&catalogue, action, kind, &id).unwrap())
    };
    let settings = catalogue.section("settings");
    let part = catalogue.part(settings.unwrap(), "api_keys").unwrap();
    let section = |section, part| format!("{:?}", Target::Section { section, part });
    assert_eq!(parsed("view", "section", "settings"), section(settings, PartAsked::None));
    assert_eq!(parsed("view", "section", "settings.api_keys"), section(settings, PartAsked::Known(part)));
    assert_eq!(parsed("view", "section", "settings.nothing"), section(settings, PartAsked::Unknown));
    assert_eq!(parsed("view", "section", "nothing"), section(None, PartAsked::None));
    assert_eq!(parsed("view", "section", "nothing.api_keys"), section(None, PartAsked::Unknown));
    let (kind, id) =
        (catalogue.resource_type("agent").unwrap(), ResourceId::parse("settings.api_keys").unwrap());
    let action = catalogue.action(kind, "chat").unwrap();
    assert_eq!(
        parsed("chat", "agent", "settings.api_keys"),
        format!("{:?}", Target::Resource { kind, action, id: &id })
    );
}

#[test]
fn an_error_names_the_field_and_what_is_allowed() {
    assert_eq!(
        error("view", "bot", "a").to_string(),
        "resource.type: unknown resource type `bot`; allowed: `section`, `agent`"
    );
    assert_eq!(
        error("fly", "agent", "a").to_string(),
        "action: unknown action `fly` of `agent`; allowed: `view`, `chat`, `history`, `manage`"
    );
    assert_eq!(
        error("chat", "section", "traces").to_string(),
        "action: unknown action `chat` of a section; allowed: `view`"
    );
    let error: QuestionError = ResourceId::parse("a b").unwrap_err().into();
    assert_eq!(error.field, "resource.id");
    assert!(error.allowed.contains("1 to 128"), "{error}");
}

#[test]
fn an_error_echoes_little_and_nothing_that_acts() {
    let hostile = format!("\u{1b}[31m\u{202e}{}", "é".repeat(400));
    let text = error("view", &hostile, "a").to_string();
    assert!(text.len() < 300, "{text}");
    assert!(text.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{text:?}");
}

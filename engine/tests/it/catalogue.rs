//! What the shipped catalogue is, what is looked up, and what differs between two.

use doorward_engine::catalogue::{Catalogue, Document, SHIPPED, SectionKind};
use doorward_engine::role::Role;

use crate::support::draw;
use crate::support::rng::Rng;

pub(crate) fn document(text: &str) -> Document {
    toml::from_str(text).unwrap()
}

fn shipped() -> Catalogue {
    Catalogue::build(document(SHIPPED)).unwrap()
}

pub(crate) const PLAN: &str = "plan = [{ key = \"p\", name = \"P\" }]\n";

pub(crate) fn built(text: &str) -> Catalogue {
    Catalogue::build(document(&format!("{PLAN}{text}"))).unwrap()
}

#[test]
fn the_shipped_catalogue_is_the_page() {
    let catalogue = shipped();
    let sections: Vec<_> = catalogue
        .sections()
        .map(|(_, section)| (section.key.as_str(), section.kind, section.default))
        .collect();
    use SectionKind::{AdminOnly, Always, Configurable, System};
    let expected = [
        ("access_management", AdminOnly, false),
        ("agents", Configurable, true),
        ("traces", Configurable, true),
        ("logs", Configurable, true),
        ("eval", Configurable, true),
        ("session", Configurable, true),
        ("prompts", Configurable, true),
        ("mcp_debug", Configurable, true),
        ("analytics", AdminOnly, false),
        ("cost_control", AdminOnly, false),
        ("agentguard", AdminOnly, false),
        ("intelligence", Always, false),
        ("analyser", Always, false),
        ("settings", System, false),
        ("support", System, false),
        ("pricing", System, false),
        ("upgrade", System, false),
    ];
    assert_eq!(sections, expected);
    let settings = catalogue.section("settings").unwrap();
    let of = |role| {
        catalogue
            .parts(settings)
            .filter(move |(_, part)| part.role == role)
            .map(|(_, part)| part.key.as_str())
    };
    assert_eq!(of(Role::User).collect::<Vec<_>>(), ["profile", "plan_view", "contact_support"]);
    let admin = ["plan_manage", "agentguard", "api_keys", "payment_history", "tenant_info", "danger_zone"];
    assert_eq!(of(Role::Admin).collect::<Vec<_>>(), admin);
    let switch = catalogue.switch("agentguard");
    assert!(switch.is_some());
    assert_eq!(catalogue.firewall_switch(), switch);
    for (_, section) in catalogue.sections() {
        assert_eq!(section.switch, switch.filter(|_| section.key.as_str() == "agentguard"));
    }
}

#[test]
fn the_shipped_agent_and_plans_are_the_page() {
    let catalogue = shipped();
    let agent = catalogue.resource_type("agent").unwrap();
    let agents = catalogue.section("agents");
    let actions: Vec<_> = catalogue
        .actions(agent)
        .map(|(_, a)| (a.key.as_str(), a.section, a.admin_only, a.blocked_while_inactive, a.firewall))
        .collect();
    let expected = [
        ("view", agents, false, false, false),
        ("chat", agents, false, true, true),
        ("history", None, false, false, false),
        ("manage", None, true, false, false),
    ];
    assert_eq!(actions, expected);
    assert_eq!(catalogue.types().count(), 1);
    assert_eq!(
        catalogue.plans().map(|plan| plan.key.as_str()).collect::<Vec<_>>(),
        ["standard", "enterprise"]
    );
    assert_eq!(catalogue.default_plan().key.as_str(), "standard");
    for plan in catalogue.plans() {
        assert_eq!(plan.sections.len(), 17);
        assert_eq!(plan.limits, Default::default());
    }
}

#[test]
fn what_is_looked_up_is_what_is_there() {
    let catalogue = shipped();
    for (index, section) in catalogue.sections() {
        assert_eq!(catalogue.section(section.key.as_str()), Some(index));
        assert_eq!(catalogue.section_at(index), Some(section));
        for (at, part) in catalogue.parts(index) {
            assert_eq!(catalogue.part(index, part.key.as_str()), Some(at));
            assert_eq!(catalogue.part_at(at), Some(part));
            assert_eq!(part.section, index);
        }
    }
    let agent = catalogue.resource_type("agent").unwrap();
    for (index, action) in catalogue.actions(agent) {
        assert_eq!(catalogue.action(agent, action.key.as_str()), Some(index));
        assert_eq!(catalogue.action_at(index), Some(action));
        assert_eq!(action.kind, agent);
    }
    for (index, switch) in catalogue.switches() {
        assert_eq!(catalogue.switch(switch.as_str()), Some(index));
        assert_eq!(catalogue.switch_at(index), Some(switch));
    }
    assert!(catalogue.plan("standard").is_some() && catalogue.plan("gold").is_none());
    assert_eq!(catalogue.section("profile"), None);
    assert_eq!(catalogue.part(catalogue.section("traces").unwrap(), "profile"), None);
}

#[test]
fn a_document_is_written_as_it_was_read() {
    let mut documents = vec![document(SHIPPED), document(&format!("{PLAN}firewall_switch = \"x\""))];
    documents.extend((0..20).map(|seed| draw::catalogue(&mut Rng::seeded(seed))));
    for before in documents {
        let text = toml::to_string(&before).unwrap();
        assert_eq!(document(&text), before, "{text}");
    }
}

#[test]
fn what_the_next_catalogue_removes_is_named() {
    let (old, new) =
        (shipped(), built("section = [{ key = \"settings\", name = \"S\", type = \"SYSTEM\" }]"));
    let removed = old.removed_by(&new);
    assert_eq!(removed.sections.len(), 16);
    assert_eq!(removed.parts.len(), 9);
    assert_eq!((removed.types.len(), removed.actions.len()), (1, 4));
    assert_eq!((removed.plans.len(), removed.switches.len()), (2, 1));
    assert!(old.removed_by(&old).is_empty());
    let gained = new.removed_by(&old);
    assert_eq!(gained.plans.iter().map(ToString::to_string).collect::<Vec<_>>(), ["p"]);
    assert!(gained.sections.is_empty());
}

#[test]
fn retyping_removes_nothing_and_is_said_in_words() {
    let text = SHIPPED
        .replace(
            "key = \"traces\"\nname = \"Traces\"\ntype = \"CONFIGURABLE\"\ndefault = true",
            "key = \"traces\"\nname = \"Traces\"\ntype = \"ADMIN_ONLY\"",
        )
        .replace("{ key = \"history\" }", "{ key = \"history\", section = \"logs\" }")
        .replace(
            "{ key = \"profile\", name = \"Profile\", role = \"USER\" }",
            "{ key = \"profile\", name = \"Profile\", role = \"ADMIN\" }",
        );
    let (old, new) = (shipped(), Catalogue::build(document(&text)).unwrap());
    assert!(old.removed_by(&new).is_empty());
    let expected = [
        "action `history` of `agent`: section none → logs",
        "part `settings.profile`: role USER → ADMIN",
        "section `traces`: default on → off",
        "section `traces`: type CONFIGURABLE → ADMIN_ONLY",
    ];
    assert_eq!(old.difference(&new), expected);
    assert!(old.difference(&old).is_empty());
}

#[test]
fn additions_and_removals_are_said_in_words() {
    let small = "section = [{ key = \"a\", name = \"A\", type = \"ALWAYS\" }]";
    let (old, new) = (built(""), built(small));
    assert_eq!(
        old.difference(&new),
        [
            "plan `p`: sections none → a",
            "section `a` added: default off; name A; switch none; type ALWAYS",
            "the catalogue: order of sections none → a",
        ]
    );
    assert_eq!(new.difference(&old).first().unwrap(), "section `a` removed");
}

#[test]
fn a_catalogue_drawn_at_random_is_one() {
    for seed in 0..200 {
        Catalogue::build(draw::catalogue(&mut Rng::seeded(seed))).unwrap();
    }
}

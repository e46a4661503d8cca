//! What planning on sections promises, without a database.

use doorward_engine::status::MemberStatus;

use super::*;
use crate::service::member::sample::{id, in_force, kinds, member, plan, reason, section, state};
use crate::store::{Planned, State};

const ON: SectionValue = SectionValue { on: true, origin: Origin::Default };
const SET_ON: SectionValue = SectionValue { on: true, origin: Origin::Set };
const SET_OFF: SectionValue = SectionValue { on: false, origin: Origin::Set };

fn named(sections: &[(&str, bool)]) -> BTreeMap<SectionKey, bool> {
    sections.iter().map(|(key, on)| (section(key), *on)).collect()
}

fn stored(state: &mut State, name: &str, values: &[(&str, SectionValue)]) {
    let member = state.members.get_mut(&id(name)).unwrap();
    member.sections = values.iter().map(|(key, value)| (section(key), *value)).collect();
}

fn setting(state: &State, name: &str, sections: &[(&str, bool)]) -> Result<Planned<Member>, Error> {
    plan(state, |_, draft| set_access(draft, &id(name), &named(sections)))
}

fn resetting(state: &State, name: &str, sections: &[&str]) -> Result<Planned<Member>, Error> {
    let sections = sections.iter().map(|key| section(key)).collect();
    plan(state, |_, draft| reset_access(draft, &id(name), &sections))
}

fn applying(state: &State, names: &[&str], which: Which) -> Result<Planned<Applied>, Error> {
    let whose = Whose::Members(names.iter().map(|name| id(name)).collect());
    plan(state, |_, draft| apply_defaults(draft, &whose, which))
}

#[test]
fn all_of_the_named_sections_are_set_or_none() {
    let mut state = state();
    stored(&mut state, "ben", &[("logs", ON)]);
    let after = setting(&state, "ben", &[("logs", false), ("eval", true)]).unwrap().answer;
    assert_eq!(after.sections, [(section("logs"), SET_OFF), (section("eval"), SET_ON)].into());
    for (key, found) in [
        ("analytics", "NotConfigurable(\"analytics\")"),
        ("settings", "NotConfigurable(\"settings\")"),
        ("trases", "section `trases` is not in the catalogue"),
    ] {
        assert_eq!(reason(setting(&state, "ben", &[("logs", false), (key, true)])), found);
        assert_eq!(reason(resetting(&state, "ben", &["logs", key])), found);
        let defaults = named(&[("logs", false), (key, true)]);
        assert_eq!(reason(plan(&state, |_, draft| set_defaults(draft, &defaults))), found);
    }
}

#[test]
fn values_are_stored_for_everyone_who_is_not_deleted() {
    let mut state = state();
    state.members.insert(id("gone"), member("gone", Role::User, MemberStatus::Deleted));
    for (name, found) in [
        ("ada", "done"),
        ("ben", "done"),
        ("dan", "done"),
        ("pia", "done"),
        ("gone", "no Member"),
        ("x", "no Member"),
    ] {
        assert_eq!(reason(setting(&state, name, &[("logs", false)])), found, "{name}");
        assert_eq!(reason(resetting(&state, name, &["logs"])), found, "{name}");
    }
}

#[test]
fn an_equal_value_is_no_change_wherever_it_came_from() {
    let mut state = state();
    stored(&mut state, "ben", &[("logs", ON), ("eval", SET_OFF)]);
    assert!(setting(&state, "ben", &[("logs", true), ("eval", false)]).unwrap().changes.is_empty());
    assert!(resetting(&state, "ben", &["traces"]).unwrap().changes.is_empty());
}

#[test]
fn resetting_removes_the_named_values_or_all() {
    let mut state = state();
    stored(&mut state, "ben", &[("logs", ON), ("eval", SET_OFF)]);
    assert_eq!(
        resetting(&state, "ben", &["logs"]).unwrap().answer.sections,
        [(section("eval"), SET_OFF)].into()
    );
    assert!(resetting(&state, "ben", &[]).unwrap().answer.sections.is_empty());
}

#[test]
fn the_matrix_has_every_section_and_the_tenants_own_defaults() {
    let state = state();
    let planned = plan(&state, |_, draft| set_defaults(draft, &named(&[("logs", false)]))).unwrap();
    assert_eq!(kinds(&planned.changes), ["tenant"]);
    let rows = planned.answer;
    let row = |key: &str| rows.iter().find(|row| row.section.as_str() == key).unwrap();
    assert_eq!(rows.len(), 17);
    assert_eq!(rows[0].section.as_str(), "access_management");
    assert_eq!((row("logs").default, row("logs").overridden), (Some(false), true));
    assert_eq!((row("eval").default, row("eval").overridden), (Some(true), false));
    assert_eq!((row("analytics").default, row("analytics").kind), (None, SectionKind::AdminOnly));
    assert_eq!(row("agentguard").switch.as_ref().map(SwitchKey::as_str), Some("agentguard"));
    assert_eq!(row("settings").parts.len(), 9);
    let kept = serde_json::from_str::<Vec<SectionDefault>>(&serde_json::to_string(&rows).unwrap()).unwrap();
    assert_eq!(kept, rows);
}

#[test]
fn a_default_of_a_section_without_toggle_is_not_shown() {
    let mut state = state();
    let document = crate::catalogue::SHIPPED.replace(
        "name = \"Logs\"\ntype = \"CONFIGURABLE\"\ndefault = true",
        "name = \"Logs\"\ntype = \"ADMIN_ONLY\"",
    );
    state.in_force = in_force(&document);
    let mut tenant = state.tenant.clone().unwrap();
    tenant.defaults.insert(section("logs"), true);
    let rows = matrix(&state.in_force.catalogue, &tenant);
    let logs = rows.iter().find(|row| row.section.as_str() == "logs").unwrap();
    assert_eq!((logs.default, logs.overridden), (None, false));
}

#[test]
fn the_defaults_replace_all_values_or_the_untouched_ones() {
    let mut state = state();
    state.tenant.as_mut().unwrap().defaults.insert(section("logs"), false);
    stored(&mut state, "ben", &[("logs", ON), ("eval", SET_OFF)]);
    let after = |which| {
        let planned = applying(&state, &["ben"], which).unwrap();
        assert_eq!((planned.answer.changed.as_slice(), planned.answer.count), ([id("ben")].as_slice(), 1));
        match planned.changes.into_iter().next() {
            Some(doorward_engine::change::Change::Member { after, .. }) => after.sections,
            other => panic!("{other:?}"),
        }
    };
    let (untouched, all) = (after(Which::Untouched), after(Which::All));
    let off = SectionValue { on: false, origin: Origin::Default };
    assert_eq!((untouched[&section("logs")], untouched[&section("eval")]), (off, SET_OFF));
    assert_eq!((all[&section("logs")], all[&section("eval")]), (off, ON));
    assert_eq!((untouched.len(), all.len()), (7, 7));
}

#[test]
fn admins_are_passed_over_and_strangers_are_not() {
    let state = state();
    let planned = applying(&state, &["ada", "ben", "dan", "pia"], Which::All).unwrap();
    assert_eq!(planned.answer.changed, [id("ben"), id("dan"), id("pia")]);
    assert_eq!(kinds(&planned.changes), ["member", "member", "member"]);
    assert_eq!(reason(applying(&state, &["ben", "nobody"], Which::All)), "no Member");
    let everyone = plan(&state, |_, draft| apply_defaults(draft, &Whose::Everyone, Which::All)).unwrap();
    assert_eq!(everyone.answer.count, 3);
}

#[test]
fn applying_twice_changes_nothing_the_second_time() {
    let mut state = state();
    let first = applying(&state, &["ben"], Which::All).unwrap();
    for change in first.changes {
        if let doorward_engine::change::Change::Member { after, .. } = change {
            state.members.insert(after.id.clone(), after);
        }
    }
    let second = applying(&state, &["ben"], Which::All).unwrap();
    assert!(second.changes.is_empty() && second.answer.count == 0);
}

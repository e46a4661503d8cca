//! Promises of the section RPCs: what each member sees, what new members begin with, and what is pushed to whom.

mod control;

use std::collections::BTreeMap;

use doorward::proto;
use doorward::proto::{ApplyMode, Role, SectionType};
use tonic::Code;

use crate::harness::{Server, invalid, on_both, refused, request_id};

fn text(text: &str) -> String {
    text.to_owned()
}

fn toggles(sections: &[(&str, bool)]) -> BTreeMap<String, bool> {
    sections.iter().map(|(section, on)| (text(section), *on)).collect()
}

fn set(member: &str, sections: &[(&str, bool)]) -> proto::SetSectionAccessRequest {
    proto::SetSectionAccessRequest {
        tenant_id: text("acme"),
        member_id: text(member),
        sections: toggles(sections),
        ..Default::default()
    }
}

fn reset(member: &str, sections: &[&str]) -> proto::ResetSectionAccessRequest {
    proto::ResetSectionAccessRequest {
        tenant_id: text("acme"),
        member_id: text(member),
        sections: sections.iter().map(|section| text(section)).collect(),
        ..Default::default()
    }
}

fn defaults(sections: &[(&str, bool)]) -> proto::SetSectionDefaultsRequest {
    proto::SetSectionDefaultsRequest {
        tenant_id: text("acme"),
        defaults: toggles(sections),
        ..Default::default()
    }
}

fn apply(members: &[&str], mode: ApplyMode) -> proto::ApplySectionDefaultsRequest {
    proto::ApplySectionDefaultsRequest {
        tenant_id: text("acme"),
        member_ids: members.iter().map(|member| text(member)).collect(),
        mode: mode.into(),
        ..Default::default()
    }
}

fn matrix() -> proto::GetPermissionMatrixRequest {
    proto::GetPermissionMatrixRequest { tenant_id: text("acme") }
}

async fn acme(server: &Server) {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
}

async fn invite(server: &Server, member: &str, role: Role) {
    let request = proto::InviteMemberRequest {
        tenant_id: text("acme"),
        email: format!("{member}@acme.example"),
        role: role.into(),
        member_id: text(member),
        ..Default::default()
    };
    server.operator().invite_member(request).await.unwrap();
}

async fn stored(server: &Server, member: &str) -> BTreeMap<String, bool> {
    let request = proto::GetMemberRequest { tenant_id: text("acme"), member_id: text(member) };
    server.operator().get_member(request).await.unwrap().into_inner().member.unwrap().sections
}

async fn tenant_revision(server: &Server) -> u64 {
    let request = proto::GetTenantRequest { tenant_id: text("acme") };
    server.operator().get_tenant(request).await.unwrap().into_inner().tenant_revision
}

on_both!(a_toggle_is_seen_by_the_next_check, |server| {
    acme(server).await;
    let mut owner = server.acting("acme-owner");
    let answer = owner
        .set_section_access(set("ben", &[("traces", false), ("eval", false)]))
        .await
        .unwrap()
        .into_inner();
    let member = answer.member.unwrap();
    assert_eq!((answer.enforced, answer.revision), (true, member.revision));
    assert_eq!(
        (member.sections["traces"], member.sections["eval"], member.sections["logs"]),
        (false, false, true)
    );
    assert_eq!(server.section("acme", "ben", "traces").await, "SECTION_DISABLED");
    assert_eq!(server.section("acme", "ben", "logs").await, "SECTION_GRANTED");
    owner.set_section_access(set("ben", &[("traces", true)])).await.unwrap();
    assert_eq!(server.section("acme", "ben", "traces").await, "SECTION_GRANTED");
    assert_eq!(server.section("acme", "ben", "eval").await, "SECTION_DISABLED");
});

on_both!(all_of_the_named_sections_are_set_or_none, |server| {
    acme(server).await;
    let before = (stored(server, "ben").await, tenant_revision(server).await);
    let mut operator = server.operator();
    let fixed = (Code::FailedPrecondition, "NOT_CONFIGURABLE");
    let unknown = (Code::InvalidArgument, "SECTION_UNKNOWN");
    for section in ["analytics", "analyser", "settings"] {
        let refusal = operator.set_section_access(set("ben", &[("agents", false), (section, true)])).await;
        assert!(refused(refusal, fixed.0, fixed.1).contains(section));
        refused(operator.reset_section_access(reset("ben", &["agents", section])).await, fixed.0, fixed.1);
        refused(
            operator.set_section_defaults(defaults(&[("agents", false), (section, true)])).await,
            fixed.0,
            fixed.1,
        );
    }
    let refusal = operator.set_section_access(set("ben", &[("agents", false), ("trases", true)])).await;
    assert!(refused(refusal, unknown.0, unknown.1).contains("trases"));
    refused(operator.reset_section_access(reset("ben", &["agents", "trases"])).await, unknown.0, unknown.1);
    refused(
        operator.set_section_defaults(defaults(&[("agents", false), ("trases", true)])).await,
        unknown.0,
        unknown.1,
    );
    assert_eq!((stored(server, "ben").await, tenant_revision(server).await), before);
});

on_both!(a_reset_section_follows_the_defaults_also_later, |server| {
    acme(server).await;
    let mut operator = server.operator();
    operator.set_section_access(set("ben", &[("traces", false), ("logs", false)])).await.unwrap();
    let answer = operator.reset_section_access(reset("ben", &["traces"])).await.unwrap().into_inner();
    let sections = answer.member.unwrap().sections;
    assert_eq!((sections.get("traces"), sections.len()), (None, 6));
    assert_eq!(server.section("acme", "ben", "traces").await, "SECTION_DEFAULT_ALLOWED");
    operator.set_section_defaults(defaults(&[("traces", false)])).await.unwrap();
    assert_eq!(server.section("acme", "ben", "traces").await, "SECTION_DEFAULT_DENIED");
    assert_eq!(server.section("acme", "ben", "logs").await, "SECTION_DISABLED");
    let answer = operator.reset_section_access(reset("ben", &[])).await.unwrap().into_inner();
    assert_eq!(answer.member.unwrap().sections.len(), 0);
    assert_eq!(server.section("acme", "ben", "logs").await, "SECTION_DEFAULT_ALLOWED");
});

on_both!(toggles_of_who_is_not_an_active_user_wait, |server| {
    acme(server).await;
    invite(server, "pia", Role::User).await;
    server.member("acme", "eve", Role::Admin).await;
    let mut operator = server.operator();
    let disable =
        proto::DisableMemberRequest { tenant_id: text("acme"), member_id: text("ben"), ..Default::default() };
    operator.disable_member(disable).await.unwrap();
    for member in ["ben", "pia", "eve"] {
        operator.set_section_access(set(member, &[("traces", false)])).await.unwrap();
    }
    assert_eq!(server.section("acme", "ben", "traces").await, "MEMBER_DISABLED");
    assert_eq!(server.section("acme", "eve", "traces").await, "ROLE_ADMIN");
    let enable =
        proto::EnableMemberRequest { tenant_id: text("acme"), member_id: text("ben"), ..Default::default() };
    operator.enable_member(enable).await.unwrap();
    let activate = proto::ActivateMemberRequest {
        tenant_id: text("acme"),
        member_id: text("pia"),
        user_id: text("pia"),
        ..Default::default()
    };
    operator.activate_member(activate).await.unwrap();
    let demote = proto::ChangeMemberRoleRequest {
        tenant_id: text("acme"),
        member_id: text("eve"),
        role: Role::User.into(),
        ..Default::default()
    };
    operator.change_member_role(demote).await.unwrap();
    for member in ["ben", "pia", "eve"] {
        assert_eq!(server.section("acme", member, "traces").await, "SECTION_DISABLED", "{member}");
    }
    // A demoted member with any stored value keeps to it; the others follow the defaults.
    assert_eq!(server.section("acme", "eve", "logs").await, "SECTION_DEFAULT_ALLOWED");
});

on_both!(the_matrix_is_the_sidebar_with_the_tenants_defaults, |server| {
    acme(server).await;
    let mut owner = server.acting("acme-owner");
    let before = owner.get_permission_matrix(matrix()).await.unwrap().into_inner();
    let keys: Vec<_> = before.sections.iter().map(|row| row.section.as_str()).collect();
    let expected = "access_management agents traces logs eval session prompts mcp_debug analytics cost_control \
                    agentguard intelligence analyser settings support pricing upgrade";
    assert_eq!(keys.join(" "), expected);
    let row = |rows: &[proto::SectionDefault], key: &str| {
        rows.iter().find(|row| row.section == key).unwrap().clone()
    };
    let logs = row(&before.sections, "logs");
    assert_eq!((logs.name.as_str(), logs.r#type()), ("Logs", SectionType::Configurable));
    assert_eq!((logs.default_enabled, logs.overridden), (Some(true), false));
    let agentguard = row(&before.sections, "agentguard");
    assert_eq!((agentguard.needs_switch.as_str(), agentguard.default_enabled), ("agentguard", None));
    let settings = row(&before.sections, "settings");
    assert_eq!((settings.r#type(), settings.parts.len()), (SectionType::System, 9));
    assert_eq!((settings.parts[0].part.as_str(), settings.parts[0].role()), ("profile", Role::User));
    assert_eq!((settings.parts[5].part.as_str(), settings.parts[5].role()), ("api_keys", Role::Admin));

    let request = proto::SetSectionDefaultsRequest {
        expected_revision: before.revision,
        ..defaults(&[("logs", false)])
    };
    let answer = owner.set_section_defaults(request.clone()).await.unwrap().into_inner();
    let logs = row(&answer.sections, "logs");
    assert_eq!((logs.default_enabled, logs.overridden), (Some(false), true));
    let after = owner.get_permission_matrix(matrix()).await.unwrap().into_inner();
    assert_eq!((&after.sections, after.revision), (&answer.sections, answer.revision));
    refused(owner.set_section_defaults(request).await, Code::Aborted, "REVISION_MISMATCH");
});

on_both!(defaults_are_for_those_who_are_invited_later, |server| {
    acme(server).await;
    server.operator().set_section_defaults(defaults(&[("traces", false)])).await.unwrap();
    server.user("acme", "cy").await;
    assert_eq!(server.section("acme", "ben", "traces").await, "SECTION_GRANTED");
    assert_eq!(server.section("acme", "cy", "traces").await, "SECTION_DISABLED");
    server.tenant("zeta").await;
    server.user("zeta", "zoe").await;
    assert_eq!(server.section("zeta", "zoe", "traces").await, "SECTION_GRANTED");
});

on_both!(the_defaults_are_pushed_to_all_values_or_the_untouched_ones, |server| {
    acme(server).await;
    server.user("acme", "cy").await;
    server.member("acme", "eve", Role::Admin).await;
    let mut operator = server.operator();
    operator.set_section_access(set("ben", &[("logs", false)])).await.unwrap();
    operator.reset_section_access(reset("cy", &["eval"])).await.unwrap();
    operator.set_section_defaults(defaults(&[("traces", false), ("eval", false)])).await.unwrap();

    let untouched = apply(&["ben", "cy", "eve"], ApplyMode::OnlyUntouched);
    let answer = operator.apply_section_defaults(untouched.clone()).await.unwrap().into_inner();
    assert_eq!((answer.changed_member_ids, answer.changed_count), (vec![text("ben"), text("cy")], 2));
    let ben = stored(server, "ben").await;
    assert_eq!((ben["traces"], ben["eval"], ben["logs"], ben["agents"]), (false, false, false, true));
    let cy = stored(server, "cy").await;
    assert_eq!((cy["traces"], cy["eval"], cy["logs"], cy.len()), (false, false, true, 7));
    assert!(stored(server, "eve").await.is_empty());
    let again = operator.apply_section_defaults(untouched).await.unwrap().into_inner();
    assert_eq!((again.changed_count, again.revision), (0, answer.revision));

    let everyone = proto::ApplySectionDefaultsRequest { all: true, ..apply(&[], ApplyMode::All) };
    let answer = operator.apply_section_defaults(everyone).await.unwrap().into_inner();
    assert_eq!((answer.changed_member_ids, answer.changed_count), (vec![text("ben")], 1));
    assert_eq!(server.section("acme", "ben", "logs").await, "SECTION_GRANTED");
    assert_eq!(server.section("acme", "ben", "traces").await, "SECTION_DISABLED");
});

on_both!(the_defaults_are_pushed_to_every_user_who_is_not_deleted, |server| {
    acme(server).await;
    for member in ["cy", "dan", "fay"] {
        server.user("acme", member).await;
    }
    invite(server, "pia", Role::User).await;
    let mut operator = server.operator();
    let disable =
        proto::DisableMemberRequest { tenant_id: text("acme"), member_id: text("dan"), ..Default::default() };
    operator.disable_member(disable).await.unwrap();
    let delete =
        proto::DeleteMemberRequest { tenant_id: text("acme"), member_id: text("fay"), ..Default::default() };
    operator.delete_member(delete).await.unwrap();
    operator.set_section_defaults(defaults(&[("traces", false)])).await.unwrap();
    let everyone = proto::ApplySectionDefaultsRequest { all: true, ..apply(&[], ApplyMode::All) };
    let before = tenant_revision(server).await;
    let answer = operator.apply_section_defaults(everyone).await.unwrap().into_inner();
    assert_eq!(answer.changed_member_ids, ["ben", "cy", "dan", "pia"]);
    assert_eq!(answer.revision, before + 1);

    operator.set_section_defaults(defaults(&[("logs", false)])).await.unwrap();
    for missing in ["fay", "nobody"] {
        let refusal = operator.apply_section_defaults(apply(&["ben", missing], ApplyMode::All)).await;
        refused(refusal, Code::NotFound, "MEMBER_NOT_FOUND");
    }
    assert!(stored(server, "ben").await["logs"]);
});

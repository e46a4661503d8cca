//! Promises of the member RPCs: who may change whom, what a change denies and restores, and what stays forbidden.

mod control;
mod reads;

use doorward::proto;
use doorward::proto::Role;
use tonic::Code;

use crate::harness::{Server, invalid, on_both, refused, request_id, resource};

fn text(text: &str) -> String {
    text.to_owned()
}

fn role(member: &str, role: Role) -> proto::ChangeMemberRoleRequest {
    proto::ChangeMemberRoleRequest {
        tenant_id: text("acme"),
        member_id: text(member),
        role: role.into(),
        ..Default::default()
    }
}

fn disable(member: &str) -> proto::DisableMemberRequest {
    proto::DisableMemberRequest { tenant_id: text("acme"), member_id: text(member), ..Default::default() }
}

fn enable(member: &str) -> proto::EnableMemberRequest {
    proto::EnableMemberRequest { tenant_id: text("acme"), member_id: text(member), ..Default::default() }
}

fn delete(member: &str) -> proto::DeleteMemberRequest {
    proto::DeleteMemberRequest { tenant_id: text("acme"), member_id: text(member), ..Default::default() }
}

fn rename(member: &str, name: &str) -> proto::UpdateMemberRequest {
    proto::UpdateMemberRequest {
        tenant_id: text("acme"),
        member_id: text(member),
        display_name: text(name),
        ..Default::default()
    }
}

fn get(member: &str) -> proto::GetMemberRequest {
    proto::GetMemberRequest { tenant_id: text("acme"), member_id: text(member) }
}

fn list() -> proto::ListMembersRequest {
    proto::ListMembersRequest { tenant_id: text("acme"), ..Default::default() }
}

async fn acme(server: &Server) {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
}

async fn tenant_revision(server: &Server) -> u64 {
    let request = proto::GetTenantRequest { tenant_id: text("acme") };
    server.operator().get_tenant(request).await.unwrap().into_inner().tenant_revision
}

async fn stored(server: &Server, member: &str) -> proto::Member {
    server.operator().get_member(get(member)).await.unwrap().into_inner().member.unwrap()
}

async fn grant(server: &Server, member: &str, agent: &str) {
    let change = proto::GrantChange {
        member_id: text(member),
        resource: Some(resource("agent", agent)),
        granted: true,
        expires_at: None,
    };
    let request =
        proto::SetGrantsRequest { tenant_id: text("acme"), changes: vec![change], ..Default::default() };
    server.operator().set_grants(request).await.unwrap();
}

on_both!(an_admin_changes_members_and_nobody_else_does, |server| {
    acme(server).await;
    server.tenant("zeta").await;
    server.user("acme", "cy").await;
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED");
    for actor in ["ben", "zeta-owner", "nobody"] {
        let mut client = server.acting(actor);
        refused(client.change_member_role(role("cy", Role::Admin)).await, denied.0, denied.1);
        refused(client.disable_member(disable("cy")).await, denied.0, denied.1);
        refused(client.enable_member(enable("cy")).await, denied.0, denied.1);
        refused(client.delete_member(delete("cy")).await, denied.0, denied.1);
        refused(client.update_member(rename("cy", "Cy")).await, denied.0, denied.1);
        refused(client.get_member(get("cy")).await, denied.0, denied.1);
        refused(client.list_members(list()).await, denied.0, denied.1);
    }
    let mut owner = server.acting("acme-owner");
    assert_eq!(owner.list_members(list()).await.unwrap().into_inner().members.len(), 3);
    owner.change_member_role(role("cy", Role::Admin)).await.unwrap();
    let answer = owner.disable_member(disable("cy")).await.unwrap().into_inner();
    assert_eq!(answer.member.unwrap().status(), proto::MemberStatus::Disabled);
    // A disabled admin administers nothing any more.
    refused(server.acting("cy").disable_member(disable("ben")).await, denied.0, denied.1);
    owner.enable_member(enable("cy")).await.unwrap();
    assert!(server.acting("cy").disable_member(disable("ben")).await.is_ok());
});

on_both!(what_is_not_in_the_tenant_is_not_found, |server| {
    acme(server).await;
    server.tenant("zeta").await;
    for mut client in [server.operator(), server.acting("acme-owner")] {
        for member in ["zeta-owner", "nobody"] {
            let found = (Code::NotFound, "MEMBER_NOT_FOUND");
            refused(client.change_member_role(role(member, Role::User)).await, found.0, found.1);
            refused(client.disable_member(disable(member)).await, found.0, found.1);
            refused(client.enable_member(enable(member)).await, found.0, found.1);
            refused(client.delete_member(delete(member)).await, found.0, found.1);
            refused(client.update_member(rename(member, "X")).await, found.0, found.1);
            refused(client.get_member(get(member)).await, found.0, found.1);
        }
    }
    let elsewhere = proto::GetMemberRequest { tenant_id: text("nowhere"), ..get("ben") };
    refused(server.operator().get_member(elsewhere).await, Code::NotFound, "TENANT_NOT_FOUND");
    let elsewhere = proto::DisableMemberRequest { tenant_id: text("nowhere"), ..disable("ben") };
    refused(server.operator().disable_member(elsewhere).await, Code::NotFound, "TENANT_NOT_FOUND");
    let elsewhere = proto::ListMembersRequest { tenant_id: text("nowhere"), ..list() };
    refused(server.operator().list_members(elsewhere).await, Code::NotFound, "TENANT_NOT_FOUND");
});

on_both!(disabling_denies_at_once_and_enabling_restores_exactly, |server| {
    acme(server).await;
    server.agent("acme", "a1").await;
    grant(server, "ben", "a1").await;
    let sections = [(text("logs"), false)].into();
    let set = proto::SetSectionAccessRequest {
        tenant_id: text("acme"),
        member_id: text("ben"),
        sections,
        ..Default::default()
    };
    server.operator().set_section_access(set).await.unwrap();
    let before = stored(server, "ben").await;

    let answer = server.operator().disable_member(disable("ben")).await.unwrap().into_inner();
    assert!(answer.enforced);
    for section in ["traces", "logs", "settings"] {
        assert_eq!(server.section("acme", "ben", section).await, "MEMBER_DISABLED");
    }
    let answer = server.operator().enable_member(enable("ben")).await.unwrap().into_inner();
    let after = answer.member.unwrap();
    assert_eq!(proto::Member { revision: before.revision, ..after.clone() }, before);
    assert_eq!((after.revision, answer.revision), (after.revision, after.revision));
    assert_eq!(server.section("acme", "ben", "traces").await, "SECTION_GRANTED");
    assert_eq!(server.section("acme", "ben", "logs").await, "SECTION_DISABLED");
    assert_eq!(server.check("acme", "ben", "chat", "agent", "a1").await.1, "RESOURCE_GRANTED");
});

on_both!(a_pending_member_is_neither_disabled_nor_enabled, |server| {
    acme(server).await;
    let invite = proto::InviteMemberRequest {
        tenant_id: text("acme"),
        email: text("pia@acme.example"),
        role: Role::User.into(),
        member_id: text("pia"),
        ..Default::default()
    };
    server.operator().invite_member(invite).await.unwrap();
    let pending = (Code::FailedPrecondition, "MEMBER_PENDING");
    refused(server.operator().disable_member(disable("pia")).await, pending.0, pending.1);
    refused(server.operator().enable_member(enable("pia")).await, pending.0, pending.1);
    server.operator().change_member_role(role("pia", Role::Admin)).await.unwrap();
    server.operator().delete_member(delete("pia")).await.unwrap();
    refused(server.operator().get_member(get("pia")).await, Code::NotFound, "MEMBER_NOT_FOUND");
});

on_both!(the_last_admin_stays_and_nobody_locks_themselves_out, |server| {
    acme(server).await;
    let last = (Code::FailedPrecondition, "LAST_ADMIN");
    let mut operator = server.operator();
    refused(operator.change_member_role(role("acme-owner", Role::User)).await, last.0, last.1);
    refused(operator.disable_member(disable("acme-owner")).await, last.0, last.1);
    refused(operator.delete_member(delete("acme-owner")).await, last.0, last.1);
    let mut owner = server.acting("acme-owner");
    refused(owner.change_member_role(role("acme-owner", Role::User)).await, last.0, last.1);

    server.member("acme", "eve", Role::Admin).await;
    let oneself = (Code::FailedPrecondition, "SELF_FORBIDDEN");
    refused(owner.disable_member(disable("acme-owner")).await, oneself.0, oneself.1);
    refused(owner.delete_member(delete("acme-owner")).await, oneself.0, oneself.1);
    // Whoever is not the last one may step down.
    owner.change_member_role(role("acme-owner", Role::User)).await.unwrap();
    refused(operator.delete_member(delete("eve")).await, last.0, last.1);
});

on_both!(of_two_demotions_at_once_one_is_refused, |server| {
    acme(server).await;
    server.member("acme", "eve", Role::Admin).await;
    let (mut one, mut other) = (server.operator(), server.another_connection().await);
    let (first, second) = tokio::join!(
        one.change_member_role(role("acme-owner", Role::User)),
        other.change_member_role(role("eve", Role::User)),
    );
    assert_eq!([first.is_ok(), second.is_ok()].into_iter().filter(|ok| *ok).count(), 1);
    let refusal = if first.is_ok() { second } else { first };
    refused(refusal, Code::FailedPrecondition, "LAST_ADMIN");
});

on_both!(toggles_and_grants_sleep_while_someone_is_an_admin, |server| {
    acme(server).await;
    server.agent("acme", "a1").await;
    server.agent("acme", "a2").await;
    grant(server, "ben", "a1").await;
    let before = stored(server, "ben").await.sections;
    server.operator().change_member_role(role("ben", Role::Admin)).await.unwrap();
    assert_eq!(server.section("acme", "ben", "analytics").await, "ROLE_ADMIN");
    assert_eq!(server.check("acme", "ben", "chat", "agent", "a2").await.1, "ROLE_ADMIN");
    let answer = server.operator().change_member_role(role("ben", Role::User)).await.unwrap().into_inner();
    assert_eq!(answer.member.unwrap().sections, before);
    assert_eq!(server.section("acme", "ben", "analytics").await, "SECTION_ADMIN_ONLY");
    assert_eq!(server.check("acme", "ben", "chat", "agent", "a1").await.1, "RESOURCE_GRANTED");
    assert_eq!(server.check("acme", "ben", "chat", "agent", "a2").await, (false, text("NOT_GRANTED"), true));

    // Who never had any gets the defaults of now.
    server.member("acme", "eve", Role::Admin).await;
    let defaults = proto::SetSectionDefaultsRequest {
        tenant_id: text("acme"),
        defaults: [(text("logs"), false)].into(),
        ..Default::default()
    };
    server.operator().set_section_defaults(defaults).await.unwrap();
    assert!(stored(server, "eve").await.sections.is_empty());
    server.operator().change_member_role(role("eve", Role::User)).await.unwrap();
    let sections = stored(server, "eve").await.sections;
    assert_eq!((sections.len(), sections["logs"], sections["traces"]), (7, false, true));
    assert_eq!(server.section("acme", "eve", "logs").await, "SECTION_DISABLED");
});

on_both!(who_is_deleted_leaves_everything_but_the_member_id, |server| {
    acme(server).await;
    server.agent("acme", "a1").await;
    grant(server, "ben", "a1").await;
    let answer = server.acting("acme-owner").delete_member(delete("ben")).await.unwrap().into_inner();
    let gone = answer.member.unwrap();
    assert_eq!((gone.status(), gone.sections.len()), (proto::MemberStatus::Deleted, 0));
    assert_eq!(server.section("acme", "ben", "settings").await, "NOT_A_MEMBER");
    let missing = (Code::NotFound, "MEMBER_NOT_FOUND");
    refused(server.operator().get_member(get("ben")).await, missing.0, missing.1);
    refused(server.operator().disable_member(disable("ben")).await, missing.0, missing.1);
    refused(server.operator().enable_member(enable("ben")).await, missing.0, missing.1);
    refused(server.operator().change_member_role(role("ben", Role::Admin)).await, missing.0, missing.1);
    refused(server.operator().update_member(rename("ben", "Ben")).await, missing.0, missing.1);
    assert_eq!(server.operator().list_members(list()).await.unwrap().into_inner().members.len(), 1);

    let invite = proto::InviteMemberRequest {
        tenant_id: text("acme"),
        email: text("ben@acme.example"),
        role: Role::User.into(),
        member_id: text("ben"),
        ..Default::default()
    };
    refused(server.operator().invite_member(invite.clone()).await, Code::AlreadyExists, "ID_TAKEN");
    let invite = proto::InviteMemberRequest { member_id: text("ben2"), ..invite };
    server.operator().invite_member(invite).await.unwrap();
    let activate = proto::ActivateMemberRequest {
        tenant_id: text("acme"),
        member_id: text("ben2"),
        user_id: text("ben"),
        ..Default::default()
    };
    server.operator().activate_member(activate).await.unwrap();
    assert_eq!(server.check("acme", "ben", "chat", "agent", "a1").await.1, "NOT_GRANTED");
});

on_both!(the_keys_of_who_leaves_live_on_unless_they_are_revoked, |server| {
    acme(server).await;
    server.member("acme", "eve", Role::Admin).await;
    let create = async |id: &str| {
        let scope = proto::api_key_scope::Scope::Section(text("traces"));
        let request = proto::CreateApiKeyRequest {
            tenant_id: text("acme"),
            name: text(id),
            key_id: text(id),
            scopes: vec![proto::ApiKeyScope { scope: Some(scope) }],
            ..Default::default()
        };
        server.acting("eve").create_api_key(request).await.unwrap().into_inner().secret
    };
    let (one, _) = (create("k1").await, create("k2").await);
    let ids = |keys: &[proto::ApiKey]| keys.iter().map(|key| key.key_id.clone()).collect::<Vec<_>>();
    let reason = async || {
        let request = proto::CheckAccessRequest {
            tenant_id: text("acme"),
            subject: Some(proto::Subject { kind: Some(proto::subject::Kind::ApiKey(one.clone())) }),
            action: text("view"),
            resource: Some(resource("section", "traces")),
            ..Default::default()
        };
        server.operator().check_access(request).await.unwrap().into_inner().reason()
    };

    let answer = server.operator().disable_member(disable("eve")).await.unwrap().into_inner();
    assert_eq!((ids(&answer.live_keys), ids(&answer.revoked_keys)), (vec![text("k1"), text("k2")], vec![]));
    assert_eq!(reason().await, proto::Reason::KeyScope);
    // Disabled already, and now the keys too: one more revision.
    let again = proto::DisableMemberRequest { revoke_keys: true, ..disable("eve") };
    let second = server.operator().disable_member(again.clone()).await.unwrap().into_inner();
    assert_eq!((ids(&second.live_keys), ids(&second.revoked_keys)), (vec![], vec![text("k1"), text("k2")]));
    assert_eq!(second.revision, answer.revision + 1);
    assert_eq!(reason().await, proto::Reason::KeyInvalid);
    let third = server.operator().disable_member(again).await.unwrap().into_inner();
    assert_eq!((third.live_keys.len(), third.revoked_keys.len(), third.revision), (0, 0, second.revision));
});

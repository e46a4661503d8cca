//! Promises of every section RPC: who may call it, what makes no revision, what is compared, repeated and refused.

use super::*;

on_both!(an_admin_sets_sections_and_nobody_else_does, |server| {
    acme(server).await;
    server.tenant("zeta").await;
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED");
    for actor in ["ben", "zeta-owner", "nobody"] {
        let mut client = server.acting(actor);
        refused(client.set_section_access(set("ben", &[("logs", false)])).await, denied.0, denied.1);
        refused(client.reset_section_access(reset("ben", &[])).await, denied.0, denied.1);
        refused(client.get_permission_matrix(matrix()).await, denied.0, denied.1);
        refused(client.set_section_defaults(defaults(&[("logs", false)])).await, denied.0, denied.1);
        refused(client.apply_section_defaults(apply(&["ben"], ApplyMode::All)).await, denied.0, denied.1);
    }
    let mut owner = server.acting("acme-owner");
    let missing = (Code::NotFound, "MEMBER_NOT_FOUND");
    refused(owner.set_section_access(set("zeta-owner", &[("logs", false)])).await, missing.0, missing.1);
    refused(owner.reset_section_access(reset("zeta-owner", &[])).await, missing.0, missing.1);
    refused(owner.apply_section_defaults(apply(&["zeta-owner"], ApplyMode::All)).await, missing.0, missing.1);
    let nowhere = proto::GetPermissionMatrixRequest { tenant_id: text("nowhere") };
    refused(server.operator().get_permission_matrix(nowhere).await, Code::NotFound, "TENANT_NOT_FOUND");
});

on_both!(what_is_so_already_makes_no_revision, |server| {
    acme(server).await;
    let mut operator = server.operator();
    operator.set_section_defaults(defaults(&[("eval", false)])).await.unwrap();
    operator.set_section_access(set("ben", &[("logs", false)])).await.unwrap();
    let before = tenant_revision(server).await;
    let answer = operator.set_section_access(set("ben", &[("logs", false)])).await.unwrap().into_inner();
    assert_eq!(answer.revision, before);
    // Also where the value was copied from the defaults.
    operator.set_section_access(set("ben", &[("traces", true)])).await.unwrap();
    operator.set_section_defaults(defaults(&[("eval", false)])).await.unwrap();
    assert_eq!(tenant_revision(server).await, before);
    operator.reset_section_access(reset("ben", &["logs"])).await.unwrap();
    let answer = operator.reset_section_access(reset("ben", &["logs"])).await.unwrap().into_inner();
    assert_eq!(answer.revision, before + 1);
});

on_both!(a_trial_run_tells_the_effect_and_writes_nothing, |server| {
    acme(server).await;
    let before = (stored(server, "ben").await, tenant_revision(server).await);
    let mut operator = server.operator();
    let request = proto::SetSectionAccessRequest { validate_only: true, ..set("ben", &[("logs", false)]) };
    let answer = operator.set_section_access(request).await.unwrap().into_inner();
    assert_eq!((answer.member.unwrap().sections["logs"], answer.enforced), (false, false));
    let request = proto::ResetSectionAccessRequest { validate_only: true, ..reset("ben", &[]) };
    operator.reset_section_access(request).await.unwrap();
    let request = proto::SetSectionDefaultsRequest { validate_only: true, ..defaults(&[("logs", false)]) };
    let answer = operator.set_section_defaults(request).await.unwrap().into_inner();
    assert_eq!(answer.sections[3].default_enabled, Some(false));
    let request =
        proto::ApplySectionDefaultsRequest { validate_only: true, ..apply(&["ben"], ApplyMode::All) };
    operator.apply_section_defaults(request).await.unwrap();
    assert_eq!((stored(server, "ben").await, tenant_revision(server).await), before);
    let request =
        proto::SetSectionAccessRequest { validate_only: true, ..set("ben", &[("analytics", true)]) };
    refused(operator.set_section_access(request).await, Code::FailedPrecondition, "NOT_CONFIGURABLE");
});

on_both!(a_stale_revision_changes_nothing, |server| {
    acme(server).await;
    let mut operator = server.operator();
    let read =
        operator.set_section_access(set("ben", &[("logs", false)])).await.unwrap().into_inner().revision;
    operator.set_section_access(set("ben", &[("logs", true)])).await.unwrap();
    let stale = (Code::Aborted, "REVISION_MISMATCH");
    let request =
        proto::SetSectionAccessRequest { expected_revision: read, ..set("ben", &[("logs", false)]) };
    refused(operator.set_section_access(request).await, stale.0, stale.1);
    let request = proto::ResetSectionAccessRequest { expected_revision: read, ..reset("ben", &[]) };
    refused(operator.reset_section_access(request).await, stale.0, stale.1);
    let request =
        proto::ApplySectionDefaultsRequest { expected_revision: read, ..apply(&["ben"], ApplyMode::All) };
    refused(operator.apply_section_defaults(request.clone()).await, stale.0, stale.1);
    let request = proto::ApplySectionDefaultsRequest { expected_revision: read + 1, ..request };
    operator.apply_section_defaults(request).await.unwrap();
});

on_both!(a_repeated_request_is_applied_once, |server| {
    acme(server).await;
    let mut operator = server.operator();
    let request =
        proto::SetSectionAccessRequest { request_id: request_id(), ..set("ben", &[("logs", false)]) };
    let first = operator.set_section_access(request.clone()).await.unwrap().into_inner();
    operator.set_section_access(set("ben", &[("logs", true)])).await.unwrap();
    let second = operator.set_section_access(request).await.unwrap().into_inner();
    assert_eq!((first.member, second.replayed), (second.member, true));
    assert_eq!(server.section("acme", "ben", "logs").await, "SECTION_GRANTED");

    let request =
        proto::SetSectionDefaultsRequest { request_id: request_id(), ..defaults(&[("logs", false)]) };
    let first = operator.set_section_defaults(request.clone()).await.unwrap().into_inner();
    let second = operator.set_section_defaults(request).await.unwrap().into_inner();
    assert_eq!((first.sections, second.replayed), (second.sections, true));
    let all = proto::ApplySectionDefaultsRequest { all: true, ..apply(&[], ApplyMode::All) };
    let request = proto::ApplySectionDefaultsRequest { request_id: request_id(), ..all };
    let first = operator.apply_section_defaults(request.clone()).await.unwrap().into_inner();
    let second = operator.apply_section_defaults(request).await.unwrap().into_inner();
    assert_eq!((first.changed_member_ids, second.replayed), (second.changed_member_ids, true));
});

on_both!(toggles_are_no_growth, |server| {
    acme(server).await;
    let expire = proto::SetSubscriptionRequest {
        tenant_id: text("acme"),
        state: proto::SubscriptionState::Expired.into(),
        ..Default::default()
    };
    server.operator().set_subscription(expire).await.unwrap();
    let mut owner = server.acting("acme-owner");
    owner.set_section_access(set("ben", &[("logs", false)])).await.unwrap();
    owner.set_section_access(set("ben", &[("logs", true)])).await.unwrap();
    owner.set_section_defaults(defaults(&[("logs", true)])).await.unwrap();
    owner.apply_section_defaults(apply(&["ben"], ApplyMode::All)).await.unwrap();
});

on_both!(every_field_that_cannot_be_understood_is_named, |server| {
    acme(server).await;
    let mut operator = server.operator();
    let empty = proto::SetSectionAccessRequest::default();
    invalid(operator.set_section_access(empty).await, &["tenant_id", "member_id", "sections"]);
    for section in ["", "Logs", "a b", "settings.profile", "l\0gs", &"x".repeat(65)] {
        invalid(operator.set_section_access(set("ben", &[(section, true)])).await, &["sections"]);
        invalid(operator.set_section_defaults(defaults(&[(section, true)])).await, &["defaults"]);
        let request = reset("ben", &["logs", section]);
        invalid(operator.reset_section_access(request).await, &["sections[1]"]);
    }
    invalid(operator.reset_section_access(reset("ben", &["logs", "logs"])).await, &["sections[1]"]);
    let many: Vec<_> = (0..1_001).map(|at| format!("s{at}")).collect();
    let many = proto::ResetSectionAccessRequest { sections: many, ..reset("ben", &[]) };
    invalid(operator.reset_section_access(many).await, &["sections"]);
    let empty = proto::SetSectionDefaultsRequest::default();
    invalid(operator.set_section_defaults(empty).await, &["tenant_id", "defaults"]);
    invalid(
        operator.get_permission_matrix(proto::GetPermissionMatrixRequest::default()).await,
        &["tenant_id"],
    );

    let empty = proto::ApplySectionDefaultsRequest::default();
    invalid(operator.apply_section_defaults(empty).await, &["tenant_id", "mode", "member_ids"]);
    let both = proto::ApplySectionDefaultsRequest { all: true, ..apply(&["ben"], ApplyMode::All) };
    invalid(operator.apply_section_defaults(both).await, &["member_ids"]);
    let strange =
        proto::ApplySectionDefaultsRequest { mode: 999, ..apply(&["ben", "b n", "ben"], ApplyMode::All) };
    invalid(operator.apply_section_defaults(strange).await, &["mode", "member_ids[1]", "member_ids[2]"]);
});

//! Who may call: services by their secrets, made, rotated and revoked; API keys; services of the configuration.

mod certificate;
mod file;
mod person;
mod replicas;

use std::time::Duration;

use doorward::proto;
use doorward::proto::ServiceScope;
use doorward_engine::instant::Instant;
use tonic::Code;

use crate::harness::{Client, NOW, Server, on_both, refused, resource, timestamp, user_subject};

/// Makes a credential: its id and name are `name`. Answers its secret.
pub(crate) async fn credential(
    server: &Server,
    name: &str,
    scopes: &[ServiceScope],
    tenants: &[&str],
) -> String {
    let request = proto::CreateServiceCredentialRequest {
        name: name.to_owned(),
        credential_id: name.to_owned(),
        scopes: scopes.iter().map(|scope| i32::from(*scope)).collect(),
        tenant_ids: tenants.iter().map(|id| (*id).to_owned()).collect(),
        ..Default::default()
    };
    server.operator().create_service_credential(request).await.unwrap().into_inner().secret
}

/// Makes an API key with scope `admin`. Answers its secret.
pub(crate) async fn admin_key(server: &Server, tenant: &str, id: &str) -> String {
    let admin = proto::api_key_scope::Scope::Admin(proto::AdminScope {});
    let request = proto::CreateApiKeyRequest {
        tenant_id: tenant.to_owned(),
        key_id: id.to_owned(),
        name: id.to_owned(),
        scopes: vec![proto::ApiKeyScope { scope: Some(admin) }],
        ..Default::default()
    };
    server.operator().create_api_key(request).await.unwrap().into_inner().secret
}

pub(crate) async fn checks(client: &mut Client, tenant: &str) -> Result<bool, tonic::Status> {
    let request = proto::CheckAccessRequest {
        tenant_id: tenant.to_owned(),
        subject: Some(user_subject(&format!("{tenant}-owner"))),
        action: "view".to_owned(),
        resource: Some(resource("section", "logs")),
        ..Default::default()
    };
    client.check_access(request).await.map(|answer| answer.into_inner().allowed)
}

fn rename(tenant: &str, name: &str) -> proto::UpdateTenantRequest {
    proto::UpdateTenantRequest { tenant_id: tenant.to_owned(), name: name.to_owned(), ..Default::default() }
}

fn invite(tenant: &str, email: &str, role: proto::Role) -> proto::InviteMemberRequest {
    proto::InviteMemberRequest {
        tenant_id: tenant.to_owned(),
        email: email.to_owned(),
        role: role.into(),
        ..Default::default()
    }
}

on_both!(a_service_may_what_its_scopes_say, |server| {
    server.tenant("acme").await;
    let secret = credential(server, "gateway", &[ServiceScope::Check], &[]).await;
    assert!(secret.starts_with("dws_gateway_"));
    let mut gateway = server.client(&secret, None);
    assert!(checks(&mut gateway, "acme").await.unwrap());
    refused(gateway.update_tenant(rename("acme", "New")).await, Code::PermissionDenied, "PERMISSION_DENIED");
    let get = || proto::GetTenantRequest { tenant_id: "acme".to_owned() };
    refused(gateway.get_tenant(get()).await, Code::PermissionDenied, "PERMISSION_DENIED");
    let secret = credential(server, "reader", &[ServiceScope::Read], &[]).await;
    let mut reader = server.client(&secret, None);
    assert!(reader.get_tenant(get()).await.is_ok());
    refused(checks(&mut reader, "acme").await, Code::PermissionDenied, "PERMISSION_DENIED");
});

on_both!(an_admin_backend_acts_for_an_active_admin, |server| {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
    let secret = credential(server, "backend", &[ServiceScope::Admin], &[]).await;
    let as_whom = |actor: Option<&str>| server.client(&secret, actor);
    let nobody = as_whom(None).update_tenant(rename("acme", "New")).await;
    refused(nobody, Code::InvalidArgument, "ACTOR_REQUIRED");
    let user = as_whom(Some("ben")).update_tenant(rename("acme", "New")).await;
    refused(user, Code::PermissionDenied, "PERMISSION_DENIED");
    let stranger = as_whom(Some("nobody")).update_tenant(rename("acme", "New")).await;
    refused(stranger, Code::PermissionDenied, "PERMISSION_DENIED");
    let done = as_whom(Some("acme-owner")).update_tenant(rename("acme", "New")).await.unwrap();
    assert_eq!(done.into_inner().tenant.unwrap().name, "New");
    let log = proto::ListAuditEventsRequest { tenant_id: "acme".to_owned(), ..Default::default() };
    let events = server.operator().list_audit_events(log).await.unwrap().into_inner().events;
    let last = events.last().unwrap();
    assert_eq!((last.caller.as_str(), last.actor.as_str()), ("service:backend", "acme-owner"));
});

on_both!(a_service_of_some_tenants_cannot_tell_others_from_none, |server| {
    server.tenant("acme").await;
    server.tenant("beta").await;
    let scopes = [ServiceScope::Check, ServiceScope::Read, ServiceScope::Resources, ServiceScope::Operator];
    let secret = credential(server, "local", &scopes, &["acme"]).await;
    let mut local = server.client(&secret, None);
    assert!(checks(&mut local, "acme").await.unwrap());
    let mut told = Vec::new();
    for tenant in ["beta", "absent"] {
        let check = checks(&mut local, tenant).await.unwrap_err();
        let get =
            local.get_tenant(proto::GetTenantRequest { tenant_id: tenant.to_owned() }).await.unwrap_err();
        let suspend = proto::SuspendTenantRequest { tenant_id: tenant.to_owned(), ..Default::default() };
        let suspend = local.suspend_tenant(suspend).await.unwrap_err();
        let said = [check, get, suspend]
            .map(|status| (status.code(), status.message().to_owned(), status.details().to_vec()));
        assert!(said.iter().all(|(code, ..)| *code == Code::PermissionDenied), "{said:?}");
        told.push(said);
    }
    assert_eq!(told[0], told[1]);
    refused(
        local.list_tenants(proto::ListTenantsRequest::default()).await,
        Code::PermissionDenied,
        "PERMISSION_DENIED",
    );
});

on_both!(a_secret_is_rotated_without_a_gap_and_ends_when_it_is_told_to, |server| {
    server.tenant("acme").await;
    let first = credential(server, "gateway", &[ServiceScope::Check], &[]).await;
    let rotate = |previous: Option<Instant>| proto::RotateServiceCredentialRequest {
        credential_id: "gateway".to_owned(),
        previous_expires_at: previous.map(timestamp),
        ..Default::default()
    };
    let second = server.operator().rotate_service_credential(rotate(Some(NOW.plus_seconds(60)))).await;
    let second = second.unwrap().into_inner().secret;
    assert!(checks(&mut server.client(&first, None), "acme").await.unwrap());
    assert!(checks(&mut server.client(&second, None), "acme").await.unwrap());
    server.clock.set(NOW.plus_seconds(60));
    refused(checks(&mut server.client(&first, None), "acme").await, Code::Unauthenticated, "UNAUTHENTICATED");
    assert!(checks(&mut server.client(&second, None), "acme").await.unwrap());
    let third = server.operator().rotate_service_credential(rotate(None)).await.unwrap().into_inner();
    assert_eq!(third.credential.unwrap().secrets.len(), 2);
    let fourth = server.operator().rotate_service_credential(rotate(None)).await.unwrap().into_inner();
    refused(
        checks(&mut server.client(&second, None), "acme").await,
        Code::Unauthenticated,
        "UNAUTHENTICATED",
    );
    for secret in [third.secret, fourth.secret] {
        assert!(checks(&mut server.client(&secret, None), "acme").await.unwrap());
    }
});

on_both!(a_revoked_service_is_nobody_at_once, |server| {
    server.tenant("acme").await;
    let secret = credential(server, "gateway", &[ServiceScope::Check], &[]).await;
    let mut gateway = server.client(&secret, None);
    assert!(checks(&mut gateway, "acme").await.unwrap());
    {
        let revoke = || proto::RevokeServiceCredentialRequest {
            credential_id: "gateway".to_owned(),
            ..Default::default()
        };
        let done = server.operator().revoke_service_credential(revoke()).await.unwrap().into_inner();
        assert!(done.enforced && done.credential.unwrap().revoke_time.is_some());
        refused(checks(&mut gateway, "acme").await, Code::Unauthenticated, "UNAUTHENTICATED");
        let again = server.operator().revoke_service_credential(revoke()).await.unwrap().into_inner();
        assert_eq!(again.revision, done.revision);
    }
    let again = proto::CreateServiceCredentialRequest {
        name: "Gateway".to_owned(),
        credential_id: "gateway".to_owned(),
        scopes: vec![ServiceScope::Check.into()],
        ..Default::default()
    };
    refused(server.operator().create_service_credential(again).await, Code::AlreadyExists, "ID_TAKEN");
    let list =
        |include_revoked| proto::ListServiceCredentialsRequest { include_revoked, ..Default::default() };
    let live = server.operator().list_service_credentials(list(false)).await.unwrap().into_inner();
    let all = server.operator().list_service_credentials(list(true)).await.unwrap().into_inner();
    assert_eq!((live.credentials.len(), all.credentials.len()), (0, 1));
});

on_both!(a_key_of_a_tenant_administers_it_and_no_other, |server| {
    server.tenant("acme").await;
    server.tenant("beta").await;
    let secret = admin_key(server, "acme", "ci").await;
    let mut key = server.client(&secret, None);
    assert!(key.update_tenant(rename("acme", "New")).await.is_ok());
    assert!(checks(&mut key, "acme").await.unwrap());
    let denied = (Code::PermissionDenied, "PERMISSION_DENIED");
    refused(key.update_tenant(rename("beta", "New")).await, denied.0, denied.1);
    refused(key.update_tenant(rename("absent", "New")).await, denied.0, denied.1);
    refused(checks(&mut key, "beta").await, denied.0, denied.1);
    assert!(key.invite_member(invite("acme", "u@x.example", proto::Role::User)).await.is_ok());
    refused(key.invite_member(invite("acme", "a@x.example", proto::Role::Admin)).await, denied.0, denied.1);
    let promote = proto::ChangeMemberRoleRequest {
        tenant_id: "acme".to_owned(),
        member_id: server.user("acme", "ben").await.member_id,
        role: proto::Role::Admin.into(),
        ..Default::default()
    };
    refused(key.change_member_role(promote).await, denied.0, denied.1);
    let delete = proto::DeleteTenantRequest {
        tenant_id: "acme".to_owned(),
        confirm_slug: "acme".to_owned(),
        ..Default::default()
    };
    refused(key.delete_tenant(delete).await, denied.0, denied.1);
    let mut acting = server.client(&secret, Some("acme-owner"));
    let acted = acting.update_tenant(rename("acme", "Newer")).await.unwrap_err();
    assert_eq!(acted.code(), Code::InvalidArgument);
    let revoke = proto::RevokeApiKeyRequest {
        tenant_id: "acme".to_owned(),
        key_id: "ci".to_owned(),
        ..Default::default()
    };
    key.revoke_api_key(revoke).await.unwrap();
    refused(key.update_tenant(rename("acme", "Newest")).await, Code::Unauthenticated, "UNAUTHENTICATED");
});

on_both!(a_key_makes_nobody_an_admin_by_the_back_door, |server| {
    server.tenant("acme").await;
    let pending = invite("acme", "boss@x.example", proto::Role::Admin);
    let pending = proto::InviteMemberRequest { member_id: "boss".to_owned(), ..pending };
    let token = server.operator().invite_member(pending).await.unwrap().into_inner().invitation_token;
    let mut key = server.client(&admin_key(server, "acme", "ci").await, None);
    let resend = proto::ResendInvitationRequest {
        tenant_id: "acme".to_owned(),
        member_id: "boss".to_owned(),
        ..Default::default()
    };
    refused(key.resend_invitation(resend).await, Code::PermissionDenied, "PERMISSION_DENIED");
    let accept = proto::AcceptInvitationRequest {
        tenant_id: "acme".to_owned(),
        token,
        user_id: "mallory".to_owned(),
        ..Default::default()
    };
    refused(key.accept_invitation(accept).await, Code::PermissionDenied, "PERMISSION_DENIED");
    let activate = proto::ActivateMemberRequest {
        tenant_id: "acme".to_owned(),
        member_id: "boss".to_owned(),
        user_id: "mallory".to_owned(),
        ..Default::default()
    };
    refused(key.activate_member(activate).await, Code::PermissionDenied, "PERMISSION_DENIED");
});

on_both!(whatever_is_wrong_with_a_credential_is_one_answer, |server| {
    server.tenant("acme").await;
    let service = credential(server, "gateway", &[ServiceScope::Check], &[]).await;
    let key = admin_key(server, "acme", "ci").await;
    let expired = proto::CreateServiceCredentialRequest {
        name: "old".to_owned(),
        scopes: vec![ServiceScope::Check.into()],
        expires_at: Some(timestamp(NOW)),
        ..Default::default()
    };
    let expired = server.operator().create_service_credential(expired).await.unwrap().into_inner().secret;
    let (head, _) = service.rsplit_once('_').unwrap();
    let digits = service.rsplit_once('_').unwrap().1;
    let wrong = [
        String::new(),
        "x".to_owned(),
        format!("{head}_{}", "0".repeat(digits.len())),
        format!("dws_nobody_{digits}"),
        service[..service.len() - 1].to_owned(),
        format!("{service}0"),
        service.replace("dws_", "dwk_"),
        key.replace("dwk_", "dws_"),
        format!("{key}0"),
        expired,
    ];
    let mut said = Vec::new();
    for token in wrong {
        let status = checks(&mut server.client(&token, None), "acme").await.unwrap_err();
        said.push((status.code(), status.message().to_owned(), status.details().to_vec()));
    }
    assert!(said.iter().all(|one| *one == said[0]), "{said:?}");
    assert_eq!(said[0].0, Code::Unauthenticated);
    assert!(checks(&mut server.client(&service, None), "acme").await.is_ok());
});

on_both!(when_a_secret_was_used_is_told, |server| {
    server.tenant("acme").await;
    let secret = credential(server, "gateway", &[ServiceScope::Check], &[]).await;
    assert!(checks(&mut server.client(&secret, None), "acme").await.unwrap());
    let mut used = None;
    for _ in 0..200 {
        let list = proto::ListServiceCredentialsRequest::default();
        let listed = server.operator().list_service_credentials(list).await.unwrap().into_inner();
        used = listed.credentials[0].secrets[0].last_used_time;
        if used.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert_eq!(used, Some(timestamp(NOW)));
});

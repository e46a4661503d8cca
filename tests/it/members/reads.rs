//! Promises of reading members: oneself or as an admin, and lists that are exact.

use super::*;

on_both!(a_member_speaks_for_themselves, |server| {
    acme(server).await;
    server.user("acme", "cy").await;
    let mut ben = server.acting("ben");
    let answer = ben.update_member(rename("ben", "Benjamin")).await.unwrap().into_inner();
    assert_eq!(answer.member.unwrap().display_name, "Benjamin");
    let member = ben.get_member(get("ben")).await.unwrap().into_inner().member.unwrap();
    assert_eq!((member.display_name.as_str(), member.user_id.as_str()), ("Benjamin", "ben"));
    for other in ["cy", "acme-owner", "nobody"] {
        refused(ben.update_member(rename(other, "X")).await, Code::PermissionDenied, "PERMISSION_DENIED");
        refused(ben.get_member(get(other)).await, Code::PermissionDenied, "PERMISSION_DENIED");
    }
    let answer = server.acting("acme-owner").update_member(rename("ben", "")).await.unwrap().into_inner();
    assert_eq!(answer.member.unwrap().display_name, "");
    server.operator().disable_member(disable("ben")).await.unwrap();
    refused(ben.get_member(get("ben")).await, Code::PermissionDenied, "PERMISSION_DENIED");
});

on_both!(lists_are_exact_whatever_the_size_of_a_page, |server| {
    acme(server).await;
    for name in ["amy", "cy", "dan", "eve"] {
        server.user("acme", name).await;
    }
    server.operator().disable_member(disable("dan")).await.unwrap();
    server.operator().update_member(rename("eve", "Evelyn BEN")).await.unwrap();
    server.operator().delete_member(delete("amy")).await.unwrap();
    let pages = async |request: proto::ListMembersRequest| {
        let (mut ids, mut token) = (Vec::new(), String::new());
        loop {
            let page = proto::ListMembersRequest { page_token: token, ..request.clone() };
            let answer = server.acting("acme-owner").list_members(page).await.unwrap().into_inner();
            let limit = if request.page_size == 0 { 50 } else { request.page_size };
            assert!(answer.members.len() <= usize::try_from(limit).unwrap());
            ids.extend(answer.members.into_iter().map(|member| member.member_id));
            token = answer.next_page_token;
            if token.is_empty() {
                return ids;
            }
        }
    };
    let all = ["acme-owner", "ben", "cy", "dan", "eve"];
    for page_size in [0, 1, 2, 4, 5, 6, i32::MAX] {
        assert_eq!(pages(proto::ListMembersRequest { page_size, ..list() }).await, all);
    }
    let disabled = proto::MemberStatus::Disabled.into();
    assert_eq!(pages(proto::ListMembersRequest { status: disabled, ..list() }).await, ["dan"]);
    assert_eq!(pages(proto::ListMembersRequest { role: Role::Admin.into(), ..list() }).await, ["acme-owner"]);
    assert_eq!(
        pages(proto::ListMembersRequest { text: text("bEn"), page_size: 1, ..list() }).await,
        ["ben", "eve"]
    );
    assert_eq!(pages(proto::ListMembersRequest { text: text("%"), ..list() }).await, [""; 0]);
});

on_both!(a_page_token_is_of_its_list_alone, |server| {
    acme(server).await;
    server.tenant("zeta").await;
    let first = proto::ListMembersRequest { page_size: 1, ..list() };
    let token = server.operator().list_members(first.clone()).await.unwrap().into_inner().next_page_token;
    assert!(!token.is_empty());
    for other in [
        proto::ListMembersRequest { page_token: token.clone(), tenant_id: text("zeta"), ..first.clone() },
        proto::ListMembersRequest { page_token: token.clone(), text: text("e"), ..first.clone() },
        proto::ListMembersRequest { page_token: token.clone(), role: Role::User.into(), ..first.clone() },
        proto::ListMembersRequest { page_token: text("forged"), ..first.clone() },
        proto::ListMembersRequest { page_token: token.to_ascii_lowercase(), ..first.clone() },
    ] {
        invalid(server.operator().list_members(other).await, &["page_token"]);
    }
    let next = proto::ListMembersRequest { page_token: token, page_size: 9, ..first };
    assert_eq!(server.operator().list_members(next).await.unwrap().into_inner().members.len(), 1);
});

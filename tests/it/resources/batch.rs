//! Promises of registering many resources at once: all of them or none.

use super::*;

fn batch(resources: Vec<proto::NewResource>) -> proto::BatchRegisterResourcesRequest {
    proto::BatchRegisterResourcesRequest {
        tenant_id: "acme".to_owned(),
        r#type: "agent".to_owned(),
        resources,
        ..Default::default()
    }
}

fn one(id: &str) -> proto::NewResource {
    proto::NewResource { resource_id: id.to_owned(), name: "An agent".to_owned(), ..Default::default() }
}

on_both!(many_are_registered_in_one_revision, |server| {
    server.tenant("acme").await;
    let before = revision(server).await;
    let tagged = proto::NewResource { tags: tags(&[("team", "blue")]), ..one("a2") };
    let unnamed = one("");
    let request = batch(vec![tagged, one("a1"), unnamed]);
    let answer = server.acting("acme-owner").batch_register_resources(request).await.unwrap().into_inner();
    assert_eq!(answer.revision, before + 1);
    let ids: Vec<_> = answer.resources.iter().map(|one| one.resource_id.as_str()).collect();
    assert_eq!(ids[..2], ["a2", "a1"]);
    assert_eq!(uuid::Uuid::parse_str(ids[2]).unwrap().get_version_num(), 7);
    for told in &answer.resources {
        assert_eq!(found(server, &told.resource_id).await, *told);
        assert_eq!((told.status(), told.revision), (Status::Active, answer.revision));
    }
    assert_eq!(answer.resources[0].tags, tags(&[("team", "blue")]));
    let many: Vec<_> = (0..1_000).map(|at| one(&format!("m{at}"))).collect();
    let answer = server.operator().batch_register_resources(batch(many.clone())).await.unwrap().into_inner();
    assert_eq!(answer.resources.len(), 1_000);
    let more = [many, vec![one("m1000")]].concat();
    invalid(server.operator().batch_register_resources(batch(more)).await, &["resources"]);
    invalid(server.operator().batch_register_resources(batch(Vec::new())).await, &["resources"]);
});

on_both!(one_that_cannot_be_registered_stops_them_all, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    server.agent("acme", "a1").await;
    let before = revision(server).await;
    let mut operator = server.operator();
    let taken = operator.batch_register_resources(batch(vec![one("a2"), one("a1")])).await;
    refused(taken, Code::AlreadyExists, "ID_TAKEN");
    let wrong = vec![
        one("a2"),
        one("a2"),
        proto::NewResource { name: String::new(), ..one("a3") },
        proto::NewResource { tags: tags(&[("", "x")]), ..one("a4") },
        one("no spaces"),
    ];
    let fields =
        ["resources[1].resource_id", "resources[2].name", "resources[3].tags", "resources[4].resource_id"];
    invalid(operator.batch_register_resources(batch(wrong)).await, &fields);
    let strange =
        proto::BatchRegisterResourcesRequest { r#type: "robot".to_owned(), ..batch(vec![one("a2")]) };
    invalid(operator.batch_register_resources(strange).await, &["type"]);
    // An admin of another tenant, and one of this tenant who names another.
    let mut stranger = server.acting("zeta-owner");
    let denied = stranger.batch_register_resources(batch(vec![one("a2")])).await;
    assert_eq!(denied.unwrap_err().code(), Code::PermissionDenied);
    assert_eq!(revision(server).await, before);
});

on_both!(a_repetition_registers_once_and_a_stale_reader_nothing, |server| {
    server.tenant("acme").await;
    let seen = revision(server).await;
    let request = proto::BatchRegisterResourcesRequest {
        request_id: request_id(),
        expected_revision: seen,
        ..batch(vec![one("a1"), one("")])
    };
    let preview = proto::BatchRegisterResourcesRequest {
        validate_only: true,
        request_id: String::new(),
        ..request.clone()
    };
    let mut operator = server.operator();
    operator.batch_register_resources(preview).await.unwrap();
    assert_eq!(revision(server).await, seen);
    let first = operator.batch_register_resources(request.clone()).await.unwrap().into_inner();
    let second = operator.batch_register_resources(request.clone()).await.unwrap().into_inner();
    assert!(!first.replayed && second.replayed);
    assert_eq!((first.resources, first.revision), (second.resources, second.revision));
    let stale = proto::BatchRegisterResourcesRequest { request_id: String::new(), ..request };
    let refusal = operator.batch_register_resources(stale).await;
    refused(refusal, Code::Aborted, "REVISION_MISMATCH");
    assert_eq!(reason(server, "acme-owner", "view", "a1").await, "ROLE_ADMIN");
});

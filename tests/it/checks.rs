//! Promises of the check RPCs themselves: who may ask, what is asked wrongly, how fresh an answer is, what it costs.

use doorward::proto;
use doorward::proto::consistency::Requirement;
use doorward::proto::subject::Kind;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;

use crate::harness::{self, NOW, Server, invalid, on_both, refused, resource, user_subject};
use crate::postgres;

fn question(user: &str, section: &str) -> proto::CheckAccessRequest {
    proto::CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(user_subject(user)),
        action: "view".to_owned(),
        resource: Some(resource("section", section)),
        ..Default::default()
    }
}

fn subject(kind: Kind) -> Option<proto::Subject> {
    Some(proto::Subject { kind: Some(kind) })
}

async fn acme(server: &Server) {
    server.tenant("acme").await;
    server.user("acme", "ben").await;
}

on_both!(nobody_asks_without_the_token, |server| {
    acme(server).await;
    let long = "x".repeat(4_000);
    let almost = &harness::TOKEN[..harness::TOKEN.len() - 1];
    let mut texts = Vec::new();
    for token in ["", "wrong", almost, &long] {
        let answer = server.client(token, None).check_access(question("ben", "traces")).await;
        texts.push(refused(answer, Code::Unauthenticated, "UNAUTHENTICATED"));
        let mut client = server.client(token, Some("acme-owner"));
        let answer = client.watch_changes(proto::WatchChangesRequest::default()).await;
        texts.push(refused(answer.map(drop), Code::Unauthenticated, "UNAUTHENTICATED"));
    }
    texts.dedup();
    assert_eq!(texts.len(), 1, "{texts:?}");
});

on_both!(an_admin_asks_about_all_and_a_member_about_themselves, |server| {
    acme(server).await;
    server.user("acme", "cy").await;
    server.tenant("zeta").await;
    for actor in ["acme-owner", "ben"] {
        let answer = server.acting(actor).check_access(question("ben", "traces")).await.unwrap().into_inner();
        assert!(answer.allowed, "{actor}");
    }
    let by_member_id = proto::CheckAccessRequest {
        subject: subject(Kind::MemberId("ben".to_owned())),
        ..question("ben", "traces")
    };
    assert!(server.acting("ben").check_access(by_member_id).await.unwrap().into_inner().allowed);
    let key = proto::CheckAccessRequest {
        subject: subject(Kind::ApiKey("dwk_k1_00".to_owned())),
        ..question("ben", "traces")
    };
    for (actor, request) in [
        ("ben", question("cy", "traces")),
        ("ben", question("nobody", "traces")),
        ("ben", key),
        ("zeta-owner", question("ben", "traces")),
        ("nobody", question("ben", "traces")),
    ] {
        refused(
            server.acting(actor).check_access(request).await,
            Code::PermissionDenied,
            "PERMISSION_DENIED",
        );
    }
});

on_both!(a_foreign_tenant_looks_like_none, |server| {
    acme(server).await;
    server.tenant("zeta").await;
    let mut seen = Vec::new();
    for tenant in ["acme", "nowhere"] {
        let request =
            proto::CheckAccessRequest { tenant_id: tenant.to_owned(), ..question("zeta-owner", "traces") };
        let status = server.acting("zeta-owner").check_access(request).await.unwrap_err();
        seen.push((status.code(), status.message().to_owned(), status.details().to_vec()));
    }
    assert_eq!(seen[0], seen[1]);
});

on_both!(a_denial_is_an_answer, |server| {
    acme(server).await;
    for (request, reason) in [
        (question("stranger", "traces"), "NOT_A_MEMBER"),
        (question("ben", "trases"), "SECTION_UNKNOWN"),
        (question("ben", "analytics"), "SECTION_ADMIN_ONLY"),
        (
            proto::CheckAccessRequest { tenant_id: "nowhere".to_owned(), ..question("ben", "traces") },
            "TENANT_NOT_FOUND",
        ),
        (
            proto::CheckAccessRequest {
                subject: subject(Kind::ApiKey("dwk_none_0123".to_owned())),
                ..question("ben", "traces")
            },
            "KEY_INVALID",
        ),
    ] {
        let answer = server.operator().check_access(request).await.unwrap().into_inner();
        assert_eq!((answer.allowed, answer.reason().as_str_name()), (false, &*format!("REASON_{reason}")));
        assert!(!answer.revision_token.is_empty());
    }
});

on_both!(what_cannot_be_asked_names_every_field, |server| {
    acme(server).await;
    let ask = async |request| server.operator().check_access(request).await;
    invalid(ask(proto::CheckAccessRequest::default()).await, &["tenant_id", "subject", "action", "resource"]);
    for id in ["", " ", "a b", "a\nb", "a\0b", "\u{202e}ben", "a\"b", &"x".repeat(129), "-a"] {
        let request = proto::CheckAccessRequest { tenant_id: id.to_owned(), ..question("ben", "traces") };
        invalid(ask(request).await, &["tenant_id"]);
        let request =
            proto::CheckAccessRequest { resource: Some(resource("agent", id)), ..question("ben", "x") };
        invalid(ask(request).await, &["resource.id"]);
    }
    for user in ["", "be n", "b\u{e9}n", "b`n", "b\\n", &"x".repeat(256)] {
        invalid(ask(question(user, "traces")).await, &["subject.user_id"]);
    }
    let strange =
        proto::CheckAccessRequest { resource: Some(resource("robot", "r1")), ..question("ben", "x") };
    invalid(ask(strange).await, &["resource.type"]);
    let strange = proto::CheckAccessRequest { action: "fly".to_owned(), ..question("ben", "traces") };
    invalid(ask(strange).await, &["action"]);
    let by_id = subject(Kind::ApiKeyId("k1".to_owned()));
    let strange = proto::CheckAccessRequest { subject: by_id, ..question("ben", "traces") };
    invalid(ask(strange).await, &["subject.api_key_id"]);
    let somewhere = proto::Context { country: "Germany".to_owned(), email_domain: "not a domain".to_owned() };
    let strange = proto::CheckAccessRequest { context: Some(somewhere), ..question("ben", "traces") };
    invalid(ask(strange).await, &["context.country", "context.email_domain"]);
});

on_both!(a_batch_keeps_its_order_and_names_what_is_wrong, |server| {
    acme(server).await;
    server.agent("acme", "a1").await;
    let check = |action: &str, kind: &str, id: &str| proto::Check {
        action: action.to_owned(),
        resource: Some(resource(kind, id)),
    };
    let batch = |checks| proto::BatchCheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(user_subject("ben")),
        checks,
        ..Default::default()
    };
    let checks = vec![
        check("view", "section", "analytics"),
        check("view", "agent", "a1"),
        check("view", "section", "traces"),
        check("view", "agent", "a2"),
    ];
    let answer = server.operator().batch_check_access(batch(checks)).await.unwrap().into_inner();
    let reasons: Vec<_> = answer.results.iter().map(|one| one.reason()).collect();
    use proto::Reason;
    assert_eq!(
        reasons,
        [Reason::SectionAdminOnly, Reason::NotGranted, Reason::SectionGranted, Reason::ResourceNotFound]
    );

    let many = |count| vec![check("view", "section", "traces"); count];
    assert_eq!(
        server.operator().batch_check_access(batch(many(1_000))).await.unwrap().into_inner().results.len(),
        1_000
    );
    invalid(server.operator().batch_check_access(batch(many(0))).await, &["checks"]);
    invalid(server.operator().batch_check_access(batch(many(1_001))).await, &["checks"]);
    let wrong =
        vec![check("view", "section", "traces"), check("fly", "agent", "a1"), check("view", "robot", "r1")];
    invalid(
        server.operator().batch_check_access(batch(wrong)).await,
        &["checks[1].action", "checks[2].resource.type"],
    );
});

on_both!(an_explanation_agrees_and_names_the_rule, |server| {
    acme(server).await;
    let request = proto::ExplainAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(user_subject("ben")),
        action: "view".to_owned(),
        resource: Some(resource("section", "traces")),
        ..Default::default()
    };
    let answer = server.operator().explain_access(request.clone()).await.unwrap().into_inner();
    assert_eq!(answer.reason(), proto::Reason::SectionGranted);
    let last = answer.steps.last().unwrap();
    assert_eq!((last.rule, last.outcome()), (17, proto::RuleOutcome::Decided));
    assert!(server.acting("ben").explain_access(request.clone()).await.is_ok());
    server.user("acme", "cy").await;
    refused(server.acting("cy").explain_access(request).await, Code::PermissionDenied, "PERMISSION_DENIED");
});

on_both!(a_token_says_how_fresh_and_only_for_its_tenant, |server| {
    acme(server).await;
    server.tenant("zeta").await;
    let token =
        server.operator().check_access(question("ben", "traces")).await.unwrap().into_inner().revision_token;
    let at_least = |tenant: &str, token: &str| proto::CheckAccessRequest {
        tenant_id: tenant.to_owned(),
        consistency: Some(proto::Consistency {
            requirement: Some(Requirement::AtLeastAsFresh(token.to_owned())),
        }),
        ..question("ben", "traces")
    };
    assert!(server.operator().check_access(at_least("acme", &token)).await.is_ok());
    let field = ["consistency.at_least_as_fresh"];
    invalid(server.operator().check_access(at_least("zeta", &token)).await, &field);
    let mut forged = token.clone().into_bytes();
    forged[4] = if forged[4] == b'A' { b'B' } else { b'A' };
    invalid(
        server.operator().check_access(at_least("acme", &String::from_utf8(forged).unwrap())).await,
        &field,
    );
    invalid(server.operator().check_access(at_least("acme", "")).await, &field);
});

on_both!(an_answer_says_until_when_it_holds, |server| {
    acme(server).await;
    let answer = server.operator().check_access(question("ben", "traces")).await.unwrap().into_inner();
    let trial_end = NOW.plus_seconds(14 * 24 * 60 * 60);
    assert_eq!(answer.valid_until, Some(harness::timestamp(trial_end)));
    server.clock.set(trial_end);
    assert_eq!(server.section("acme", "ben", "traces").await, "SUBSCRIPTION_EXPIRED");
    let answer = server.operator().check_access(question("ben", "traces")).await.unwrap().into_inner();
    assert_eq!(answer.valid_until, None);
});

on_both!(health_needs_no_token_and_reflection_does, |server| {
    let mut health = HealthClient::new(server.channel());
    for service in ["", "doorward.v1.AccessService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = health.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving, "{service}");
    }
    let strange = ServerReflectionClient::new(server.channel())
        .server_reflection_info(tokio_stream::iter([ServerReflectionRequest::default()]))
        .await;
    refused(strange.map(drop), Code::Unauthenticated, "UNAUTHENTICATED");
    let mut reflection =
        ServerReflectionClient::with_interceptor(server.channel(), harness::Auth::operator());
    let request = ServerReflectionRequest {
        host: String::new(),
        message_request: Some(MessageRequest::FileContainingSymbol("doorward.v1.AccessService".to_owned())),
    };
    let mut answers =
        reflection.server_reflection_info(tokio_stream::iter([request])).await.unwrap().into_inner();
    let answer = answers.message().await.unwrap().unwrap();
    assert!(format!("{:?}", answer.message_response).contains("FileDescriptorResponse"), "{answer:?}");
});

/// On a warm pool a check that must go to the database is one statement, whatever is asked; one that a cache may answer
/// is none.
#[test]
fn a_check_costs_one_statement_on_postgres_and_a_cached_one_none() {
    let cluster = postgres::cluster_with_log();
    let url = cluster.fresh_database();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(doorward::store::sql::migrate(&url)).unwrap();
    harness::run_on(&url, async |server| {
        acme(server).await;
        server.agent("acme", "a1").await;
        let questions = [
            question("ben", "traces"),
            question("stranger", "traces"),
            proto::CheckAccessRequest { resource: Some(resource("agent", "a1")), ..question("ben", "x") },
            proto::CheckAccessRequest {
                subject: subject(Kind::ApiKey("dwk_none_0123".to_owned())),
                ..question("ben", "traces")
            },
        ];
        let ask = async |requirement: Requirement| {
            let before = cluster.statements(&url).len();
            for request in (0..25).flat_map(|_| &questions) {
                let consistency = Some(proto::Consistency { requirement: Some(requirement.clone()) });
                let request = proto::CheckAccessRequest { consistency, ..request.clone() };
                server.operator().check_access(request).await.unwrap();
            }
            cluster.statements(&url).split_off(before)
        };
        let feed = |statement: &String| {
            statement.contains("pg_current_snapshot")
                || statement.contains("replica")
                || statement.contains("LISTEN")
        };
        // The feed goes on meanwhile, on a connection of its own.
        let of_checks =
            |statements: Vec<String>| statements.into_iter().filter(|s| !feed(s)).collect::<Vec<_>>();
        ask(Requirement::FullyConsistent(true)).await;
        let fresh = of_checks(ask(Requirement::FullyConsistent(true)).await);
        assert_eq!(fresh.len(), 25 * questions.len(), "{:#?}", &fresh[..fresh.len().min(8)]);
        let cached = of_checks(ask(Requirement::MinimizeLatency(true)).await);
        assert_eq!(cached, Vec::<String>::new());
    });
}

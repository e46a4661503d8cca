//! Promises of the feature switches and the firewall: what is set binds at once, in whatever form it was written.

use doorward::proto;
use doorward::proto::set_firewall_rule_request::Rule;
use doorward::proto::{FirewallMode, OnMissing};
use tonic::Code;

use crate::harness::{Server, invalid, on_both, refused, request_id, resource, user_subject};

fn switch(enabled: bool) -> proto::SetFeatureSwitchRequest {
    proto::SetFeatureSwitchRequest {
        tenant_id: "acme".to_owned(),
        switch: "agentguard".to_owned(),
        enabled,
        ..Default::default()
    }
}

fn setting(rule: Option<Rule>) -> proto::SetFirewallRuleRequest {
    proto::SetFirewallRuleRequest { tenant_id: "acme".to_owned(), rule, ..Default::default() }
}

fn countries(mode: FirewallMode, countries: &[&str]) -> proto::SetFirewallRuleRequest {
    let countries = countries.iter().map(|&country| country.to_owned()).collect();
    let rule = proto::CountryRule { mode: mode.into(), countries, on_missing: 0 };
    setting(Some(Rule::Country(rule)))
}

fn domains(mode: FirewallMode, domains: &[&str]) -> proto::SetFirewallRuleRequest {
    let domains = domains.iter().map(|&domain| domain.to_owned()).collect();
    setting(Some(Rule::Domain(proto::DomainRule { mode: mode.into(), domains })))
}

fn removing(kind: proto::FirewallRuleKind) -> proto::DeleteFirewallRuleRequest {
    proto::DeleteFirewallRuleRequest { tenant_id: "acme".to_owned(), kind: kind.into(), ..Default::default() }
}

/// What the tenant's ADMIN gets who chats with `a1` from a country and a domain.
async fn chat(server: &Server, country: &str, email_domain: &str) -> String {
    let request = proto::CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(user_subject("acme-owner")),
        action: "chat".to_owned(),
        resource: Some(resource("agent", "a1")),
        context: Some(proto::Context { country: country.to_owned(), email_domain: email_domain.to_owned() }),
        ..Default::default()
    };
    let answer = server.operator().check_access(request).await.unwrap().into_inner();
    answer.reason().as_str_name().trim_start_matches("REASON_").to_owned()
}

async fn guarded(server: &Server) {
    server.tenant("acme").await;
    server.agent("acme", "a1").await;
    server.acting("acme-owner").set_feature_switch(switch(true)).await.unwrap();
}

async fn revision(server: &Server) -> u64 {
    let request = proto::GetTenantRequest { tenant_id: "acme".to_owned() };
    server.operator().get_tenant(request).await.unwrap().into_inner().tenant_revision
}

on_both!(a_switch_opens_and_closes_its_section_at_once, |server| {
    server.tenant("acme").await;
    let mut admin = server.acting("acme-owner");
    assert_eq!(server.section("acme", "acme-owner", "agentguard").await, "FEATURE_DISABLED");
    let on = admin.set_feature_switch(switch(true)).await.unwrap().into_inner();
    assert_eq!(on.tenant.unwrap().switches, ["agentguard"]);
    assert_eq!(server.section("acme", "acme-owner", "agentguard").await, "ROLE_ADMIN");
    let again = admin.set_feature_switch(switch(true)).await.unwrap().into_inner();
    assert_eq!(again.revision, on.revision, "nothing changed");
    admin.set_feature_switch(switch(false)).await.unwrap();
    assert_eq!(server.section("acme", "acme-owner", "agentguard").await, "FEATURE_DISABLED");
    for unknown in ["agentgard", "", "Agent Guard"] {
        let request = proto::SetFeatureSwitchRequest { switch: unknown.to_owned(), ..switch(true) };
        invalid(admin.set_feature_switch(request).await, &["switch"]);
    }
});

on_both!(a_country_rule_binds_while_the_switch_is_on, |server| {
    guarded(server).await;
    let mut admin = server.acting("acme-owner");
    let request = countries(FirewallMode::AllowList, &["in", "De"]);
    let answer = admin.set_firewall_rule(request).await.unwrap().into_inner();
    let rule = answer.tenant.unwrap().firewall.unwrap().country.unwrap();
    assert_eq!(
        (rule.countries, rule.on_missing),
        (vec!["DE".to_owned(), "IN".to_owned()], OnMissing::Skip.into())
    );
    assert_eq!(chat(server, "IN", "").await, "ROLE_ADMIN");
    assert_eq!(chat(server, "us", "").await, "FIREWALL_COUNTRY");
    assert_eq!(chat(server, "", "").await, "ROLE_ADMIN");
    admin.set_feature_switch(switch(false)).await.unwrap();
    assert_eq!(chat(server, "us", "").await, "ROLE_ADMIN");
    admin.set_feature_switch(switch(true)).await.unwrap();
    let mut strict = countries(FirewallMode::BlockList, &["US"]);
    if let Some(Rule::Country(rule)) = &mut strict.rule {
        rule.on_missing = OnMissing::Deny.into();
    }
    admin.set_firewall_rule(strict).await.unwrap();
    assert_eq!(chat(server, "US", "").await, "FIREWALL_COUNTRY");
    assert_eq!(chat(server, "IN", "").await, "ROLE_ADMIN");
    assert_eq!(chat(server, "", "").await, "FIREWALL_COUNTRY");
});

on_both!(a_domain_rule_knows_a_domain_in_every_form, |server| {
    guarded(server).await;
    let mut admin = server.acting("acme-owner");
    let request = domains(FirewallMode::AllowList, &["BÜCHER.example.", "Acme.Example"]);
    let answer = admin.set_firewall_rule(request).await.unwrap().into_inner();
    let rule = answer.tenant.unwrap().firewall.unwrap().domain.unwrap();
    assert_eq!(rule.domains, ["acme.example", "xn--bcher-kva.example"]);
    assert_eq!(chat(server, "", "").await, "ROLE_ADMIN", "the domain of the owner's address");
    for (domain, reason) in [
        ("bücher.example", "ROLE_ADMIN"),
        ("XN--BCHER-KVA.example.", "ROLE_ADMIN"),
        ("mail.acme.example", "FIREWALL_DOMAIN"),
        ("other.example", "FIREWALL_DOMAIN"),
    ] {
        assert_eq!(chat(server, "", domain).await, reason, "{domain}");
    }
    let same = domains(FirewallMode::AllowList, &["acme.example", "bücher.example"]);
    let again = admin.set_firewall_rule(same).await.unwrap().into_inner();
    assert_eq!(again.revision, answer.revision, "an equal rule in another form is no change");
});

on_both!(both_rules_must_pass_and_each_is_removed_by_itself, |server| {
    use proto::FirewallRuleKind::{Country, Domain};
    guarded(server).await;
    let mut admin = server.acting("acme-owner");
    let absent = admin.delete_firewall_rule(removing(Country)).await.unwrap().into_inner();
    assert_eq!(absent.revision, revision(server).await);
    let before = revision(server).await;
    admin.set_firewall_rule(countries(FirewallMode::BlockList, &["US"])).await.unwrap();
    admin.set_firewall_rule(domains(FirewallMode::BlockList, &["bad.example"])).await.unwrap();
    assert_eq!(revision(server).await, before + 2);
    assert_eq!(chat(server, "US", "bad.example").await, "FIREWALL_COUNTRY");
    assert_eq!(chat(server, "IN", "bad.example").await, "FIREWALL_DOMAIN");
    let answer = admin.delete_firewall_rule(removing(Domain)).await.unwrap().into_inner();
    let firewall = answer.tenant.unwrap().firewall.unwrap();
    assert!(firewall.domain.is_none() && firewall.country.is_some());
    assert_eq!(chat(server, "IN", "bad.example").await, "ROLE_ADMIN");
    assert_eq!(chat(server, "US", "bad.example").await, "FIREWALL_COUNTRY");
    admin.delete_firewall_rule(removing(Country)).await.unwrap();
    assert_eq!(chat(server, "US", "bad.example").await, "ROLE_ADMIN");
    let wrong = removing(proto::FirewallRuleKind::Unspecified);
    invalid(admin.delete_firewall_rule(wrong).await, &["kind"]);
    let wrong = proto::DeleteFirewallRuleRequest { kind: 7, ..removing(Country) };
    invalid(admin.delete_firewall_rule(wrong).await, &["kind"]);
});

on_both!(every_wrong_field_of_a_rule_is_named, |server| {
    server.tenant("acme").await;
    let mut admin = server.acting("acme-owner");
    let (allow, none) = (FirewallMode::AllowList, FirewallMode::Unspecified);
    invalid(admin.set_firewall_rule(setting(None)).await, &["rule"]);
    let empty = countries(none, &[]);
    invalid(admin.set_firewall_rule(empty).await, &["country.mode", "country.countries"]);
    let wrong = countries(allow, &["DE", "XX", "D", "de", "DEU", "D\0"]);
    let fields = [1, 2, 3, 4, 5].map(|at| format!("country.countries[{at}]"));
    let fields: Vec<_> = fields.iter().map(String::as_str).collect();
    invalid(admin.set_firewall_rule(wrong).await, &fields);
    let mut missing = countries(allow, &["DE"]);
    if let Some(Rule::Country(rule)) = &mut missing.rule {
        rule.on_missing = 9;
    }
    invalid(admin.set_firewall_rule(missing).await, &["country.on_missing"]);
    let long = format!("{}.example", "x".repeat(64));
    let wrong = domains(allow, &["a.example", "A.EXAMPLE", "localhost", "a b.example", &long, "a..b"]);
    let fields = [1, 2, 3, 4, 5].map(|at| format!("domain.domains[{at}]"));
    let fields: Vec<_> = fields.iter().map(String::as_str).collect();
    invalid(admin.set_firewall_rule(wrong).await, &fields);
    let many: Vec<_> = (0..1001).map(|n| format!("d{n}.example")).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    invalid(admin.set_firewall_rule(domains(allow, &many)).await, &["domain.domains"]);
    admin.set_firewall_rule(domains(allow, &many[..1000])).await.unwrap();
});

on_both!(switches_and_rules_are_an_admins, |server| {
    server.tenant("acme").await;
    server.tenant("zeta").await;
    server.user("acme", "ben").await;
    let before = revision(server).await;
    let (code, reason) = (Code::PermissionDenied, "PERMISSION_DENIED");
    for actor in ["ben", "zeta-owner", "nobody"] {
        let mut client = server.acting(actor);
        refused(client.set_feature_switch(switch(true)).await, code, reason);
        let rule = countries(FirewallMode::AllowList, &["DE"]);
        refused(client.set_firewall_rule(rule).await, code, reason);
        let rule = removing(proto::FirewallRuleKind::Country);
        refused(client.delete_firewall_rule(rule).await, code, reason);
    }
    assert_eq!(revision(server).await, before);
    let absent = proto::SetFeatureSwitchRequest { tenant_id: "nowhere".to_owned(), ..switch(true) };
    let answer = server.operator().set_feature_switch(absent).await;
    refused(answer, Code::NotFound, "TENANT_NOT_FOUND");
    server.operator().set_feature_switch(switch(true)).await.unwrap();
});

on_both!(rules_are_dry_run_set_once_and_not_over_a_newer_state, |server| {
    let tenant = server.tenant("acme").await;
    let mut admin = server.acting("acme-owner");
    let rule = || countries(FirewallMode::AllowList, &["DE"]);
    let dry = proto::SetFirewallRuleRequest { validate_only: true, ..rule() };
    let answer = admin.set_firewall_rule(dry).await.unwrap().into_inner();
    assert!(answer.tenant.unwrap().firewall.unwrap().country.is_some());
    assert_eq!(revision(server).await, 1);
    let once = proto::SetFirewallRuleRequest { request_id: request_id(), ..rule() };
    let first = admin.set_firewall_rule(once.clone()).await.unwrap().into_inner();
    admin.delete_firewall_rule(removing(proto::FirewallRuleKind::Country)).await.unwrap();
    let second = admin.set_firewall_rule(once).await.unwrap().into_inner();
    assert_eq!((second.replayed, second.tenant), (true, first.tenant));
    assert_eq!(revision(server).await, 3);
    let stale = proto::SetFeatureSwitchRequest { expected_revision: tenant.revision, ..switch(true) };
    refused(admin.set_feature_switch(stale).await, Code::Aborted, "REVISION_MISMATCH");
});

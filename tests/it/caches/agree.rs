//! Random histories: at every instant, also where something expires, the cached answer is the uncached one.

use doorward::clock::Clock;
use doorward::proto;
use doorward::proto::consistency::Requirement;
use doorward::proto::subject::Kind;
use doorward_engine::instant::Instant;
use tonic::Status;

use crate::harness::{self, Database, Server, resource, timestamp};
use crate::support::draw::{self, Held};
use crate::support::rng::Rng;
use crate::support::world::{Ask, Workspace, World};
use crate::{postgres, world};

const WORLDS: usize = 6;
const STEPS: usize = 60;
const QUESTIONS: usize = 12;

#[test]
fn cached_answers_are_the_uncached_ones_on_sqlite() {
    for seed in 0..WORLDS {
        let mut rng = Rng::seeded(100 + seed as u64);
        let world = draw::world(&mut rng, Held::Sound);
        let clock = Clock::manual(world.now);
        let prepare = async |url: &str| world::write(url, &world).await;
        harness::run_over(Database::Sqlite, &clock, prepare, async |server| {
            history(&[server], &world, &mut rng).await;
        });
    }
}

/// What one replica was told, the other knows when the mutation is answered.
#[test]
fn cached_answers_of_either_replica_are_the_uncached_ones_on_postgres() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    for seed in 0..WORLDS {
        let mut rng = Rng::seeded(200 + seed as u64);
        let world = draw::world(&mut rng, Held::Sound);
        let (clock, url) = (Clock::manual(world.now), postgres::fresh_database());
        runtime.block_on(world::write(&url, &world));
        let replicas = [harness::start(&url, &clock), harness::start(&url, &clock)];
        let servers = replicas.map(|running| runtime.block_on(Server::over(running, &url, &clock)));
        runtime.block_on(history(&servers.each_ref(), &world, &mut rng));
        let stopped = runtime.spawn_blocking(move || servers.map(|server| server.running.stop()));
        runtime.block_on(stopped).unwrap();
    }
}

/// Changes things through any replica, lets time pass, and asks any replica twice.
async fn history(servers: &[&Server], world: &World, rng: &mut Rng) {
    let mut now = world.now;
    let mut asks: Vec<Ask> = (0..QUESTIONS * 2).map(|_| draw::ask(rng, world)).collect();
    for _ in 0..STEPS {
        if rng.percent(25) {
            now = passes(now, world, rng);
            servers[0].clock.set(now);
        } else {
            let server = servers[rng.below(servers.len())];
            // What the rules refuse changes nothing, and what is asked then must agree all the same.
            let _ = mutate(server, world, rng, now).await;
        }
        let replaced = rng.below(asks.len());
        asks[replaced] = draw::ask(rng, world);
        for _ in 0..QUESTIONS {
            let ask = &asks[rng.below(asks.len())];
            for server in servers {
                agrees(server, ask, now).await;
            }
        }
    }
    let cached: u64 = servers.iter().map(|server| server.decided("near")).sum();
    assert!(cached > (STEPS * QUESTIONS / 4) as u64, "only {cached} answers came from a cache");
}

async fn agrees(server: &Server, ask: &Ask, now: Instant) {
    let cached = answer(server, ask, Requirement::MinimizeLatency(true)).await;
    let fresh = answer(server, ask, Requirement::FullyConsistent(true)).await;
    assert_eq!(cached, fresh, "{ask:?} at {now:?}");
}

/// Everything that an answer says but its token; of an error its code.
async fn answer(
    server: &Server,
    ask: &Ask,
    requirement: Requirement,
) -> Result<proto::CheckAccessResponse, i32> {
    let consistency = Some(proto::Consistency { requirement: Some(requirement) });
    let request = proto::CheckAccessRequest { consistency, ..world::single(ask) };
    let answer = server.operator().check_access(request).await;
    let tokenless = |answer| proto::CheckAccessResponse { revision_token: String::new(), ..answer };
    answer.map(|answer| tokenless(answer.into_inner())).map_err(|status| status.code() as i32)
}

/// Some time passes, or all until something expires, or a microsecond less.
fn passes(now: Instant, world: &World, rng: &mut Rng) -> Instant {
    let mut ends: Vec<Instant> = Vec::new();
    for workspace in &world.workspaces {
        let subscription = &workspace.tenant.subscription;
        ends.extend([subscription.trial_end, subscription.period_end].into_iter().flatten());
        ends.extend([subscription.grace_end, subscription.access_until].into_iter().flatten());
        ends.extend(
            workspace.seats.iter().flat_map(|seat| seat.grants.values().filter_map(|grant| grant.expires_at)),
        );
        ends.extend(workspace.keys.iter().filter_map(|key| key.key.expires_at));
    }
    ends.retain(|end| *end > now);
    match rng.pick(&ends) {
        Some(end) if rng.percent(70) => {
            Instant::from_micros(end.micros() - i64::from(rng.percent(50))).max(now)
        }
        _ => now.plus_seconds(rng.below(100_000) as i64),
    }
}

async fn mutate(server: &Server, world: &World, rng: &mut Rng, now: Instant) -> Result<(), Status> {
    let Some(workspace) = rng.pick(&world.workspaces) else { return Ok(()) };
    let tenant_id = workspace.tenant.id.to_string();
    let member_id = rng.pick(&workspace.seats).map(|seat| seat.member.id.to_string()).unwrap_or_default();
    let mut client = server.operator();
    match rng.below(16) {
        0..=3 => grants(server, workspace, member_id, rng, now).await,
        4 | 5 => sections(server, world, tenant_id, member_id, rng).await,
        6 => {
            let role = if rng.percent(50) { proto::Role::Admin } else { proto::Role::User }.into();
            let request = proto::ChangeMemberRoleRequest { tenant_id, member_id, role, ..Default::default() };
            client.change_member_role(request).await.map(drop)
        }
        7 => {
            let request = proto::DisableMemberRequest { tenant_id, member_id, ..Default::default() };
            client.disable_member(request).await.map(drop)
        }
        8 => {
            let request = proto::EnableMemberRequest { tenant_id, member_id, ..Default::default() };
            client.enable_member(request).await.map(drop)
        }
        9 if rng.percent(30) => {
            let request = proto::DeleteMemberRequest { tenant_id, member_id, ..Default::default() };
            client.delete_member(request).await.map(drop)
        }
        10 => {
            let user_id = format!("{member_id}-{}", rng.below(3));
            let request =
                proto::ActivateMemberRequest { tenant_id, member_id, user_id, ..Default::default() };
            client.activate_member(request).await.map(drop)
        }
        11 => resources(server, workspace, rng).await,
        12 if rng.percent(50) => {
            let request = proto::SuspendTenantRequest { tenant_id, ..Default::default() };
            client.suspend_tenant(request).await.map(drop)
        }
        12 => {
            let request = proto::ResumeTenantRequest { tenant_id, ..Default::default() };
            client.resume_tenant(request).await.map(drop)
        }
        13 => plan(server, world, tenant_id, rng).await,
        14 => {
            let key_id = rng.pick(&workspace.keys).map(|key| key.key.id.to_string()).unwrap_or_default();
            let request = proto::RevokeApiKeyRequest { tenant_id, key_id, ..Default::default() };
            client.revoke_api_key(request).await.map(drop)
        }
        _ => firewall(server, tenant_id, rng).await,
    }
}

async fn grants(
    server: &Server,
    workspace: &Workspace,
    member_id: String,
    rng: &mut Rng,
    now: Instant,
) -> Result<(), Status> {
    let Some(on) = rng.pick(&workspace.resources) else { return Ok(()) };
    let granted = rng.percent(60);
    let expires = granted && rng.percent(30);
    let change = proto::GrantChange {
        member_id,
        resource: Some(resource(on.reference.kind.as_str(), on.reference.id.as_str())),
        granted,
        expires_at: expires.then(|| timestamp(now.plus_seconds(1 + rng.below(50_000) as i64))),
    };
    let tenant_id = workspace.tenant.id.to_string();
    let request = proto::SetGrantsRequest { tenant_id, changes: vec![change], ..Default::default() };
    server.operator().set_grants(request).await.map(drop)
}

async fn sections(
    server: &Server,
    world: &World,
    tenant_id: String,
    member_id: String,
    rng: &mut Rng,
) -> Result<(), Status> {
    let Some(section) = rng.pick(&world.catalogue.sections).map(|section| section.key.clone()) else {
        return Ok(());
    };
    let values = [(section, rng.percent(50))].into();
    if rng.percent(60) {
        let request =
            proto::SetSectionAccessRequest { tenant_id, member_id, sections: values, ..Default::default() };
        server.operator().set_section_access(request).await.map(drop)
    } else {
        let request = proto::SetSectionDefaultsRequest { tenant_id, defaults: values, ..Default::default() };
        server.operator().set_section_defaults(request).await.map(drop)
    }
}

async fn resources(server: &Server, workspace: &Workspace, rng: &mut Rng) -> Result<(), Status> {
    let Some(on) = rng.pick(&workspace.resources) else { return Ok(()) };
    let (tenant_id, r#type) = (workspace.tenant.id.to_string(), on.reference.kind.to_string());
    let resource_id = on.reference.id.to_string();
    let mut client = server.operator();
    match rng.below(10) {
        0..=4 => {
            let request =
                proto::DeactivateResourceRequest { tenant_id, r#type, resource_id, ..Default::default() };
            client.deactivate_resource(request).await.map(drop)
        }
        5..=8 => {
            let request =
                proto::ActivateResourceRequest { tenant_id, r#type, resource_id, ..Default::default() };
            client.activate_resource(request).await.map(drop)
        }
        _ => {
            let request =
                proto::DeleteResourceRequest { tenant_id, r#type, resource_id, ..Default::default() };
            client.delete_resource(request).await.map(drop)
        }
    }
}

async fn plan(server: &Server, world: &World, tenant_id: String, rng: &mut Rng) -> Result<(), Status> {
    let mut client = server.operator();
    if rng.percent(40) {
        let complimentary = rng.percent(50);
        let request = proto::SetComplimentaryRequest { tenant_id, complimentary, ..Default::default() };
        return client.set_complimentary(request).await.map(drop);
    }
    let plan = rng.pick(&world.catalogue.plans).map(|plan| plan.key.clone()).unwrap_or_default();
    let request = proto::SetPlanRequest { tenant_id, plan, ..Default::default() };
    client.set_plan(request).await.map(drop)
}

async fn firewall(server: &Server, tenant_id: String, rng: &mut Rng) -> Result<(), Status> {
    let mode = if rng.percent(50) { proto::FirewallMode::AllowList } else { proto::FirewallMode::BlockList };
    let rule = proto::CountryRule {
        mode: mode.into(),
        countries: vec!["DE".to_owned()],
        on_missing: proto::OnMissing::Skip.into(),
    };
    let rule = Some(proto::set_firewall_rule_request::Rule::Country(rule));
    let request = proto::SetFirewallRuleRequest { tenant_id, rule, ..Default::default() };
    server.operator().set_firewall_rule(request).await.map(drop)
}

/// A key of an ask is presented with its secret; the kinds of subjects are all met.
#[test]
fn every_kind_of_subject_is_asked_about() {
    let mut rng = Rng::seeded(1);
    let world = draw::world(&mut rng, Held::Sound);
    let kinds = (0..200).map(|_| world::subject(&draw::ask(&mut rng, &world).subject).kind.unwrap());
    let [mut users, mut members, mut keys] = [0; 3];
    for kind in kinds {
        match kind {
            Kind::UserId(_) => users += 1,
            Kind::MemberId(_) => members += 1,
            Kind::ApiKey(_) | Kind::ApiKeyId(_) => keys += 1,
        }
    }
    assert!([users, members, keys].into_iter().all(|count| count > 10), "{users} {members} {keys}");
}

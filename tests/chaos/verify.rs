//! What must be true when the load has ended and everything is healed: nothing acknowledged is lost, no revision is missing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use doorward::proto;
use tonic::Status;

use crate::checker::ask;
use crate::load::Load;
use crate::phase::Run;
use crate::replica::{Client, signed};
use crate::world::{Target, Tenant};

const DEADLINE: Duration = Duration::from_secs(5);
/// How long what was healed may take to answer.
const PATIENCE: Duration = Duration::from_secs(20);
const PAGE: i32 = 1_000;

/// Looks at everything.
pub(crate) async fn all(run: &Run, load: &Load) {
    for tenant in &run.world.tenants {
        if let Err(status) = insist(async || read_back(load, tenant).await).await {
            load.tally.fail(format!("{} could not be read back: {status}", tenant.id));
        }
        let after = run.verified.lock().unwrap().get(&tenant.id).copied().unwrap_or_default();
        match insist(async || events(load, tenant, after + 1).await).await {
            Ok(events) => {
                let last = look_for_holes(load, tenant, after, &events);
                run.verified.lock().unwrap().insert(tenant.id.clone(), last);
                look_for_the_acknowledged(load, tenant, &events);
            }
            Err(status) => load.tally.fail(format!("{} has no log: {status}", tenant.id)),
        }
        ask_everything(load, tenant).await;
    }
}

async fn insist<T>(work: impl AsyncFn() -> Result<T, Status>) -> Result<T, Status> {
    let end = Instant::now() + PATIENCE;
    loop {
        match work().await {
            Err(_) if Instant::now() < end => tokio::time::sleep(Duration::from_millis(100)).await,
            answer => return answer,
        }
    }
}

/// Every question to every replica: each must answer, and the judge knows what.
async fn ask_everything(load: &Load, tenant: &Tenant) {
    for replica in 0..load.lab.replicas.len() {
        for question in tenant.questions() {
            let subject = question.subjects[0].clone();
            let mut answered = false;
            let end = Instant::now() + PATIENCE;
            while !answered && Instant::now() < end {
                answered = ask(load, replica, tenant, subject.clone(), &question, None).await;
            }
            if !answered {
                load.tally.fail(format!("replica {replica} does not answer {:?}", question.check));
            }
        }
    }
}

/// Compares what is stored with what was last acknowledged.
async fn read_back(load: &Load, tenant: &Tenant) -> Result<(), Status> {
    let stored = stored(&mut load.lab.replicas[0].client(), tenant).await?;
    for target in tenant.targets() {
        let expected = tenant.switch(target).last();
        let found = is_on(&stored, tenant, target);
        if found != expected {
            load.tally.lost.add(1);
            load.tally.fail(format!(
                "lost: {target:?} of {} is {found}, was acknowledged as {expected}",
                tenant.id
            ));
        }
    }
    Ok(())
}

/// What the RPCs say is on, by name.
async fn stored(client: &mut Client, tenant: &Tenant) -> Result<BTreeSet<String>, Status> {
    let mut on = BTreeSet::new();
    let tenant_id = tenant.id.clone();
    let request = proto::GetTenantRequest { tenant_id: tenant_id.clone() };
    let found = client.get_tenant(signed(request, DEADLINE)).await?.into_inner().tenant.unwrap();
    if found.status() == proto::TenantStatus::Active {
        on.insert("tenant".to_owned());
    }
    let request = proto::ListMembersRequest { tenant_id: tenant_id.clone(), ..Default::default() };
    for member in client.list_members(signed(request, DEADLINE)).await?.into_inner().members {
        if member.status() == proto::MemberStatus::Active {
            on.insert(format!("member {}", member.member_id));
        }
        let sections = member.sections.iter().filter(|(_, on)| **on);
        on.extend(sections.map(|(section, _)| format!("{section} of {}", member.member_id)));
    }
    let request = proto::ListResourcesRequest { tenant_id: tenant_id.clone(), ..Default::default() };
    for agent in client.list_resources(signed(request, DEADLINE)).await?.into_inner().resources {
        if agent.status() == proto::ResourceStatus::Active {
            on.insert(format!("agent {}", agent.resource_id));
        }
    }
    let request =
        proto::GetAccessMatrixRequest { tenant_id, r#type: "agent".to_owned(), ..Default::default() };
    for row in client.get_access_matrix(signed(request, DEADLINE)).await?.into_inner().rows {
        let member = row.member.unwrap_or_default().member_id;
        on.extend(row.granted.iter().map(|cell| format!("grant of {member} on {}", cell.resource_id)));
    }
    on.extend(live_keys(client, tenant).await?.into_iter().map(|id| format!("key {id}")));
    Ok(on)
}

async fn live_keys(client: &mut Client, tenant: &Tenant) -> Result<Vec<String>, Status> {
    let mut live = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListApiKeysRequest {
            tenant_id: tenant.id.clone(),
            page_size: PAGE,
            page_token,
            ..Default::default()
        };
        let page = client.list_api_keys(signed(request, DEADLINE)).await?.into_inner();
        live.extend(page.api_keys.into_iter().filter(|key| key.revoke_time.is_none()).map(|key| key.key_id));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(live);
        }
    }
}

fn is_on(stored: &BTreeSet<String>, tenant: &Tenant, target: Target) -> bool {
    let member = |m: usize| &tenant.members[m].id;
    stored.contains(&match target {
        Target::Tenant => "tenant".to_owned(),
        Target::Member(m) => format!("member {}", member(m)),
        Target::Agents(m) => format!("agents of {}", member(m)),
        Target::Traces(m) => format!("traces of {}", member(m)),
        Target::Grant(m, a) => format!("grant of {} on {}", member(m), tenant.agents[a].id),
        Target::Agent(a) => format!("agent {}", tenant.agents[a].id),
        Target::Key(slot) => format!("key {}", tenant.key(slot).id),
    })
}

/// The log of a tenant from a revision on: revision and request id.
async fn events(load: &Load, tenant: &Tenant, from_revision: u64) -> Result<Vec<(u64, String)>, Status> {
    let mut client = load.lab.replicas[0].client();
    let mut events = Vec::new();
    let mut page_token = String::new();
    loop {
        let request = proto::ListAuditEventsRequest {
            tenant_id: tenant.id.clone(),
            page_size: PAGE,
            page_token,
            from_revision,
            ..Default::default()
        };
        let page = client.list_audit_events(signed(request, DEADLINE)).await?.into_inner();
        events.extend(page.events.into_iter().map(|event| (event.revision, event.request_id)));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            return Ok(events);
        }
    }
}

/// Each revision is there once; answers the last.
fn look_for_holes(load: &Load, tenant: &Tenant, after: u64, events: &[(u64, String)]) -> u64 {
    let mut expected = after + 1;
    for (revision, _) in events {
        if *revision != expected {
            load.tally.holes.add(1);
            load.tally.fail(format!("{} has revision {revision} where {expected} was due", tenant.id));
        }
        expected = revision + 1;
    }
    expected - 1
}

/// Each acknowledged mutation is in the log once, at the revision that was acknowledged.
fn look_for_the_acknowledged(load: &Load, tenant: &Tenant, events: &[(u64, String)]) {
    let mut found: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for (revision, request_id) in events.iter().filter(|(_, request_id)| !request_id.is_empty()) {
        found.entry(request_id).or_default().push(*revision);
    }
    for (request_id, revisions) in found.iter().filter(|(_, revisions)| revisions.len() > 1) {
        load.tally.fail(format!("{request_id} of {} was applied at {revisions:?}", tenant.id));
    }
    let mut ledger = load.ledger.lock().unwrap();
    for ((_, request_id), revision) in ledger.iter().filter(|((id, _), _)| *id == tenant.id) {
        if found.get(request_id.as_str()).is_none_or(|revisions| !revisions.contains(revision)) {
            load.tally.lost.add(1);
            load.tally.fail(format!("lost: {request_id} of {}, acknowledged as {revision}", tenant.id));
        }
    }
    ledger.retain(|(id, _), _| *id != tenant.id);
}

//! Worlds of the engine's tests, written through the store's door, and their questions as the wire asks them.

use std::sync::Arc;

use doorward::caller::secret;
use doorward::clock::Clock;
use doorward::proto;
use doorward::store::sql::{self, Sql};
use doorward::store::{Act, Commits, Needs, Planned, Target, Wait};
use doorward_engine::change::Change;

use crate::harness::resource;
use crate::support::world::{Ask, Who, Workspace, World};

/// A database that holds the world: migrated, the world's catalogue in force.
pub(crate) async fn write(url: &str, world: &World) {
    sql::migrate(url).await.unwrap();
    let options = sql::Options {
        url: url.to_owned(),
        direct_url: None,
        clock: Clock::manual(world.now),
        reads_max: 1,
        writes_max: 1,
        catalogue: toml::to_string(&world.catalogue).unwrap(),
    };
    let store = Arc::new(Sql::open(options, tokio::runtime::Handle::current()).await.unwrap());
    for workspace in &world.workspaces {
        let act = Act {
            target: Target::NewTenant(workspace.tenant.id.clone()),
            operation: "CreateTenant",
            caller: "operator".to_owned(),
            actor: None,
            request: None,
            validate_only: false,
            wait: Wait::Enforced,
            peer: None,
            trace_id: None,
        };
        let changes = changes(workspace);
        let planned = move |_: &_| Ok::<_, ()>(Planned { changes, letters: Vec::new(), answer: () });
        store.commit(act, Needs::default(), planned).await.unwrap();
    }
    store.close().await;
}

fn changes(workspace: &Workspace) -> Vec<Change> {
    let mut changes = vec![Change::Tenant { before: None, after: workspace.tenant.clone() }];
    changes.extend(
        workspace.resources.iter().map(|after| Change::Resource { before: None, after: after.clone() }),
    );
    changes.extend(
        workspace.seats.iter().map(|seat| Change::Member { before: None, after: seat.member.clone() }),
    );
    for seat in &workspace.seats {
        changes.extend(seat.grants.iter().map(|(resource, grant)| Change::Grant {
            member: seat.member.id.clone(),
            resource: resource.clone(),
            before: None,
            after: Some(*grant),
        }));
    }
    changes.extend(workspace.keys.iter().map(|key| Change::ApiKey {
        before: None,
        after: key.key.clone(),
        secret: Some(secret::hash(&key.secret)),
    }));
    changes
}

/// The question as one call.
pub(crate) fn single(ask: &Ask) -> proto::CheckAccessRequest {
    proto::CheckAccessRequest {
        tenant_id: ask.tenant.clone(),
        subject: Some(subject(&ask.subject)),
        action: ask.action.clone(),
        resource: Some(resource(&ask.kind, &ask.id)),
        context: Some(context(ask)),
        ..Default::default()
    }
}

/// The subject of a question.
pub(crate) fn subject(who: &Who) -> proto::Subject {
    use proto::subject::Kind;
    proto::Subject {
        kind: Some(match who {
            Who::User(id) => Kind::UserId(id.clone()),
            Who::Member(id) => Kind::MemberId(id.clone()),
            Who::Key { id, secret } => Kind::ApiKey(format!("dwk_{id}_{secret}")),
        }),
    }
}

/// From where it is asked.
pub(crate) fn context(ask: &Ask) -> proto::Context {
    proto::Context {
        country: ask.country.clone().unwrap_or_default(),
        email_domain: ask.email_domain.clone().unwrap_or_default(),
    }
}

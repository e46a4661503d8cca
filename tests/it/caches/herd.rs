//! A herd: many ask at once about one member of whom nothing is in memory.

use tokio::task::JoinSet;

use crate::harness::{self, Database, Server, resource, user_subject};

/// Members, each asked about by so many at once.
const MEMBERS: u64 = 10;
const HERD: usize = 100;

#[test]
fn a_herd_about_a_cold_member_makes_exactly_one_load_on_sqlite() {
    herds(Database::Sqlite);
}

#[test]
fn a_herd_about_a_cold_member_makes_exactly_one_load_on_postgres() {
    herds(Database::Postgres);
}

fn herds(database: Database) {
    harness::run(database, async |server| {
        server.tenant("acme").await;
        for member in 0..MEMBERS {
            server.user("acme", &format!("u{member}")).await;
        }
        // The tenant is in memory, and nobody else.
        ask(server, "nobody").await;
        let loads = || server.counted(|series| series == "doorward_loads_total");
        let before = loads();
        for member in 0..MEMBERS {
            herd(server, &format!("u{member}")).await;
        }
        assert_eq!(loads() - before, MEMBERS, "one for each member");
    });
}

async fn herd(server: &Server, user: &str) {
    let mut asking = JoinSet::new();
    for _ in 0..HERD {
        let (mut client, question) = (server.operator(), question(user));
        asking.spawn(async move { client.check_access(question).await.unwrap().into_inner() });
    }
    while let Some(answer) = asking.join_next().await {
        assert!(answer.unwrap().allowed);
    }
}

async fn ask(server: &Server, user: &str) {
    server.operator().check_access(question(user)).await.unwrap();
}

fn question(user: &str) -> doorward::proto::CheckAccessRequest {
    doorward::proto::CheckAccessRequest {
        tenant_id: "acme".to_owned(),
        subject: Some(user_subject(user)),
        action: "view".to_owned(),
        resource: Some(resource("section", "logs")),
        ..Default::default()
    }
}

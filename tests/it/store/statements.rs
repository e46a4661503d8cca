//! What an act costs: the statements that Postgres is sent do not grow with what it changes.

use doorward::clock::Clock;
use doorward_engine::change::Change;
use doorward_engine::member::{Member, Origin, SectionValue};
use doorward_engine::role::Role;

use super::records::{new_grant, new_member, new_resource, pending, section, user};
use super::{Database, NOW, Store};
use crate::postgres::{self, LoggedCluster};

/// How many statements these changes take.
async fn cost(cluster: &LoggedCluster, store: &Store, changes: Vec<Change>) -> usize {
    let before = cluster.statements(&store.url).len();
    store.write("acme", changes).await;
    cluster.statements(&store.url).len() - before
}

#[test]
fn a_thousand_changes_are_a_handful_of_statements() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cluster = postgres::cluster_with_log();
    runtime.block_on(async {
        let store = Store::open(
            Database::Postgres,
            cluster.fresh_database(),
            tempfile::tempdir().unwrap(),
            Clock::manual(NOW),
        );
        let store = store.await;
        store.tenant("acme").await;
        let one = cost(&cluster, &store, vec![new_resource("r")]).await;
        assert!(one <= 9, "{one} statements for one resource");
        let thousand = |change: fn(&str) -> Change| (0..1_000).map(|n| change(&format!("x{n}"))).collect();
        let invited = cost(&cluster, &store, thousand(|id| new_member(pending(id)))).await;
        assert!(
            invited <= one + 8,
            "{invited} statements for a thousand members with two thousand section values"
        );
        let registered = cost(&cluster, &store, thousand(new_resource)).await;
        assert!(registered <= one + 1, "{registered} statements for a thousand resources");
        let granted = cost(&cluster, &store, thousand(|id| new_grant(id, id, None))).await;
        assert!(granted <= one + 2, "{granted} statements for a thousand grants");
        let pushed = cost(
            &cluster,
            &store,
            thousand(|id| {
                let on = SectionValue { on: true, origin: Origin::Set };
                let after = Member { sections: [(section("traces"), on)].into(), ..pending(id) };
                Change::Member { before: Some(pending(id)), after }
            }),
        );
        let pushed = pushed.await;
        assert!(pushed <= one + 4, "{pushed} statements for a thousand members' section values");
        let ben = cost(&cluster, &store, vec![new_member(user("ben"))]).await;
        let demoted = Member { role: Role::Admin, ..user("ben") };
        let demoted =
            cost(&cluster, &store, vec![Change::Member { before: Some(user("ben")), after: demoted }]).await;
        assert!(ben <= one + 4 && demoted <= one + 2, "{ben} statements for a user, {demoted} for a role");
    });
}

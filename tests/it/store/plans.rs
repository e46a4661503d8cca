//! How Postgres finds what the feed and the registry ask for: by indexes, however long the log is.

use doorward::clock::Clock;
use doorward::store::feed::{Feed, Registry};
use sea_orm::QueryResult;

use super::feed::{Replica, behind, mark};
use super::tables::Tables;
use super::{Database, NOW, Store};
use crate::postgres;

/// Rows that no one was told of.
async fn fill(tables: &Tables, rows: u64) {
    let row = "'@platform', n, 0, 'Fill', 'operator', '[\"tenant\"]', '[]', '\\x00', '\\x00'";
    tables
        .execute(&format!(
            "INSERT INTO change_log (tenant_id, rev, at_us, operation, caller, parts, changes, prev_hash, hash) \
             SELECT {row} FROM generate_series(1, {rows}) AS n"
        ))
        .await;
}

fn lines(rows: &[QueryResult]) -> String {
    rows.iter().map(|row| row.try_get_by_index::<String>(0).unwrap() + "\n").collect()
}

#[test]
fn a_poll_and_a_look_at_the_registry_read_no_table_from_end_to_end() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cluster = postgres::cluster_with_log();
    runtime.block_on(async {
        let url = cluster.fresh_database();
        let store =
            Store::open(Database::Postgres, url, tempfile::tempdir().unwrap(), Clock::manual(NOW)).await;
        let tables = Tables::of(&store).await;
        fill(&tables, 50_000).await;
        tables.execute("ANALYZE").await;
        let mut replica = Replica::boot(&store, "r1").await;
        replica.apply(&store).await;
        let before = cluster.statements(&store.url).len();
        replica.poll(&store).await;
        behind(&store, "@platform", 7).await;
        let statements = cluster.statements(&store.url);
        let [poll, registry] = &statements[before..] else {
            panic!("a statement each: {:#?}", &statements[before..]);
        };
        let explained = [
            (poll, "text, text", "'r1', '900:905:901,903'"),
            (registry, "text[], bigint[]", "'{@platform,@platform}', '{7,8}'"),
        ];
        for (which, (statement, types, values)) in explained.into_iter().enumerate() {
            for mode in ["force_custom_plan", "force_generic_plan"] {
                // A name of its own: what is deallocated would be the driver's statements too.
                let asked = format!("{mode}_{which}");
                let all = format!("SET plan_cache_mode = {mode}; PREPARE {asked} ({types}) AS {statement}");
                let explain = format!("EXPLAIN (COSTS OFF) EXECUTE {asked} ({values})");
                let plan = lines(&tables.on_one_connection(&all, &explain).await);
                assert!(!plan.contains("Seq Scan on change_log"), "{mode}:\n{plan}");
                assert!(plan.contains("on change_log"), "{mode}:\n{plan}");
            }
        }
    });
}

#[test]
fn of_too_many_changes_none_is_told() {
    super::run(Database::Postgres, |store| async move {
        let tables = Tables::of(&store).await;
        let mut replica = Replica::boot(&store, "r1").await;
        fill(&tables, 10_000).await;
        assert_eq!(replica.poll(&store).await.changes.map(|changes| changes.len()), Some(10_000));
        tables.execute("DELETE FROM change_log").await;
        fill(&tables, 10_001).await;
        let poll = replica.poll(&store).await;
        assert!(poll.stands && poll.changes.is_none());
        assert_eq!(replica.poll(&store).await.changes, Some(Vec::new()));
        // Few rows, but long ones.
        tables.execute("DELETE FROM change_log").await;
        fill(&tables, 9).await;
        tables
            .execute("UPDATE change_log SET xid = pg_current_xact_id(), parts = repeat('x', 1000000)")
            .await;
        assert!(replica.poll(&store).await.changes.is_none());
    });
}

#[test]
fn what_a_part_says_that_nobody_knows_makes_all_outdated() {
    super::run(Database::Postgres, |store| async move {
        let tables = Tables::of(&store).await;
        let mut replica = Replica::boot(&store, "r1").await;
        fill(&tables, 3).await;
        tables.execute("UPDATE change_log SET parts = '[\"tenant\",\"weather:x\"]' WHERE rev = 2").await;
        tables.execute("UPDATE change_log SET parts = 'nonsense' WHERE rev = 3").await;
        let told = replica.apply(&store).await;
        let counts: Vec<_> = told.iter().map(|one| one.parts.as_ref().map(Vec::len)).collect();
        assert_eq!(counts, [Some(1), None, None]);
    });
}

#[test]
fn a_revision_without_a_row_is_known_to_nobody() {
    super::run(Database::Postgres, |store| async move {
        let mut replica = Replica::boot(&store, "r1").await;
        replica.apply(&store).await;
        assert_eq!(behind(&store, "nowhere", 7).await.len(), 1);
        let many: Vec<_> = (1..=500).map(|revision| mark("nowhere", revision)).collect();
        assert!(store.sql.behind(many).await.unwrap().iter().all(|behind| behind.len() == 1));
        store.sql.leave(&replica.id).await.unwrap();
        assert_eq!(behind(&store, "nowhere", 7).await, []);
    });
}

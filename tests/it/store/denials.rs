//! Denied calls in the store: kept with their time, and pruned to the newest.

use doorward::store::denials::{Denial, Denials};

use super::records::tenant_id;
use super::tables::Tables;
use super::{NOW, Store, on_both};

fn denial(number: usize) -> Denial {
    Denial {
        tenant: number.is_multiple_of(2).then(|| tenant_id("acme")),
        operation: "SetGrants",
        caller: format!("service:{number}"),
        actor: None,
        peer: None,
        trace_id: None,
    }
}

async fn callers(store: &Store) -> Vec<String> {
    let rows =
        Tables::of(store).await.query("SELECT caller FROM denied_call ORDER BY at_us, denied_id").await;
    rows.iter().map(|row| row.try_get("", "caller").unwrap()).collect()
}

on_both!(the_newest_are_kept_and_none_that_is_too_old, |store| {
    let tables = Tables::of(&store).await;
    store.sql.keep((0..10).map(denial).collect()).await.unwrap();
    // The times are the database's: on Postgres not the test's clock's.
    let hour = 3_600_000_000_i64;
    for number in 0..10 {
        let back = (10 - number) * hour * 24;
        let sql = format!("UPDATE denied_call SET at_us = at_us - {back} WHERE caller = 'service:{number}'");
        tables.execute(&sql).await;
    }
    assert_eq!(callers(&store).await.len(), 10);
    store.sql.prune(30, 10).await.unwrap();
    assert_eq!(callers(&store).await.len(), 10);
    store.sql.prune(7, 10).await.unwrap();
    assert_eq!(callers(&store).await.len(), 6 + usize::from(tables.is_sqlite()));
    store.sql.prune(30, 3).await.unwrap();
    assert_eq!(callers(&store).await, ["service:7", "service:8", "service:9"]);
    if tables.is_sqlite() {
        let at = format!("at_us = {}", NOW.micros() - 24 * hour);
        assert_eq!(tables.rows("denied_call", &at).await.len(), 1);
    }
});

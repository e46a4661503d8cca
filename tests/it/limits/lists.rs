//! Lists that wait for the database, and the checks beside them.

use doorward::proto;
use doorward::settings::Limits;
use tokio::runtime::Handle;

use super::{fresh_question, held_up, hold, in_flight, run};

#[test]
fn a_flood_of_lists_leaves_half_of_the_connections_to_checks() {
    run(Limits::default(), async |server| {
        let lock = hold(server, "LOCK TABLE api_key IN ACCESS EXCLUSIVE MODE").await;
        let lists: Vec<_> = (0..40)
            .map(|_| {
                let mut client = server.operator();
                let request =
                    proto::ListApiKeysRequest { tenant_id: "acme".to_owned(), ..Default::default() };
                Handle::current().spawn(async move { client.list_api_keys(request).await.map(drop) })
            })
            .collect();
        in_flight(server, "reads", 40).await;
        held_up(server, 10).await;
        let used = r#"doorward_pool_connections{pool="lists",state="used"}"#;
        assert_eq!(server.counted(|found| found == used), 10);
        for _ in 0..20 {
            server.operator().check_access(fresh_question()).await.unwrap();
        }
        held_up(server, 10).await;
        // Who hangs up before their turn leaves it to the next.
        for list in &lists[..20] {
            list.abort();
        }
        in_flight(server, "reads", 20).await;
        lock.rollback().await.unwrap();
        for list in lists.into_iter().skip(20) {
            list.await.unwrap().unwrap();
        }
        in_flight(server, "reads", 0).await;
    });
}

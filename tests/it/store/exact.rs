//! Exactness: a hundred callers at once get what they would get one after the other.

use doorward::store::directory::{Directory, MemberFilter};
use doorward::store::{CommitError, Needs, Receipt, State};
use doorward_engine::change::Change;
use doorward_engine::id::{Revision, Slug};
use doorward_engine::member::Member;
use doorward_engine::role::Role;

use super::log::chain_is_whole;
use super::records::{email, member, member_id, name, new_member, pending, tenant, tenant_id};
use super::tables::Tables;
use super::{CALLERS, No, Store, all, at_once, new, on, on_both, planned, successes};

on_both!(of_a_hundred_invitations_ten_get_the_ten_seats, |store| {
    store.bare_tenant("acme").await;
    let answers = at_once(CALLERS, |caller| {
        let store = store.clone();
        let plan = move |state: &State| match state.seats {
            0..10 => Ok(planned(vec![new_member(pending(&format!("m{caller}")))])),
            _ => Err("full"),
        };
        async move { store.commit(on("acme"), Needs { seats: true, ..Needs::default() }, plan).await }
    })
    .await;
    assert_eq!(successes(&answers, |error| matches!(error, CommitError::Refused("full"))), 10);
    assert_eq!(store.sql.members(tenant_id("acme"), MemberFilter::default(), all()).await.unwrap().len(), 10);
    revisions_are_whole(&store, 11).await;
});

/// Demotes a member, unless that would leave no ACTIVE ADMIN.
async fn demote(store: Store, tenant: String, id: String) -> Result<Receipt<()>, CommitError<No>> {
    let id = member_id(&id);
    let needs = Needs { members: [id.clone()].into(), active_admins: true, ..Needs::default() };
    let plan = move |state: &State| {
        if state.active_admins <= 1 {
            return Err("last admin");
        }
        let before = state.members[&id].clone();
        let after = Member { role: Role::User, revision: state.next(), ..before.clone() };
        Ok(planned(vec![Change::Member { before: Some(before), after }]))
    };
    store.commit(on(&tenant), needs, plan).await
}

async fn admins_left(store: &Store, tenant: &str) -> usize {
    let filter = MemberFilter { role: Some(Role::Admin), ..MemberFilter::default() };
    store.sql.members(tenant_id(tenant), filter, all()).await.unwrap().len()
}

on_both!(two_demotions_at_once_leave_one_admin, |store| {
    for round in 0..10 {
        let tenant = format!("t{round}");
        store.bare_tenant(&tenant).await;
        store.write(&tenant, vec![new_member(member("m0")), new_member(member("m1"))]).await;
        let answers = at_once(2, |caller| demote(store.clone(), tenant.clone(), format!("m{caller}"))).await;
        let done = successes(&answers, |error| matches!(error, CommitError::Refused("last admin")));
        assert_eq!((done, admins_left(&store, &tenant).await), (1, 1));
    }
});

on_both!(a_hundred_demotions_of_a_hundred_admins_leave_one, |store| {
    store.bare_tenant("acme").await;
    store.write("acme", (0..CALLERS).map(|i| new_member(member(&format!("m{i}")))).collect()).await;
    let answers =
        at_once(CALLERS, |caller| demote(store.clone(), "acme".to_owned(), format!("m{caller}"))).await;
    let done = successes(&answers, |error| matches!(error, CommitError::Refused("last admin")));
    assert_eq!((done, admins_left(&store, "acme").await), (CALLERS - 1, 1));
    revisions_are_whole(&store, 1 + CALLERS as u64).await;
});

on_both!(of_a_hundred_invitations_of_one_address_one_is_made, |store| {
    store.bare_tenant("acme").await;
    let answers = at_once(CALLERS, |caller| {
        let store = store.clone();
        // The same address, however it is written.
        let address = if caller % 2 == 0 { "Ada@example.com" } else { "ada@EXAMPLE.com" };
        let plan = move |state: &State| match state.emails.get("ada@example.com") {
            Some(_) => Err("taken"),
            None => {
                let invited = Member { email: Some(email(address)), ..pending(&format!("m{caller}")) };
                Ok(planned(vec![new_member(invited)]))
            }
        };
        let needs = Needs { emails: [email(address)].into(), ..Needs::default() };
        async move { store.commit(on("acme"), needs, plan).await }
    })
    .await;
    assert_eq!(successes(&answers, |error| matches!(error, CommitError::Refused("taken"))), 1);
    assert_eq!(store.sql.members(tenant_id("acme"), MemberFilter::default(), all()).await.unwrap().len(), 1);
});

on_both!(of_a_hundred_creators_of_one_slug_one_gets_it, |store| {
    let answers = at_once(CALLERS, |caller| {
        let store = store.clone();
        let id = format!("t{caller}");
        let mut tenant = tenant(&id);
        tenant.slug = Slug::parse("acme").unwrap();
        async move { store.try_write(new(&id), vec![Change::Tenant { before: None, after: tenant }]).await }
    })
    .await;
    assert_eq!(successes(&answers, |error| matches!(error, CommitError::SlugTaken)), 1);
    let tables = Tables::of(&store).await;
    for table in ["tenant", "tenant_slug", "change_log"] {
        assert_eq!(tables.rows(table, "true").await.len(), 1, "{table}");
    }
    // The others' ids have not been used: only the platform's and the winner's are there.
    assert_eq!(tables.rows("tenant_rev", "true").await.len(), 2);
});

on_both!(of_a_hundred_creators_of_one_tenant_one_makes_it, |store| {
    let answers = at_once(CALLERS, |caller| {
        let store = store.clone();
        let mut tenant = tenant("acme");
        tenant.slug = Slug::parse(&format!("s{caller}")).unwrap();
        async move {
            store
                .try_write(
                    new("acme"),
                    vec![Change::Tenant {
                        before: None,
                        after: tenant,
                    }],
                )
                .await
        }
    })
    .await;
    assert_eq!(successes(&answers, |error| matches!(error, CommitError::TenantIdTaken)), 1);
    revisions_are_whole(&store, 1).await;
});

/// Renames the tenant, if it is still at the revision that was read.
async fn rename(store: &Store, to: String, expected: Revision) -> Result<Receipt<()>, CommitError<No>> {
    let plan = move |state: &State| {
        let before = state.tenant.clone().unwrap();
        if before.revision != expected {
            return Err("aborted");
        }
        let mut after = before.clone();
        after.name = name(&to);
        after.revision = state.next();
        Ok(planned(vec![Change::Tenant { before: Some(before), after }]))
    };
    store.commit(on("acme"), Needs::default(), plan).await
}

on_both!(of_a_hundred_compare_and_sets_one_wins_a_revision, |store| {
    store.bare_tenant("acme").await;
    for round in 1..=3 {
        let answers = at_once(CALLERS, |caller| {
            let store = store.clone();
            async move { rename(&store, format!("by {caller}"), Revision(round)).await }
        })
        .await;
        assert_eq!(successes(&answers, |error| matches!(error, CommitError::Refused("aborted"))), 1);
        let view = store.sql.tenant(tenant_id("acme")).await.unwrap().unwrap();
        assert_eq!((view.revision, view.tenant.revision), (Revision(round + 1), Revision(round + 1)));
    }
    revisions_are_whole(&store, 4).await;
});

/// The log of `acme` has every revision up to the last once, and its chain is whole.
async fn revisions_are_whole(store: &Store, last: u64) {
    let log = store.log("acme").await;
    chain_is_whole(&log, "acme");
    assert_eq!(log.len() as u64, last);
    let view = store.sql.tenant(tenant_id("acme")).await.unwrap().unwrap();
    assert_eq!(view.revision, Revision(last));
}

//! Tenants apart: every RPC, as every kind of caller, with own, foreign, mixed and absent ids. Requests are made from the
//! descriptor set; what is expected is data; the other tenant's rows stay as they were, byte for byte.

mod callers;
mod expected;
pub(crate) mod requests;
pub(crate) mod wire;

use doorward::proto;
use prost_reflect::prost::Message;
use prost_reflect::{DescriptorPool, MethodDescriptor};
use tonic::Code;

use self::callers::Who;
use self::expected::{ANSWERED, PLATFORMS, good, refusal};
use self::requests::Ids;
use self::wire::{Answer, Caller};
use crate::harness::{Server, on_both};
use crate::store::tables::Tables;

pub(crate) const OWN: Ids = Ids { tenant: "acme", prefix: "acme" };
pub(crate) const FOREIGN: Ids = Ids { tenant: "beta", prefix: "beta" };
const NOWHERE: Ids = Ids { tenant: "gone", prefix: "gone" };
const MIXED: Ids = Ids { tenant: "acme", prefix: "beta" };
const ABSENT: Ids = Ids { tenant: "acme", prefix: "gone" };

/// What a request names that may be another tenant's.
const REFERENCES: [&str; 10] = [
    "member_id",
    "member_ids",
    "from_member_id",
    "resource_id",
    "resource_ids",
    "key_id",
    "resource",
    "subject",
    "check",
    "changes",
];

pub(crate) fn methods() -> Vec<MethodDescriptor> {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let service = pool.get_service_by_name("doorward.v1.AccessService").unwrap();
    service.methods().collect()
}

/// The same in each tenant: an owner, a user, a second admin, an agent, a key.
pub(crate) async fn furnish(server: &Server, tenant: &'static str) {
    server.tenant(tenant).await;
    server.user(tenant, &format!("{tenant}-user")).await;
    server.member(tenant, &format!("{tenant}-boss"), proto::Role::Admin).await;
    server.agent(tenant, &format!("{tenant}-bot")).await;
    crate::callers::admin_key(server, tenant, &format!("{tenant}-key")).await;
}

struct Bench {
    caller: Caller,
    tables: Tables,
    faults: Vec<String>,
    calls: usize,
}

impl Bench {
    async fn call(&mut self, who: &Who, method: &MethodDescriptor, ids: Ids, writes: bool) -> Answer {
        self.calls += 1;
        let request = requests::request(&method.input(), ids, !writes).encode_to_vec();
        self.caller.call(method, request, &who.headers()).await
    }

    fn expect(&mut self, who: &Who, method: &MethodDescriptor, what: &str, found: &Answer, wanted: Code) {
        if found.code != wanted {
            let text = &found.text;
            self.faults.push(format!(
                "{} / {} / {what}: {:?} ({text}), expected {wanted:?}",
                method.name(),
                who.name,
                found.code
            ));
        }
    }

    fn expect_same(
        &mut self,
        who: &Who,
        method: &MethodDescriptor,
        what: &str,
        one: &Answer,
        other: &Answer,
    ) {
        if one != other {
            self.faults.push(format!("{} / {} / {what}: {one:?} is not {other:?}", method.name(), who.name));
        }
    }

    /// As who they are, in the tenant that they know.
    async fn own(&mut self, who: &Who, method: &MethodDescriptor) {
        let found = self.call(who, method, OWN, false).await;
        let wanted = refusal(who, method.name(), OWN.tenant).unwrap_or_else(|| good(method.name()));
        self.expect(who, method, "own", &found, wanted);
    }

    /// Another's ids in one's own tenant are as ids of nothing.
    async fn mixed(&mut self, who: &Who, method: &MethodDescriptor) {
        let is_about = |name: &str| method.input().get_field_by_name(name).is_some();
        if !REFERENCES.into_iter().any(is_about) || is_creation(method.name()) {
            return;
        }
        let mixed = self.call(who, method, MIXED, true).await;
        let absent = self.call(who, method, ABSENT, true).await;
        self.expect_same(who, method, "mixed and absent", &mixed.renamed("beta-", "gone-"), &absent);
        let wanted = match refusal(who, method.name(), OWN.tenant) {
            Some(refused) => refused,
            // Somebody who reads only themselves is denied everybody else, there or not.
            None if who.kind == callers::Kind::UserOf("acme") => Code::PermissionDenied,
            None if ANSWERED.contains(&method.name()) => Code::Ok,
            None => Code::NotFound,
        };
        self.expect(who, method, "mixed", &mixed, wanted);
    }

    /// Another tenant is as none.
    async fn foreign(&mut self, who: &Who, method: &MethodDescriptor) {
        if PLATFORMS.contains(&method.name()) {
            return;
        }
        let Some(wanted) = refusal(who, method.name(), FOREIGN.tenant) else { return };
        let foreign = self.call(who, method, FOREIGN, true).await;
        self.expect(who, method, "foreign", &foreign, wanted);
        // Who is known in no tenant, or in the other one, has no tenant of their own to compare with.
        if refusal(who, method.name(), NOWHERE.tenant) == Some(wanted) {
            let nowhere = self.call(who, method, NOWHERE, true).await;
            self.expect_same(who, method, "foreign and nowhere", &foreign, &nowhere);
        }
    }
}

/// What makes something, with ids left to the server.
fn is_creation(rpc: &str) -> bool {
    ["Create", "Register", "Invite", "BatchInvite", "Accept"].iter().any(|verb| rpc.starts_with(verb))
}

on_both!(no_call_reaches_across_tenants, |server| {
    furnish(server, "acme").await;
    furnish(server, "beta").await;
    let everybody = callers::all(server).await;
    let caller = Caller::over(server.channel());
    let tables = Tables::at(&server.url).await;
    let mut bench = Bench { caller, tables, faults: Vec::new(), calls: 0 };
    let before = bench.tables.of_tenant("beta").await;
    for method in methods() {
        for who in everybody.iter().filter(|who| who.kind != callers::Kind::AdminOf("beta")) {
            let may = refusal(who, method.name(), OWN.tenant).is_none();
            if may && method.is_server_streaming() && !method.is_client_streaming() {
                // A stream of the server's own goes on: its own tests see to it.
                continue;
            }
            bench.own(who, &method).await;
            bench.mixed(who, &method).await;
            bench.foreign(who, &method).await;
        }
        assert_eq!(bench.tables.of_tenant("beta").await, before, "after {}", method.name());
    }
    let faults = &bench.faults;
    assert!(faults.is_empty(), "{} of {} calls:\n{}", faults.len(), bench.calls, faults.join("\n"));
    assert!(bench.calls > 3_000, "{}", bench.calls);
});

//! Every RPC of the API has its row in the table of operations, and no row is without an RPC.

use std::collections::BTreeSet;

use doorward::proto;
use doorward::service::Operation;
use prost_reflect::DescriptorPool;

#[test]
fn every_rpc_has_an_authority_row() {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let service = pool.get_service_by_name("doorward.v1.AccessService").unwrap();
    let rpcs: BTreeSet<_> = service.methods().map(|method| method.name().to_owned()).collect();
    let rows: BTreeSet<_> = Operation::ALL.iter().map(|operation| operation.name().to_owned()).collect();
    assert_eq!(rpcs, rows);
    assert_eq!(pool.services().filter(|one| one.full_name().starts_with("doorward.")).count(), 1);
}

#[test]
fn what_takes_a_request_id_is_a_mutation() {
    let pool = DescriptorPool::decode(proto::FILE_DESCRIPTOR_SET).unwrap();
    let service = pool.get_service_by_name("doorward.v1.AccessService").unwrap();
    for method in service.methods() {
        let operation = Operation::parse(method.name()).unwrap();
        let has_tail = method.input().get_field_by_name("request_id").is_some();
        assert_eq!(operation.is_mutation(), has_tail, "{}", method.name());
    }
}

//! What fuzzing does with the tokens that we hand out: what is understood was made by us, and for this.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use doorward_engine::id::TenantId;

use super::keys;
use crate::keys::Purpose;
use crate::service::Operation;
use crate::wire::convert::{Fields, PageFilter, seen_by};

const PURPOSES: [Purpose; 4] = [Purpose::Page, Purpose::Revision, Purpose::Outbox, Purpose::Cache];
/// Of the list that tokens here are of.
const LIST: Operation = Operation::ListMembers;

/// A tenant, what narrows a list, and a token: a line each.
pub fn token(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let mut lines = text.splitn(3, '\n').map(str::to_owned);
    let mut line = || lines.next().unwrap_or_default();
    let (tenant, narrowed, token) = (line(), line(), line());
    page(&tenant, &narrowed, &token);
    revision(&tenant, &token);
    for purpose in PURPOSES {
        assert!(keys().open(purpose, tenant.as_bytes(), bytes).is_none(), "nobody sealed this");
        of_purpose(purpose, bytes, &token);
    }
}

fn after(filter: &PageFilter, token: &str) -> Option<String> {
    Fields::default().page_after(&keys(), filter, token).flatten()
}

fn page(tenant: &str, narrowed: &str, token: &str) {
    let filter = PageFilter::new(LIST, tenant, &[narrowed]);
    if let Some(after) = after(&filter, token) {
        assert_eq!(filter.token(&keys(), &after), token, "a token that we did not make");
    }
    let ours = filter.token(&keys(), narrowed);
    assert_eq!(after(&filter, &ours).as_deref(), Some(narrowed));
    let longer = format!("{narrowed}{tenant}");
    for other in [
        PageFilter::new(Operation::ListResources, tenant, &[narrowed]),
        PageFilter::new(LIST, &format!("{tenant}x"), &[narrowed]),
        PageFilter::new(LIST, tenant, &[narrowed, ""]),
        PageFilter::new(LIST, "", &[&longer, ""]),
    ] {
        assert_eq!(after(&other, &ours), None, "a token of another list");
    }
}

fn revision(tenant: &str, token: &str) {
    let Ok(tenant) = TenantId::parse(tenant) else { return };
    let Some(seen) = seen_by(&keys(), &tenant, token) else { return };
    let payload = [&seen.revision.0.to_be_bytes(), &seen.epoch.0[..], tenant.as_str().as_bytes()].concat();
    assert_eq!(keys().sign(Purpose::Revision, &payload), token, "a token that we did not make");
    let other = TenantId::parse(&format!("x{tenant}"));
    assert!(other.is_err() || other.is_ok_and(|other| seen_by(&keys(), &other, token).is_none()));
}

fn of_purpose(purpose: Purpose, payload: &[u8], token: &str) {
    if let Some(payload) = keys().check(purpose, token) {
        assert_eq!(keys().sign(purpose, &payload), token, "a token that we did not make");
    }
    let ours = keys().sign(purpose, payload);
    assert_eq!(keys().check(purpose, &ours).as_deref(), Some(payload));
    assert!(PURPOSES.iter().all(|&other| other == purpose || keys().check(other, &ours).is_none()));
    let Ok(mut raw) = URL_SAFE_NO_PAD.decode(&ours) else { return };
    let at = payload.iter().fold(payload.len(), |at, &byte| at * 31 % 65_521 + usize::from(byte));
    let length = raw.len();
    if let Some(byte) = raw.get_mut(at % length) {
        *byte ^= 1 << (at % 8);
    }
    assert_eq!(keys().check(purpose, &URL_SAFE_NO_PAD.encode(&raw)), None, "a byte was changed");
}

/// Real tokens, each with what it is of.
pub(crate) fn seeds() -> Vec<(String, Vec<u8>)> {
    let mut seeds = Vec::new();
    for (at, (tenant, narrowed, last)) in
        [("acme", "", "m1"), ("acme", "ada", "ada@example.com"), ("", "", "acme")].into_iter().enumerate()
    {
        let token = PageFilter::new(LIST, tenant, &[narrowed]).token(&keys(), last);
        seeds.push((format!("page-{at}"), format!("{tenant}\n{narrowed}\n{token}").into_bytes()));
    }
    for (at, tenant) in ["acme", "0191d2c4-7c3e-7b3a-8f5e-1c2d3e4f5a6b"].into_iter().enumerate() {
        let payload = [&7_u64.to_be_bytes(), &[5; 16][..], tenant.as_bytes()].concat();
        let token = keys().sign(Purpose::Revision, &payload);
        seeds.push((format!("revision-{at}"), format!("{tenant}\n\n{token}").into_bytes()));
    }
    seeds
}

//! Pages: sizes, and tokens that are bound to the RPC, the tenant and the filters that they continue.

use crate::keys::{Keys, Purpose};
use crate::service::Operation;

use super::fields::Fields;

const PAGE_SIZE_DEFAULT: u64 = 50;
const PAGE_SIZE_MAX: u64 = 1_000;

/// What a list is of: a token continues only the same list.
pub(in crate::wire) struct PageFilter {
    digest: [u8; 32],
}

impl PageFilter {
    /// The list of an operation, a tenant, and whatever narrows it.
    pub(in crate::wire) fn new(operation: Operation, tenant: &str, filters: &[&str]) -> Self {
        let mut hasher = blake3::Hasher::new();
        for text in [operation.name(), tenant].iter().chain(filters) {
            hasher.update(&u64::try_from(text.len()).unwrap_or(u64::MAX).to_be_bytes());
            hasher.update(text.as_bytes());
        }
        Self { digest: *hasher.finalize().as_bytes() }
    }

    /// The token for what comes after a key.
    pub(in crate::wire) fn token(&self, keys: &Keys, after: &str) -> String {
        keys.sign(Purpose::Page, &[&self.digest[..], after.as_bytes()].concat())
    }

    fn after(&self, keys: &Keys, token: &str) -> Option<String> {
        let payload = keys.check(Purpose::Page, token)?;
        let (digest, after) = payload.split_first_chunk::<32>()?;
        if *digest == self.digest { String::from_utf8(after.to_vec()).ok() } else { None }
    }
}

impl Fields {
    /// The most entries of a page: 0 means 50, more than 1,000 means 1,000.
    pub(in crate::wire) fn page_size(&mut self, page_size: i32) -> Option<u64> {
        match u64::try_from(page_size) {
            Ok(0) => Some(PAGE_SIZE_DEFAULT),
            Ok(size) => Some(size.min(PAGE_SIZE_MAX)),
            Err(_) => {
                self.wrong("page_size", format!("is {page_size}: expected 0 (for 50) to {PAGE_SIZE_MAX}"));
                None
            }
        }
    }

    /// The key after which a page begins: `Some(None)` for the first page.
    pub(in crate::wire) fn page_after(
        &mut self,
        keys: &Keys,
        filter: &PageFilter,
        token: &str,
    ) -> Option<Option<String>> {
        if token.is_empty() {
            return Some(None);
        }
        let after = filter.after(keys, token);
        if after.is_none() {
            self.wrong(
                "page_token",
                "is none of this list: expected the `next_page_token` of the same call with the same filters",
            );
        }
        after.map(Some)
    }
}

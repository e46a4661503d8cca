//! Lists: pages as such, and how a page is made by asking the engine of one candidate after the other.
//!
//! What a subject has access to, and who has access to a thing, is answered a chunk of candidates at a time: exact, and
//! bounded. A page that comes to its bound ends early and says where the next one goes on.

mod accessible;
mod members;

use std::ops::ControlFlow;

use doorward_engine::decide::Decision;
use doorward_engine::id::{ResourceRef, Revision, TenantId};
use doorward_engine::instant::Instant;
use doorward_engine::reason::Reason;

pub use self::accessible::{Accessible, Things};
pub use self::members::{Crowd, MemberWithAccess};
use super::{Backend, Error, Service};
use crate::resolver::Presented;
use crate::store::directory::Slice;
use crate::store::{Freshness, Snapshot};

/// The most candidates that are asked of at once.
pub(super) const CHUNK: u64 = 1_000;
/// The most chunks for one page.
pub(super) const CHUNKS_MAX: usize = 10;

/// A page of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T, K> {
    /// The entries.
    pub items: Vec<T>,
    /// After which key the next page goes on; none: this was the last.
    pub next: Option<K>,
}

/// A page of answers, and the tenant's revision that they describe.
#[derive(Clone, Debug)]
pub struct Found<T, K> {
    /// The page.
    pub page: Page<T, K>,
    /// The revision.
    pub revision: Revision,
}

/// Why there is access, and until when the answer holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowed {
    /// Why.
    pub reason: Reason,
    /// Until when.
    pub valid_until: Option<Instant>,
}

impl<B: Backend> Service<B> {
    /// The facts of a tenant and of resources in it.
    pub(super) async fn tenant_facts(
        &self,
        tenant: TenantId,
        resources: Vec<ResourceRef>,
    ) -> Result<Snapshot, Error> {
        let freshness = Freshness::MinimizeLatency;
        Ok(self.resolver.snapshot(tenant, &Presented::Nobody, resources, freshness).await?)
    }
}

/// A page's bounds with one row more, which tells whether there is a next page.
pub(super) fn one_more<K>(slice: Slice<K>) -> Slice<K> {
    Slice { limit: slice.limit.saturating_add(1), ..slice }
}

impl<T, K> Page<T, K> {
    /// A page of at most `limit` of the rows, of which there may be one more.
    pub(super) fn cut(mut rows: Vec<T>, limit: u64, key: impl Fn(&T) -> K) -> Self {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let has_next = rows.len() > limit;
        rows.truncate(limit);
        let next = if has_next { rows.last().map(key) } else { None };
        Self { items: rows, next }
    }

    /// The same, with other entries.
    pub(super) fn map<U>(self, change: impl FnMut(T) -> U) -> Page<U, K> {
        Page { items: self.items.into_iter().map(change).collect(), next: self.next }
    }
}

/// What the engine said of a candidate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    /// It is one.
    Yes(Allowed),
    /// It is none.
    No,
    /// It is none, and neither is any other.
    NoneIs,
}

impl Verdict {
    /// `differs` tells the reasons that another candidate may not share.
    fn over(decision: &Decision, differs: impl Fn(Reason) -> bool) -> Self {
        let Decision { reason, valid_until, .. } = *decision;
        match (decision.allowed(), differs(reason)) {
            (true, _) => Self::Yes(Allowed { reason, valid_until }),
            (false, true) => Self::No,
            (false, false) => Self::NoneIs,
        }
    }
}

/// A page in the making, candidate by candidate in the order of their keys.
#[derive(Debug)]
struct Walk<T, K> {
    limit: usize,
    items: Vec<T>,
    /// The last candidate that was looked at and needs not be again.
    after: Option<K>,
    /// Whether there is nothing more to be found.
    is_over: bool,
}

impl<T, K: Clone> Walk<T, K> {
    fn over(slice: Slice<K>) -> Self {
        let limit = usize::try_from(slice.limit).unwrap_or(usize::MAX);
        Self { limit, items: Vec::new(), after: slice.after, is_over: false }
    }

    /// Takes the next candidate in, if it is one; breaks where the page is finished.
    fn take(&mut self, key: K, verdict: Verdict, item: impl FnOnce(Allowed) -> T) -> ControlFlow<()> {
        match verdict {
            // What is one too many goes to the next page.
            Verdict::Yes(_) if self.items.len() >= self.limit => return ControlFlow::Break(()),
            Verdict::Yes(allowed) => self.items.push(item(allowed)),
            Verdict::No => {}
            Verdict::NoneIs => {
                self.is_over = true;
                return ControlFlow::Break(());
            }
        }
        self.after = Some(key);
        ControlFlow::Continue(())
    }

    /// After a chunk that broke nothing: whether it was the last.
    fn ends_with(&mut self, candidates: usize) -> bool {
        self.is_over = u64::try_from(candidates).is_ok_and(|candidates| candidates < CHUNK);
        self.is_over
    }

    fn page(self) -> Page<T, K> {
        let next = if self.is_over { None } else { self.after };
        Page { items: self.items, next }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const YES: Verdict = Verdict::Yes(Allowed { reason: Reason::RoleAdmin, valid_until: None });

    /// Walks the verdicts on 1, 2, … in chunks of the real size, as the lists do.
    fn walked(verdicts: &[Verdict], after: Option<usize>, limit: u64) -> Page<usize, usize> {
        let mut walk = Walk::over(Slice { after, limit });
        for _ in 0..CHUNKS_MAX {
            let from = walk.after.unwrap_or(0);
            let chunk: Vec<_> = (1..).zip(verdicts).skip(from).take(CHUNK as usize).collect();
            for (key, verdict) in &chunk {
                if walk.take(*key, **verdict, |_| *key).is_break() {
                    return walk.page();
                }
            }
            if walk.ends_with(chunk.len()) {
                break;
            }
        }
        walk.page()
    }

    fn pages(verdicts: &[Verdict], limit: u64) -> Vec<Vec<usize>> {
        let mut pages = Vec::new();
        let mut after = None;
        loop {
            let page = walked(verdicts, after, limit);
            pages.push(page.items);
            match page.next {
                Some(next) => after = Some(next),
                None => return pages,
            }
        }
    }

    #[test]
    fn the_pages_hold_every_candidate_that_is_one_and_no_other() {
        let verdicts: Vec<_> = (1..=25_000).map(|n| if n % 7 == 0 { YES } else { Verdict::No }).collect();
        let expected: Vec<_> = (1..=25_000).filter(|n| n % 7 == 0).collect();
        for limit in [1_u64, 50, 1_000] {
            let pages = pages(&verdicts, limit);
            assert_eq!(pages.concat(), expected, "{limit}");
            let full = pages.iter().rev().skip(1).all(|page| page.len() as u64 == limit);
            assert!(full, "{limit}: a page before the last is full");
        }
    }

    #[test]
    fn a_page_that_comes_to_its_bound_says_where_the_next_one_goes_on() {
        let mut verdicts = vec![Verdict::No; 10_500];
        verdicts[10_400] = YES;
        let page = walked(&verdicts, None, 50);
        assert_eq!(page, Page { items: vec![], next: Some(10_000) });
        assert_eq!(pages(&verdicts, 50), [vec![], vec![10_401]]);
    }

    #[test]
    fn the_last_page_says_so_even_if_it_is_full() {
        assert_eq!(pages(&[YES; 4], 2), [[1, 2], [3, 4]]);
        assert_eq!(pages(&[YES, YES, Verdict::No, Verdict::No], 2), [[1, 2]]);
        assert_eq!(pages(&[], 2), [Vec::<usize>::new()]);
    }

    #[test]
    fn where_none_is_one_the_list_ends_at_once() {
        let verdicts = vec![Verdict::NoneIs; 50_000];
        assert_eq!(walked(&verdicts, None, 50), Page { items: vec![], next: None });
    }
}

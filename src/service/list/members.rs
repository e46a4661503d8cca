//! Who has access: the members of a tenant who may do an action to a section, part or resource.

use doorward_engine::catalogue::Catalogue;
use doorward_engine::contact::{Country, Domain};
use doorward_engine::decide::{Decision, decide};
use doorward_engine::id::{MemberId, ResourceRef, TenantId};
use doorward_engine::member::Member;
use doorward_engine::question::{Question, Target};
use doorward_engine::reason::Reason;
use doorward_engine::snapshot::{Facts, MemberFacts, Subject};

use super::{Allowed, CHUNK, CHUNKS_MAX, Found, Verdict, Walk};
use crate::caller::Caller;
use crate::service::check::{FIRST, Item};
use crate::service::error::{Error, Violation};
use crate::service::{Backend, Operation, Service};
use crate::store::directory::Slice;
use crate::store::{Directory, Snapshot};

/// The members of a tenant, all asking from one place.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// The tenant.
    pub tenant: TenantId,
    /// The country that they ask from.
    pub country: Option<Country>,
    /// Their email domain, in the place of each one's own.
    pub email_domain: Option<Domain>,
}

/// A member who has access.
#[derive(Clone, Debug)]
pub struct MemberWithAccess {
    /// The member.
    pub member: Member,
    /// Why, and until when.
    pub allowed: Allowed,
}

impl<B: Backend> Service<B> {
    /// A page of the members who have access, in the order of their ids. What nobody has gives an empty one.
    ///
    /// # Errors
    /// INVALID_ARGUMENT for a type or action that the catalogue does not have; TENANT_NOT_FOUND.
    pub async fn list_members_with_access(
        &self,
        caller: &Caller,
        crowd: Crowd,
        item: Item,
        slice: Slice<MemberId>,
    ) -> Result<Found<MemberWithAccess, MemberId>, Error> {
        let operation = Operation::ListMembersWithAccess;
        self.reading_admin(caller, operation, &crowd.tenant).await?;
        let resource = item.reference().cloned();
        let snapshot = self.tenant_facts(crowd.tenant.clone(), resource.iter().cloned().collect()).await?;
        let catalogue = &snapshot.in_force.catalogue;
        let target =
            Target::parse(catalogue, &item.action, item.kind(), item.id()).map_err(Violation::from)?;
        let (country, email_domain) = (crowd.country, crowd.email_domain.as_ref());
        let question = Question { target, country, email_domain };
        let mut walk = Walk::over(slice);
        'page: for _ in 0..CHUNKS_MAX {
            let slice = Slice { after: walk.after.clone(), limit: CHUNK };
            let tenant = crowd.tenant.clone();
            let chunk = self.directory.candidates(tenant, resource.clone(), slice).await?;
            let size = chunk.len();
            for (member, facts) in chunk {
                let facts = recompiled(&member, &facts, resource.as_ref(), catalogue);
                let decision = decided(&snapshot, &facts, &question);
                let verdict = Verdict::over(&decision, differs_by_member);
                let with = |allowed| MemberWithAccess { member, allowed };
                if walk.take(facts.id.clone(), verdict, with).is_break() {
                    break 'page;
                }
            }
            if walk.ends_with(size) {
                break;
            }
        }
        Ok(Found { page: walk.page(), revision: snapshot.revision })
    }
}

/// Candidates are compiled when they are read, and by then another catalogue may be in force than the question was
/// parsed against. Of grants they hold at most the one on the resource.
fn recompiled(
    member: &Member,
    facts: &MemberFacts,
    resource: Option<&ResourceRef>,
    catalogue: &Catalogue,
) -> MemberFacts {
    let grant = facts.grants().iter().next().map(|(_, _, grant)| grant);
    MemberFacts::over(member, resource.cloned().zip(grant), catalogue)
}

fn decided(snapshot: &Snapshot, member: &MemberFacts, question: &Question<'_>) -> Decision {
    let facts = Facts { subject: Subject::Member(Some(member)), ..snapshot.facts(FIRST) };
    decide(&facts, question, snapshot.now)
}

/// Whether a denial is of one member, and not of the tenant or the thing.
const fn differs_by_member(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::NotAMember
            | Reason::MemberPending
            | Reason::MemberDisabled
            | Reason::AdminRequired
            | Reason::SectionAdminOnly
            | Reason::SectionDisabled
            | Reason::SectionDefaultDenied
            | Reason::NotGranted
            | Reason::FirewallDomain
    )
}

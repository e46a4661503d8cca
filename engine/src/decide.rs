//! The decision: the first rule that decides wins, and what nothing allows is denied. Pure, total, no allocation.
//!
//! The rules are walked in one place for everybody: [`decide`] keeps only the reason, `explain` keeps every step.
//!
//! Where the rules are silent:
//! - A resource whose action needs a SYSTEM section is bound by the subscription like any other; only rule 11 does
//!   not apply, as SYSTEM sections are in every plan.
//! - An unknown part of a SYSTEM section skips the subscription, and is unknown.
//! - An API key that asks for a SYSTEM section skips the subscription too, and needs the scope.
//! - A deleted member is nobody, and a deleted resource does not exist: a grant on it counts for nothing.
//! - `hide` is a question of what the subject may know, so it is asked on every denial of a resource, also where the
//!   tenant, the subscription or the member's status is what denies. Nobody, and an invalid key, learn nothing from
//!   the reason and hide nothing; a revoked or expired key is known, and hides what its scopes do not name.
//! - Domains are compared whole: a rule for `example.com` says nothing about `mail.example.com`.

mod firewall;
mod gate;
mod resource;
mod section;
mod witness;

pub(crate) use self::witness::{Note, Witness};
use crate::catalogue::{Action, Section, SectionIx};
use crate::instant::Instant;
use crate::member::Grant;
use crate::question::{Question, Target};
use crate::reason::Reason;
use crate::role::Role;
use crate::snapshot::{Facts, Subject};
use crate::status::{MemberStatus, ResourceStatus};

/// The answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// The one reason.
    pub reason: Reason,
    /// Whether the caller should show "not found": only ever on a denial.
    pub hide: bool,
    /// The earliest later instant at which the same facts and question give another answer; none: never.
    pub valid_until: Option<Instant>,
}

impl Decision {
    /// Whether the question was allowed.
    #[must_use]
    pub const fn allowed(&self) -> bool {
        self.reason.allows()
    }
}

/// Decides a question at an instant. Facts and question must have been compiled against the facts' catalogue.
#[must_use]
pub fn decide(facts: &Facts<'_>, question: &Question<'_>, now: Instant) -> Decision {
    decide_with(facts, question, now, &mut ())
}

/// Decides, and lets a witness see every rule that was looked at.
pub(crate) fn decide_with<W: Witness>(
    facts: &Facts<'_>,
    question: &Question<'_>,
    now: Instant,
    witness: &mut W,
) -> Decision {
    let case = Case::over(facts, question);
    let answer = case.answer(now, witness);
    Decision { reason: answer.0, hide: answer.1, valid_until: case.valid_until(now, answer) }
}

/// Facts and question side by side, with what the rules look up more than once.
struct Case<'a> {
    facts: &'a Facts<'a>,
    question: &'a Question<'a>,
    /// The action on a resource.
    action: Option<&'a Action>,
    /// The section that is asked for, or that the action needs.
    section: Option<(SectionIx, &'a Section)>,
    /// A USER's grant on the resource, in force or expired.
    grant: Option<Grant>,
    /// Whether a key's scopes name the action on the resource.
    scoped: bool,
}

/// What the rules make of an instant.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Moment {
    is_open: bool,
    is_granted: bool,
    is_key_over: bool,
}

/// The reason, and whether to hide.
type Answer = (Reason, bool);

impl<'a> Case<'a> {
    fn over(facts: &'a Facts<'a>, question: &'a Question<'a>) -> Self {
        let catalogue = facts.catalogue;
        let (action, section) = match question.target {
            Target::Section { section, .. } => (None, section),
            Target::Resource { action, .. } => {
                let action = catalogue.action_at(action);
                (action, action.and_then(|action| action.section))
            }
        };
        let mut case = Self {
            facts,
            question,
            action,
            section: section.and_then(|index| Some((index, catalogue.section_at(index)?))),
            grant: None,
            scoped: false,
        };
        case.look_up();
        case
    }

    fn look_up(&mut self) {
        let Target::Resource { kind, action, id } = self.question.target else {
            return;
        };
        match self.facts.subject {
            Subject::Member(Some(member)) if member.role == Role::User && self.resource_exists() => {
                self.grant = member.grants().find(kind, id);
            }
            Subject::Key(Some(key)) => self.scoped = key.names_resource(kind, action, id),
            Subject::Member(_) | Subject::Key(None) => {}
        }
    }

    fn resource_exists(&self) -> bool {
        self.facts.resource.is_some_and(|resource| resource.status != ResourceStatus::Deleted)
    }

    fn asks_for_section(&self) -> bool {
        matches!(self.question.target, Target::Section { .. })
    }

    fn answer<W: Witness>(&self, now: Instant, witness: &mut W) -> Answer {
        let reason = self.judge(now, witness).unwrap_or_else(|denial| denial);
        (reason, !reason.allows() && self.hides(now))
    }

    /// The walk. An error is the denial of a rule; it ends the walk.
    fn judge<W: Witness>(&self, now: Instant, witness: &mut W) -> Result<Reason, Reason> {
        let tenant = gate::tenant(self, witness)?;
        match self.facts.subject {
            Subject::Member(member) => {
                let member = gate::member(member, witness)?;
                gate::subscription(self, tenant, now, witness)?;
                match self.question.target {
                    Target::Section { part, .. } => section::for_member(self, tenant, member, part, witness),
                    Target::Resource { .. } => resource::for_member(self, tenant, member, now, witness),
                }
            }
            Subject::Key(key) => {
                let key = gate::key(key, now, witness)?;
                gate::subscription(self, tenant, now, witness)?;
                match self.question.target {
                    Target::Section { part, .. } => section::for_key(self, tenant, key, part, witness),
                    Target::Resource { .. } => resource::for_key(self, tenant, witness),
                }
            }
        }
    }

    /// Whether the subject may not even know that the resource is there (rule 23).
    fn hides(&self, now: Instant) -> bool {
        if self.asks_for_section() {
            return false;
        }
        match self.facts.subject {
            Subject::Member(Some(member)) => {
                member.status != MemberStatus::Deleted && member.role == Role::User && !self.granted(now)
            }
            Subject::Key(Some(_)) => !self.scoped,
            Subject::Member(None) | Subject::Key(None) => false,
        }
    }

    fn granted(&self, now: Instant) -> bool {
        self.grant.is_some_and(|grant| grant.is_in_force(now))
    }

    /// The answer can change at no other instants than these: try each, the earliest first (rule 28).
    fn valid_until(&self, now: Instant, answer: Answer) -> Option<Instant> {
        let instants = self.instants();
        let next = |after| instants.into_iter().flatten().filter(|&instant| instant > after).min();
        let moment = self.moment(now);
        let is_same = |instant| self.moment(instant) == moment || self.answer(instant, &mut ()) == answer;
        let mut later = next(now);
        while let Some(instant) = later
            && is_same(instant)
        {
            later = next(instant);
        }
        later
    }

    /// All that the rules make of an instant: where it is the same, so is the answer.
    fn moment(&self, now: Instant) -> Moment {
        Moment {
            is_open: self.facts.tenant.is_some_and(|tenant| tenant.subscription.is_open(now)),
            is_granted: self.granted(now),
            is_key_over: self.key_expiry().is_some_and(|end| now >= end),
        }
    }

    fn key_expiry(&self) -> Option<Instant> {
        match self.facts.subject {
            Subject::Key(key) => key.and_then(|key| key.expires_at),
            Subject::Member(_) => None,
        }
    }

    fn instants(&self) -> [Option<Instant>; 6] {
        let subscription = self.facts.tenant.map(|tenant| &tenant.subscription);
        [
            subscription.and_then(|subscription| subscription.trial_end),
            subscription.and_then(|subscription| subscription.period_end),
            subscription.and_then(|subscription| subscription.grace_end),
            subscription.and_then(|subscription| subscription.access_until),
            self.grant.and_then(|grant| grant.expires_at),
            self.key_expiry(),
        ]
    }
}

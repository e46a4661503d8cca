//! Who watches the walk: nobody, at no cost, or a recorder that keeps every step.

use std::fmt;

use crate::explain::Outcome;
use crate::reason::Reason;
use crate::rule::Rule;

/// Sees each rule that is looked at. Notes are made only for those who keep them.
pub(crate) trait Witness {
    /// A rule was looked at.
    fn see(&mut self, rule: Rule, outcome: Outcome, note: impl FnOnce() -> Note);

    /// A rule was looked at and did not decide.
    fn passed(&mut self, rule: Rule, note: impl FnOnce() -> Note) {
        self.see(rule, Outcome::Passed, note);
    }

    /// A rule does not apply here.
    fn skipped(&mut self, rule: Rule, note: impl FnOnce() -> Note) {
        self.see(rule, Outcome::Skipped, note);
    }

    /// A rule decided; gives the reason back.
    fn decided(&mut self, rule: Rule, reason: Reason, note: impl FnOnce() -> Note) -> Reason {
        self.see(rule, Outcome::Decided(reason), note);
        reason
    }
}

impl Witness for () {
    #[inline(always)]
    fn see(&mut self, _: Rule, _: Outcome, _: impl FnOnce() -> Note) {}
}

/// Watches rules inside another rule: what allows there has only passed, what denies there has decided.
pub(super) struct Within<'w, W>(pub(super) &'w mut W);

impl<W: Witness> Witness for Within<'_, W> {
    #[inline]
    fn see(&mut self, rule: Rule, outcome: Outcome, note: impl FnOnce() -> Note) {
        let outcome = match outcome {
            Outcome::Decided(reason) if reason.allows() => Outcome::Passed,
            outcome => outcome,
        };
        self.0.see(rule, outcome, note);
    }
}

/// What a rule found, in a sentence and as facts.
pub(crate) struct Note {
    pub(crate) finding: String,
    pub(crate) facts: Vec<(&'static str, String)>,
}

impl Note {
    pub(super) fn of(finding: impl Into<String>) -> Self {
        Self { finding: finding.into(), facts: Vec::new() }
    }

    pub(super) fn with(mut self, name: &'static str, value: impl fmt::Display) -> Self {
        self.facts.push((name, value.to_string()));
        self
    }

    pub(super) fn with_some(self, name: &'static str, value: Option<impl fmt::Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }
}

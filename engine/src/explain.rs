//! The same walk as [`crate::decide::decide`], keeping every rule that was looked at and what it found.

use crate::decide::{Decision, Note, Witness, decide_with};
use crate::instant::Instant;
use crate::question::Question;
use crate::reason::Reason;
use crate::rule::Rule;
use crate::snapshot::Facts;

/// A decision, and how it was come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// The decision: equal to what [`crate::decide::decide`] says.
    pub decision: Decision,
    /// The rules that were looked at, in order; the last one decided.
    pub steps: Vec<Step>,
}

/// A rule that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The rule.
    pub rule: Rule,
    /// What came of it.
    pub outcome: Outcome,
    /// What it found, as a sentence.
    pub finding: String,
    /// The facts that it saw, by name.
    pub facts: Vec<(&'static str, String)>,
}

/// What came of looking at a rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It was looked at and did not decide.
    Passed,
    /// It does not apply here.
    Skipped,
    /// It decided.
    Decided(Reason),
}

/// Decides a question at an instant, and says how.
#[must_use]
pub fn explain(facts: &Facts<'_>, question: &Question<'_>, now: Instant) -> Explanation {
    let mut recorder = Recorder { steps: Vec::new() };
    let decision = decide_with(facts, question, now, &mut recorder);
    Explanation { decision, steps: recorder.steps }
}

struct Recorder {
    steps: Vec<Step>,
}

impl Witness for Recorder {
    fn see(&mut self, rule: Rule, outcome: Outcome, note: impl FnOnce() -> Note) {
        let Note { finding, facts } = note();
        self.steps.push(Step { rule, outcome, finding, facts });
    }
}

//! The tenant's firewall rules: from which countries and email domains an action may be used (rule 25).

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::contact::{Country, Domain};

/// How a list is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ListMode {
    /// Only what is listed passes.
    AllowList,
    /// Only what is not listed passes.
    BlockList,
}

/// What a country rule makes of a question that names no country.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OnMissing {
    /// The rule is skipped.
    #[default]
    Skip,
    /// The question is denied.
    Deny,
}

/// A rule over countries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CountryRule {
    /// How the list is read.
    pub mode: ListMode,
    /// The list.
    pub countries: BTreeSet<Country>,
    /// What a question without a country gets.
    pub on_missing: OnMissing,
}

/// A rule over email domains.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DomainRule {
    /// How the list is read.
    pub mode: ListMode,
    /// The list.
    pub domains: BTreeSet<Domain>,
}

/// A tenant's firewall: at most one rule of each kind; both must pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Firewall {
    /// The rule over countries.
    pub country: Option<CountryRule>,
    /// The rule over email domains.
    pub domain: Option<DomainRule>,
}

impl ListMode {
    /// The name used in prose, rows and errors.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AllowList => "ALLOW_LIST",
            Self::BlockList => "BLOCK_LIST",
        }
    }

    /// Whether something that is or is not on the list passes.
    #[must_use]
    pub const fn passes(self, listed: bool) -> bool {
        match self {
            Self::AllowList => listed,
            Self::BlockList => !listed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allow_list_passes_what_is_listed_and_a_block_list_what_is_not() {
        assert!(ListMode::AllowList.passes(true) && !ListMode::AllowList.passes(false));
        assert!(!ListMode::BlockList.passes(true) && ListMode::BlockList.passes(false));
    }
}

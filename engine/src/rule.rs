//! The decision rules by number and name, as explanations cite them. What they do is in `decide`.

macro_rules! rules {
    ($($(#[$doc:meta])* $rule:ident = $number:literal, $name:literal;)+) => {
        /// A decision rule. The numbers are those of the documentation; 19 is free.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Rule {
            $($(#[$doc])* $rule = $number),+
        }

        impl Rule {
            /// Every rule, by number.
            pub const ALL: &[Self] = &[$(Self::$rule),+];

            /// The number in the documentation.
            #[must_use]
            pub const fn number(self) -> u8 {
                match self { $(Self::$rule => $number),+ }
            }

            /// A name for people.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$rule => $name),+ }
            }
        }
    };
}

rules! {
    /// An unknown or deleted tenant has nothing.
    TenantExists = 1, "tenant exists";
    /// A suspended tenant is closed.
    TenantOpen = 2, "tenant not suspended";
    /// Who is no member has nothing.
    Membership = 3, "membership";
    /// A resource of another tenant is one that does not exist (a note to 20).
    ForeignResource = 4, "foreign resource";
    /// A pending member has nothing.
    MemberAccepted = 5, "invitation accepted";
    /// A disabled member has nothing.
    MemberEnabled = 6, "member not disabled";
    /// SYSTEM sections skip rules 8 to 11.
    SystemSkipsGate = 7, "SYSTEM skips the subscription";
    /// A complimentary tenant passes; rules 9 to 11 are skipped.
    Complimentary = 8, "complimentary";
    /// An open subscription passes.
    SubscriptionOpen = 9, "subscription open";
    /// A subscription that is not open denies.
    SubscriptionLapsed = 10, "subscription lapsed";
    /// The section must be in the plan.
    InPlan = 11, "section in plan";
    /// The section and the part must exist.
    SectionKnown = 12, "section known";
    /// The feature switch that the section needs must be on.
    SwitchOn = 13, "feature switch";
    /// A part may need an ADMIN; then SYSTEM sections are open.
    PartAndSystem = 14, "part and SYSTEM section";
    /// An ADMIN has every section.
    AdminSection = 15, "ADMIN has sections";
    /// What a USER cannot have, and what everybody has.
    SectionKind = 16, "section type";
    /// The value stored for the member.
    StoredValue = 17, "stored value";
    /// The default, where nothing is stored.
    DefaultValue = 18, "default value";
    /// The resource must exist in the tenant.
    ResourceKnown = 20, "resource exists";
    /// An action may need an ADMIN.
    AdminAction = 21, "ADMIN-only action";
    /// The section that the action needs is decided first.
    ActionSection = 22, "section of the action";
    /// A USER needs a grant.
    Granted = 23, "grant";
    /// An INACTIVE resource blocks some actions.
    ResourceActive = 24, "resource active";
    /// The tenant's firewall.
    Firewall = 25, "firewall";
    /// What has passed every rule is allowed.
    ResourceAllowed = 26, "resource allowed";
    /// An API key must be valid and its scopes must say so.
    ApiKey = 27, "API key";
    /// The clock, and until when an answer holds.
    Clock = 28, "clock";
    /// From its expiry on, a grant is absent.
    GrantExpiry = 29, "grant expiry";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_numbered_1_to_29_without_19() {
        let numbers: Vec<_> = Rule::ALL.iter().map(|rule| rule.number()).collect();
        assert_eq!(numbers, (1..=29).filter(|&number| number != 19).collect::<Vec<_>>());
    }
}

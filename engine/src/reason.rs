//! Every reason that a decision can have: a closed set, each one saying whether it allows.

macro_rules! reasons {
    ($($(#[$doc:meta])* $reason:ident = $text:literal, $allows:literal;)+) => {
        /// Why a question was allowed or denied.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Reason {
            $($(#[$doc])* $reason),+
        }

        impl Reason {
            /// Every reason, those that allow first.
            pub const ALL: &[Self] = &[$(Self::$reason),+];

            /// The name used in prose, answers and metrics.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$reason => $text),+ }
            }

            /// Whether the reason is one for allowing.
            #[must_use]
            pub const fn allows(self) -> bool {
                match self { $(Self::$reason => $allows),+ }
            }

            /// The reason of that name.
            #[must_use]
            pub fn parse(name: &str) -> Option<Self> {
                Self::ALL.iter().copied().find(|reason| reason.name() == name)
            }
        }

        impl std::fmt::Display for Reason {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

reasons! {
    /// Allowed: the member is an ADMIN (rules 15 and 26).
    RoleAdmin = "ROLE_ADMIN", true;
    /// Allowed: the section is stored as on for the USER (rule 17).
    SectionGranted = "SECTION_GRANTED", true;
    /// Allowed: nothing is stored and the default is on (rule 18).
    SectionDefaultAllowed = "SECTION_DEFAULT_ALLOWED", true;
    /// Allowed: every active member has the section (rule 16).
    SectionAlwaysOpen = "SECTION_ALWAYS_OPEN", true;
    /// Allowed: a SYSTEM section, or a part of one that needs no ADMIN (rule 14).
    SystemSection = "SYSTEM_SECTION", true;
    /// Allowed: the USER has a grant in force (rule 26).
    ResourceGranted = "RESOURCE_GRANTED", true;
    /// Allowed: the API key's scopes say so (rule 27).
    KeyScope = "KEY_SCOPE", true;
    /// Denied: there is no such tenant (rule 1).
    TenantNotFound = "TENANT_NOT_FOUND", false;
    /// Denied: the tenant was deleted (rule 1).
    TenantDeleted = "TENANT_DELETED", false;
    /// Denied: the operator has suspended the tenant (rule 2).
    TenantSuspended = "TENANT_SUSPENDED", false;
    /// Denied: the person is no member, or one no more (rule 3).
    NotAMember = "NOT_A_MEMBER", false;
    /// Denied: the invitation has not been accepted (rule 5).
    MemberPending = "MEMBER_PENDING", false;
    /// Denied: the member is disabled (rule 6).
    MemberDisabled = "MEMBER_DISABLED", false;
    /// Denied: the subscription has lapsed (rule 10).
    SubscriptionExpired = "SUBSCRIPTION_EXPIRED", false;
    /// Denied: the subscription was cancelled and the paid period is over (rule 10).
    SubscriptionCancelled = "SUBSCRIPTION_CANCELLED", false;
    /// Denied: the section is not in the tenant's plan (rule 11).
    FeatureNotInPlan = "FEATURE_NOT_IN_PLAN", false;
    /// Denied: there is no such section or part (rule 12).
    SectionUnknown = "SECTION_UNKNOWN", false;
    /// Denied: the feature switch that the section needs is off (rule 13).
    FeatureDisabled = "FEATURE_DISABLED", false;
    /// Denied: the part or the action needs an ADMIN (rules 14 and 21).
    AdminRequired = "ADMIN_REQUIRED", false;
    /// Denied: the section cannot be given to a USER (rule 16).
    SectionAdminOnly = "SECTION_ADMIN_ONLY", false;
    /// Denied: the section is stored as off for the USER (rule 17).
    SectionDisabled = "SECTION_DISABLED", false;
    /// Denied: nothing is stored and the default is off (rule 18).
    SectionDefaultDenied = "SECTION_DEFAULT_DENIED", false;
    /// Denied: there is no such resource in the tenant (rule 20).
    ResourceNotFound = "RESOURCE_NOT_FOUND", false;
    /// Denied: the USER has no grant in force (rule 23).
    NotGranted = "NOT_GRANTED", false;
    /// Denied: the resource is INACTIVE and that blocks the action (rule 24).
    ResourceInactive = "RESOURCE_INACTIVE", false;
    /// Denied: the tenant's firewall does not let the country pass (rule 25).
    FirewallCountry = "FIREWALL_COUNTRY", false;
    /// Denied: the tenant's firewall does not let the email domain pass (rule 25).
    FirewallDomain = "FIREWALL_DOMAIN", false;
    /// Denied: the API key is unknown, revoked, expired or another tenant's (rule 27).
    KeyInvalid = "KEY_INVALID", false;
    /// Denied: the API key's scopes do not say so (rule 27).
    KeyScopeMissing = "KEY_SCOPE_MISSING", false;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seven_reasons_allow_and_twenty_two_deny() {
        assert_eq!(Reason::ALL.len(), 29);
        assert_eq!(Reason::ALL.iter().filter(|reason| reason.allows()).count(), 7);
    }

    #[test]
    fn every_name_is_parsed_back() {
        for &reason in Reason::ALL {
            assert_eq!(Reason::parse(reason.name()), Some(reason));
        }
        assert_eq!(Reason::parse("role_admin"), None);
        assert_eq!(Reason::parse(""), None);
    }
}

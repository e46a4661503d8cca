//! Every RPC, and who may call it: the one table.

use doorward_engine::credential::ServiceScope;

/// Who may call an operation. Each is narrowed further by the tenant and the member concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The operator alone.
    Operator,
    /// The operator, an ACTIVE ADMIN of the tenant, or its API key with scope `admin`.
    Admin,
    /// Those, but no API key.
    AdminMember,
    /// Those of [`Self::Admin`], or the member whom it concerns.
    AdminOrOneself,
}

macro_rules! operations {
    ($($name:ident: $authority:ident $(or $scope:ident)?,)+) => {
        /// An RPC of the service.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Operation {
            $(#[doc = concat!("The RPC ", stringify!($name), ".")] $name,)+
        }

        impl Operation {
            /// Every RPC.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// The RPC's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name)),+ }
            }

            /// Who may call it.
            #[must_use]
            pub const fn authority(self) -> Authority {
                match self { $(Self::$name => Authority::$authority),+ }
            }

            /// The scope by which a service may call it on nobody's behalf; none: there is none but `operator`.
            #[must_use]
            pub const fn scope(self) -> Option<ServiceScope> {
                match self { $(Self::$name => scope!($($scope)?)),+ }
            }
        }
    };
}

macro_rules! scope {
    () => {
        None
    };
    ($scope:ident) => {
        Some(ServiceScope::$scope)
    };
}

operations! {
    CheckAccess: AdminOrOneself or Check,
    BatchCheckAccess: AdminOrOneself or Check,
    StreamCheckAccess: AdminOrOneself or Check,
    ExplainAccess: AdminOrOneself or Read,
    ListAccessible: AdminOrOneself or Read,
    ListMembersWithAccess: Admin or Read,
    CreateTenant: Operator,
    GetTenant: Admin or Read,
    ListTenants: Operator,
    UpdateTenant: Admin,
    DeleteTenant: AdminMember,
    SuspendTenant: Operator,
    ResumeTenant: Operator,
    InviteMember: Admin,
    BatchInviteMembers: Admin,
    ResendInvitation: Admin,
    CancelInvitation: Admin,
    AcceptInvitation: Admin or Identity,
    ActivateMember: Admin or Identity,
    ChangeMemberRole: Admin,
    DisableMember: Admin,
    EnableMember: Admin,
    DeleteMember: Admin,
    UpdateMember: AdminOrOneself or Identity,
    GetMember: AdminOrOneself or Read,
    ListMembers: Admin or Read,
    SetSectionAccess: Admin,
    ResetSectionAccess: Admin,
    GetPermissionMatrix: Admin or Read,
    SetSectionDefaults: Admin,
    ApplySectionDefaults: Admin,
    RegisterResource: Admin or Resources,
    BatchRegisterResources: Admin or Resources,
    UpdateResource: Admin or Resources,
    ActivateResource: Admin or Resources,
    DeactivateResource: Admin or Resources,
    DeleteResource: Admin or Resources,
    GetResource: Admin or Read,
    ListResources: Admin or Read,
    SetGrants: Admin,
    GetAccessMatrix: Admin or Read,
    CopyAccess: Admin,
    SetSubscription: Operator,
    CancelSubscription: Admin,
    RenewSubscription: Operator,
    SetComplimentary: Operator,
    SetPlan: Operator,
    SetFeatureSwitch: Admin,
    SetFirewallRule: Admin,
    DeleteFirewallRule: Admin,
    CreateApiKey: AdminMember,
    ListApiKeys: Admin or Read,
    RevokeApiKey: Admin,
    GetCatalogue: Operator,
    ApplyCatalogue: Operator,
    CreateServiceCredential: Operator,
    ListServiceCredentials: Operator,
    RotateServiceCredential: Operator,
    RevokeServiceCredential: Operator,
    ListAuditEvents: Admin or Read,
    WatchChanges: Admin or Read,
}

impl Operation {
    /// Whether it changes something: all but questions, reads and streams.
    #[must_use]
    pub fn is_mutation(self) -> bool {
        let reads = ["Get", "List", "Check", "BatchCheck", "StreamCheck", "Explain", "Watch"];
        !reads.iter().any(|verb| self.name().starts_with(verb))
    }

    /// Whether it is a check, as services make them by the thousand.
    #[must_use]
    pub const fn is_check(self) -> bool {
        matches!(self, Self::CheckAccess | Self::BatchCheckAccess | Self::StreamCheckAccess)
    }

    /// The RPC of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.name() == name)
    }
}

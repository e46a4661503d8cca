//! Every RPC, and who may call it: the one table.

/// Who may call an operation. Each is narrowed further by the tenant and the member concerned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Authority {
    /// The operator alone.
    Operator,
    /// The operator, or an ACTIVE ADMIN of the tenant.
    Admin,
    /// Those, or the member whom it concerns.
    AdminOrOneself,
}

macro_rules! operations {
    ($($name:ident: $authority:ident,)+) => {
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
        }
    };
}

operations! {
    CheckAccess: AdminOrOneself,
    BatchCheckAccess: AdminOrOneself,
    StreamCheckAccess: AdminOrOneself,
    ExplainAccess: AdminOrOneself,
    ListAccessible: AdminOrOneself,
    ListMembersWithAccess: Admin,
    CreateTenant: Operator,
    GetTenant: Admin,
    ListTenants: Operator,
    UpdateTenant: Admin,
    DeleteTenant: Admin,
    SuspendTenant: Operator,
    ResumeTenant: Operator,
    InviteMember: Admin,
    BatchInviteMembers: Admin,
    ResendInvitation: Admin,
    CancelInvitation: Admin,
    AcceptInvitation: Admin,
    ActivateMember: Admin,
    ChangeMemberRole: Admin,
    DisableMember: Admin,
    EnableMember: Admin,
    DeleteMember: Admin,
    UpdateMember: AdminOrOneself,
    GetMember: AdminOrOneself,
    ListMembers: Admin,
    SetSectionAccess: Admin,
    ResetSectionAccess: Admin,
    GetPermissionMatrix: Admin,
    SetSectionDefaults: Admin,
    ApplySectionDefaults: Admin,
    RegisterResource: Admin,
    UpdateResource: Admin,
    ActivateResource: Admin,
    DeactivateResource: Admin,
    DeleteResource: Admin,
    GetResource: Admin,
    ListResources: Admin,
    SetGrants: Admin,
    GetAccessMatrix: Admin,
    CopyAccess: Admin,
    SetSubscription: Operator,
    CancelSubscription: Admin,
    RenewSubscription: Operator,
    SetComplimentary: Operator,
    SetPlan: Operator,
    SetFeatureSwitch: Admin,
    SetFirewallRule: Admin,
    DeleteFirewallRule: Admin,
    CreateApiKey: Admin,
    ListApiKeys: Admin,
    RevokeApiKey: Admin,
    GetCatalogue: Operator,
    ApplyCatalogue: Operator,
    CreateServiceCredential: Operator,
    ListServiceCredentials: Operator,
    RotateServiceCredential: Operator,
    RevokeServiceCredential: Operator,
    ListAuditEvents: Admin,
    WatchChanges: Admin,
}

impl Operation {
    /// Whether it changes something: all but questions, reads and streams.
    #[must_use]
    pub fn is_mutation(self) -> bool {
        let reads = ["Get", "List", "Check", "BatchCheck", "StreamCheck", "Explain", "Watch"];
        !reads.iter().any(|verb| self.name().starts_with(verb))
    }

    /// The RPC of that name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|operation| operation.name() == name)
    }
}

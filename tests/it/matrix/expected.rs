//! Who may call what, said a second time: from the rules, not from the code.

use tonic::Code;

use super::callers::{Kind, Who};

/// What is the operator's alone.
pub(super) const OPERATORS: [&str; 14] = [
    "CreateTenant",
    "ListTenants",
    "SuspendTenant",
    "ResumeTenant",
    "SetSubscription",
    "RenewSubscription",
    "SetComplimentary",
    "SetPlan",
    "GetCatalogue",
    "ApplyCatalogue",
    "CreateServiceCredential",
    "ListServiceCredentials",
    "RotateServiceCredential",
    "RevokeServiceCredential",
];
/// What is about no tenant.
pub(super) const PLATFORMS: [&str; 8] = [
    "CreateTenant",
    "ListTenants",
    "GetCatalogue",
    "ApplyCatalogue",
    "CreateServiceCredential",
    "ListServiceCredentials",
    "RotateServiceCredential",
    "RevokeServiceCredential",
];
const CHECKS: [&str; 3] = ["CheckAccess", "BatchCheckAccess", "StreamCheckAccess"];
const RESOURCES: [&str; 6] = [
    "RegisterResource",
    "BatchRegisterResources",
    "UpdateResource",
    "ActivateResource",
    "DeactivateResource",
    "DeleteResource",
];
const IDENTITY: [&str; 3] = ["AcceptInvitation", "ActivateMember", "UpdateMember"];
/// What an ACTIVE member does about themselves.
const ONESELF: [&str; 7] = [
    "CheckAccess",
    "BatchCheckAccess",
    "StreamCheckAccess",
    "ExplainAccess",
    "ListAccessible",
    "GetMember",
    "UpdateMember",
];
const NO_KEY: [&str; 2] = ["DeleteTenant", "CreateApiKey"];

/// The code of a good request of an existing tenant, where nothing forbids the call.
pub(super) fn good(rpc: &str) -> Code {
    match rpc {
        // The member is ACTIVE, the tenant too, the token is nobody's, and so is the credential.
        "ResendInvitation" | "CancelInvitation" | "ActivateMember" | "ResumeTenant" => {
            Code::FailedPrecondition
        }
        // A trial is not cancelled.
        "CancelSubscription" => Code::FailedPrecondition,
        "AcceptInvitation" | "RotateServiceCredential" | "RevokeServiceCredential" => Code::NotFound,
        _ => Code::Ok,
    }
}

/// What answers a question about what is not there, or a list that is narrowed to it, like one about anything.
pub(super) const ANSWERED: [&str; 8] = [
    "CheckAccess",
    "BatchCheckAccess",
    "StreamCheckAccess",
    "ExplainAccess",
    "ListAccessible",
    "ListMembersWithAccess",
    "GetAccessMatrix",
    "ListAuditEvents",
];

fn is_read(rpc: &str) -> bool {
    ["Get", "List", "Explain", "Watch"].iter().any(|verb| rpc.starts_with(verb))
}

/// What a caller gets to hear about a tenant; none: they may call, and it depends on the request.
pub(super) fn refusal(who: &Who, rpc: &str, tenant: &str) -> Option<Code> {
    let is_operators = OPERATORS.contains(&rpc);
    let is_platforms = PLATFORMS.contains(&rpc);
    if who.kind == Kind::Nobody {
        return Some(Code::Unauthenticated);
    }
    if who.kind == Kind::WithoutActor && !is_operators {
        // Before anything is looked at, the tenant included.
        return Some(Code::InvalidArgument);
    }
    if let Some(only) = who.only
        && (is_platforms || tenant != only)
    {
        return Some(Code::PermissionDenied);
    }
    let may = match who.kind {
        Kind::Nobody => false,
        Kind::Operator => true,
        Kind::Check => CHECKS.contains(&rpc),
        Kind::Read => !is_operators && is_read(rpc),
        Kind::Resources => RESOURCES.contains(&rpc),
        Kind::Identity => IDENTITY.contains(&rpc),
        Kind::AdminOf(own) => !is_operators && tenant == own,
        Kind::KeyOf(own) => !is_operators && tenant == own && !NO_KEY.contains(&rpc),
        Kind::UserOf(own) => tenant == own && ONESELF.contains(&rpc),
        Kind::Powerless => false,
        Kind::WithoutActor => false,
    };
    (!may).then_some(Code::PermissionDenied)
}

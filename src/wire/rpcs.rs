//! The table of RPCs: each with its operation, its messages and its handler. It knows nothing of how a call is served.

use std::pin::Pin;

use tonic::codegen::tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::Grpc;
use super::convert::{
    api_key, audit, catalogue, check, credential, firewall, grant, invitation, list, member, resource,
    section, subscription, tenant,
};
use crate::proto;
use crate::proto::access_service_server::AccessService;
use crate::service::{Backend, Operation};

pub(super) type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a request says of its tenant before anything of it is checked.
pub(super) trait Tenanted {
    /// The tenant's id as it was given; empty where there is none.
    fn tenant(&self) -> &str;

    /// How many calls it counts as.
    fn weight(&self) -> usize {
        1
    }
}

macro_rules! tenanted {
    ($request:ident) => {
        impl Tenanted for proto::$request {
            fn tenant(&self) -> &str {
                &self.tenant_id
            }
        }
    };
    ($request:ident batch) => {
        impl Tenanted for proto::$request {
            fn tenant(&self) -> &str {
                &self.tenant_id
            }

            fn weight(&self) -> usize {
                self.checks.len().max(1)
            }
        }
    };
    ($request:ident platform) => {
        impl Tenanted for proto::$request {
            fn tenant(&self) -> &str {
                ""
            }
        }
    };
}

tenanted!(WatchChangesRequest);

/// Writes the service's implementation: a line an RPC, each with its operation and its handler. A request says whether
/// it is of no tenant (`platform`) or holds many questions (`batch`).
macro_rules! access_service {
    ($($method:ident: $operation:ident($request:ident $(, $scope:ident)?) -> $response:ident by $handler:path;)+) => {
        $(tenanted!($request $($scope)?);)+

        #[tonic::async_trait]
        impl<B: Backend> AccessService for Grpc<B> {
            type StreamCheckAccessStream = Streamed<proto::StreamCheckAccessResponse>;
            type WatchChangesStream = Streamed<proto::WatchChangesResponse>;

            $(
                async fn $method(
                    &self,
                    request: Request<proto::$request>,
                ) -> Result<Response<proto::$response>, Status> {
                    self.serve(Operation::$operation, request, $handler).await
                }
            )+

            async fn stream_check_access(
                &self,
                request: Request<tonic::Streaming<proto::StreamCheckAccessRequest>>,
            ) -> Result<Response<Self::StreamCheckAccessStream>, Status> {
                self.answers(request)
            }

            async fn watch_changes(
                &self,
                request: Request<proto::WatchChangesRequest>,
            ) -> Result<Response<Self::WatchChangesStream>, Status> {
                self.watch(request).await
            }
        }

        /// The message of an RPC as it is written when it has been read; none: it cannot be read.
        #[cfg(feature = "fuzzing")]
        pub(super) fn written_again(operation: Operation, message: &[u8]) -> Option<Vec<u8>> {
            use prost::Message;
            match operation {
                $(Operation::$operation => proto::$request::decode(message).ok().map(|read| read.encode_to_vec()),)+
                Operation::WatchChanges => proto::WatchChangesRequest::decode(message).ok().map(|read| read.encode_to_vec()),
                Operation::StreamCheckAccess => proto::StreamCheckAccessRequest::decode(message).ok().map(|read| read.encode_to_vec()),
            }
        }
    };
}

access_service! {
    check_access: CheckAccess(CheckAccessRequest) -> CheckAccessResponse by check::check_access;
    batch_check_access: BatchCheckAccess(BatchCheckAccessRequest, batch) -> BatchCheckAccessResponse by check::batch_check_access;
    explain_access: ExplainAccess(ExplainAccessRequest) -> ExplainAccessResponse by check::explain_access;
    list_accessible: ListAccessible(ListAccessibleRequest) -> ListAccessibleResponse by list::list_accessible;
    list_members_with_access: ListMembersWithAccess(ListMembersWithAccessRequest) -> ListMembersWithAccessResponse by list::list_members_with_access;
    create_tenant: CreateTenant(CreateTenantRequest) -> CreateTenantResponse by tenant::create_tenant;
    get_tenant: GetTenant(GetTenantRequest) -> GetTenantResponse by tenant::get_tenant;
    list_tenants: ListTenants(ListTenantsRequest, platform) -> ListTenantsResponse by tenant::list_tenants;
    update_tenant: UpdateTenant(UpdateTenantRequest) -> UpdateTenantResponse by tenant::update_tenant;
    delete_tenant: DeleteTenant(DeleteTenantRequest) -> DeleteTenantResponse by tenant::delete_tenant;
    suspend_tenant: SuspendTenant(SuspendTenantRequest) -> SuspendTenantResponse by tenant::suspend_tenant;
    resume_tenant: ResumeTenant(ResumeTenantRequest) -> ResumeTenantResponse by tenant::resume_tenant;
    invite_member: InviteMember(InviteMemberRequest) -> InviteMemberResponse by invitation::invite_member;
    batch_invite_members: BatchInviteMembers(BatchInviteMembersRequest) -> BatchInviteMembersResponse by invitation::batch_invite_members;
    resend_invitation: ResendInvitation(ResendInvitationRequest) -> ResendInvitationResponse by invitation::resend_invitation;
    cancel_invitation: CancelInvitation(CancelInvitationRequest) -> CancelInvitationResponse by invitation::cancel_invitation;
    accept_invitation: AcceptInvitation(AcceptInvitationRequest) -> AcceptInvitationResponse by invitation::accept_invitation;
    activate_member: ActivateMember(ActivateMemberRequest) -> ActivateMemberResponse by invitation::activate_member;
    change_member_role: ChangeMemberRole(ChangeMemberRoleRequest) -> ChangeMemberRoleResponse by member::change_member_role;
    disable_member: DisableMember(DisableMemberRequest) -> DisableMemberResponse by member::disable_member;
    enable_member: EnableMember(EnableMemberRequest) -> EnableMemberResponse by member::enable_member;
    delete_member: DeleteMember(DeleteMemberRequest) -> DeleteMemberResponse by member::delete_member;
    update_member: UpdateMember(UpdateMemberRequest) -> UpdateMemberResponse by member::update_member;
    get_member: GetMember(GetMemberRequest) -> GetMemberResponse by member::get_member;
    list_members: ListMembers(ListMembersRequest) -> ListMembersResponse by member::list_members;
    set_section_access: SetSectionAccess(SetSectionAccessRequest) -> SetSectionAccessResponse by section::set_section_access;
    reset_section_access: ResetSectionAccess(ResetSectionAccessRequest) -> ResetSectionAccessResponse by section::reset_section_access;
    get_permission_matrix: GetPermissionMatrix(GetPermissionMatrixRequest) -> GetPermissionMatrixResponse by section::get_permission_matrix;
    set_section_defaults: SetSectionDefaults(SetSectionDefaultsRequest) -> SetSectionDefaultsResponse by section::set_section_defaults;
    apply_section_defaults: ApplySectionDefaults(ApplySectionDefaultsRequest) -> ApplySectionDefaultsResponse by section::apply_section_defaults;
    register_resource: RegisterResource(RegisterResourceRequest) -> RegisterResourceResponse by resource::register_resource;
    batch_register_resources: BatchRegisterResources(BatchRegisterResourcesRequest) -> BatchRegisterResourcesResponse by resource::batch_register_resources;
    update_resource: UpdateResource(UpdateResourceRequest) -> UpdateResourceResponse by resource::update_resource;
    activate_resource: ActivateResource(ActivateResourceRequest) -> ActivateResourceResponse by resource::activate_resource;
    deactivate_resource: DeactivateResource(DeactivateResourceRequest) -> DeactivateResourceResponse by resource::deactivate_resource;
    delete_resource: DeleteResource(DeleteResourceRequest) -> DeleteResourceResponse by resource::delete_resource;
    get_resource: GetResource(GetResourceRequest) -> GetResourceResponse by resource::get_resource;
    list_resources: ListResources(ListResourcesRequest) -> ListResourcesResponse by resource::list_resources;
    set_grants: SetGrants(SetGrantsRequest) -> SetGrantsResponse by grant::set_grants;
    get_access_matrix: GetAccessMatrix(GetAccessMatrixRequest) -> GetAccessMatrixResponse by grant::get_access_matrix;
    copy_access: CopyAccess(CopyAccessRequest) -> CopyAccessResponse by grant::copy_access;
    set_subscription: SetSubscription(SetSubscriptionRequest) -> SetSubscriptionResponse by subscription::set_subscription;
    cancel_subscription: CancelSubscription(CancelSubscriptionRequest) -> CancelSubscriptionResponse by subscription::cancel_subscription;
    renew_subscription: RenewSubscription(RenewSubscriptionRequest) -> RenewSubscriptionResponse by subscription::renew_subscription;
    set_complimentary: SetComplimentary(SetComplimentaryRequest) -> SetComplimentaryResponse by subscription::set_complimentary;
    set_plan: SetPlan(SetPlanRequest) -> SetPlanResponse by subscription::set_plan;
    set_feature_switch: SetFeatureSwitch(SetFeatureSwitchRequest) -> SetFeatureSwitchResponse by firewall::set_feature_switch;
    set_firewall_rule: SetFirewallRule(SetFirewallRuleRequest) -> SetFirewallRuleResponse by firewall::set_firewall_rule;
    delete_firewall_rule: DeleteFirewallRule(DeleteFirewallRuleRequest) -> DeleteFirewallRuleResponse by firewall::delete_firewall_rule;
    create_api_key: CreateApiKey(CreateApiKeyRequest) -> CreateApiKeyResponse by api_key::create_api_key;
    list_api_keys: ListApiKeys(ListApiKeysRequest) -> ListApiKeysResponse by api_key::list_api_keys;
    revoke_api_key: RevokeApiKey(RevokeApiKeyRequest) -> RevokeApiKeyResponse by api_key::revoke_api_key;
    get_catalogue: GetCatalogue(GetCatalogueRequest, platform) -> GetCatalogueResponse by catalogue::get_catalogue;
    apply_catalogue: ApplyCatalogue(ApplyCatalogueRequest, platform) -> ApplyCatalogueResponse by catalogue::apply_catalogue;
    create_service_credential: CreateServiceCredential(CreateServiceCredentialRequest, platform) -> CreateServiceCredentialResponse by credential::create_service_credential;
    list_service_credentials: ListServiceCredentials(ListServiceCredentialsRequest, platform) -> ListServiceCredentialsResponse by credential::list_service_credentials;
    rotate_service_credential: RotateServiceCredential(RotateServiceCredentialRequest, platform) -> RotateServiceCredentialResponse by credential::rotate_service_credential;
    revoke_service_credential: RevokeServiceCredential(RevokeServiceCredentialRequest, platform) -> RevokeServiceCredentialResponse by credential::revoke_service_credential;
    list_audit_events: ListAuditEvents(ListAuditEventsRequest) -> ListAuditEventsResponse by audit::list_audit_events;
}

//! `ApplicationService`.

use super::{Unary, card_service};
use crate::proto::server::application_service_server::ApplicationService;

/// Serves `ApplicationService`.
#[derive(Debug)]
pub struct Applications(pub Unary);

card_service!(ApplicationService for Applications {
    @missing assign_user_to_app_for_sso(AssignUserToAppForSsoRequest) -> AssignUserToAppForSsoResponse;
    @missing assign_user_to_app_for_sso_and_provisioning(AssignUserToAppForSsoAndProvisioningRequest)
        -> AssignUserToAppForSsoAndProvisioningResponse;
    @missing get_assigned_user_for_app(GetAssignedUserForAppRequest) -> GetAssignedUserForAppResponse;
    @missing list_users_assigned_to_app(ListUsersAssignedToAppRequest) -> ListUsersAssignedToAppResponse;
    @missing remove_user_from_app(RemoveUserFromAppRequest) -> RemoveUserFromAppResponse;
    @missing update_app_credentials_for_assigned_user(UpdateAppCredentialsForAssignedUserRequest)
        -> UpdateAppCredentialsForAssignedUserResponse;
    @missing update_app_profile_for_assigned_user(UpdateAppProfileForAssignedUserRequest)
        -> UpdateAppProfileForAssignedUserResponse;
    @missing list_applications(ListApplicationsRequest) -> ListApplicationsResponse;
    @missing get_app_user_schema(GetAppUserSchemaRequest) -> GetAppUserSchemaResponse;
});

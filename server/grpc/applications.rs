//! `ApplicationService`.

use super::{Unary, card_service};
use crate::cards::applications::{
    AssignUserToAppForSso, AssignUserToAppForSsoAndProvisioning, GetAppUserSchema, GetAssignedUserForApp,
    ListApplications, ListUsersAssignedToApp, RemoveUserFromApp, UpdateAppCredentialsForAssignedUser,
    UpdateAppProfileForAssignedUser,
};
use crate::proto::server::application_service_server::ApplicationService;

/// Serves `ApplicationService`.
#[derive(Debug)]
pub struct Applications(pub Unary);

card_service!(ApplicationService for Applications {
    assign_user_to_app_for_sso: AssignUserToAppForSso,
    assign_user_to_app_for_sso_and_provisioning: AssignUserToAppForSsoAndProvisioning,
    get_assigned_user_for_app: GetAssignedUserForApp,
    list_users_assigned_to_app: ListUsersAssignedToApp,
    remove_user_from_app: RemoveUserFromApp,
    update_app_credentials_for_assigned_user: UpdateAppCredentialsForAssignedUser,
    update_app_profile_for_assigned_user: UpdateAppProfileForAssignedUser,
    list_applications: ListApplications,
    get_app_user_schema: GetAppUserSchema,
});

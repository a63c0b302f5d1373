//! The application cards, one file each, and what their drop-downs and dynamic fields stand on.

mod assign_user_to_app_for_sso;
mod assign_user_to_app_for_sso_and_provisioning;
mod body;
mod get_app_user_schema;
mod get_assigned_user_for_app;
mod list_applications;
mod list_users_assigned_to_app;
mod remove_user_from_app;
mod update_app_credentials_for_assigned_user;
mod update_app_profile_for_assigned_user;

pub use self::assign_user_to_app_for_sso::AssignUserToAppForSso;
pub use self::assign_user_to_app_for_sso_and_provisioning::AssignUserToAppForSsoAndProvisioning;
pub use self::get_app_user_schema::GetAppUserSchema;
pub use self::get_assigned_user_for_app::GetAssignedUserForApp;
pub use self::list_applications::ListApplications;
pub use self::list_users_assigned_to_app::ListUsersAssignedToApp;
pub use self::remove_user_from_app::RemoveUserFromApp;
pub use self::update_app_credentials_for_assigned_user::UpdateAppCredentialsForAssignedUser;
pub use self::update_app_profile_for_assigned_user::UpdateAppProfileForAssignedUser;

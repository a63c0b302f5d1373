//! The user cards, one file each, and the schema behind their dynamic fields.

mod clear_user_sessions;
mod create_user;
mod credentials;
mod deactivate_user;
mod delete_user;
mod get_user_groups;
mod get_user_schema;
mod list;
mod list_users_with_filter;
mod list_users_with_search;
mod read_user;
mod search_users;
mod update_user;

pub use self::clear_user_sessions::ClearUserSessions;
pub use self::create_user::CreateUser;
pub use self::deactivate_user::DeactivateUser;
pub use self::delete_user::DeleteUser;
pub use self::get_user_groups::GetUserGroups;
pub use self::get_user_schema::GetUserSchema;
pub use self::list_users_with_filter::ListUsersWithFilter;
pub use self::list_users_with_search::ListUsersWithSearch;
pub use self::read_user::ReadUser;
pub use self::search_users::SearchUsers;
pub use self::update_user::UpdateUser;

//! The user cards, one file each.

mod create_user;
mod deactivate_user;
mod get_user_groups;
mod read_user;
mod search_users;

pub use self::create_user::CreateUser;
pub use self::deactivate_user::DeactivateUser;
pub use self::get_user_groups::GetUserGroups;
pub use self::read_user::ReadUser;
pub use self::search_users::SearchUsers;

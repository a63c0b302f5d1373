//! The group cards, one file each.

mod add_user_to_group;
mod list_group_members;
mod read_group;
mod remove_user_from_group;
mod search_groups;

pub use self::add_user_to_group::AddUserToGroup;
pub use self::list_group_members::ListGroupMembers;
pub use self::read_group::ReadGroup;
pub use self::remove_user_from_group::RemoveUserFromGroup;
pub use self::search_groups::SearchGroups;

//! `GroupService`.

use super::{Unary, card_service};
use crate::cards::groups::{AddUserToGroup, ListGroupMembers, ReadGroup, RemoveUserFromGroup, SearchGroups};
use crate::proto::server::group_service_server::GroupService;

/// Serves `GroupService`.
#[derive(Debug)]
pub struct Groups(pub Unary);

card_service!(GroupService for Groups {
    read_group: ReadGroup,
    search_groups: SearchGroups,
    list_group_members: ListGroupMembers,
    add_user_to_group: AddUserToGroup,
    remove_user_from_group: RemoveUserFromGroup,
});

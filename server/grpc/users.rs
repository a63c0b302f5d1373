//! `UserService`.

use super::{Unary, card_service};
use crate::cards::users::{
    ClearUserSessions, CreateUser, DeactivateUser, DeleteUser, GetUserGroups, GetUserSchema, ListUsersWithFilter,
    ListUsersWithSearch, ReadUser, SearchUsers, UpdateUser,
};
use crate::proto::server::user_service_server::UserService;

/// Serves `UserService`.
#[derive(Debug)]
pub struct Users(pub Unary);

card_service!(UserService for Users {
    create_user: CreateUser,
    read_user: ReadUser,
    update_user: UpdateUser,
    deactivate_user: DeactivateUser,
    delete_user: DeleteUser,
    search_users: SearchUsers,
    list_users_with_filter: ListUsersWithFilter,
    list_users_with_search: ListUsersWithSearch,
    get_user_groups: GetUserGroups,
    clear_user_sessions: ClearUserSessions,
    get_user_schema: GetUserSchema,
});

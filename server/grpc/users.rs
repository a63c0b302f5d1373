//! `UserService`.

use super::{Unary, card_service};
use crate::cards::users::{CreateUser, DeactivateUser, GetUserGroups, ReadUser, SearchUsers};
use crate::proto::server::user_service_server::UserService;

/// Serves `UserService`.
#[derive(Debug)]
pub struct Users(pub Unary);

card_service!(UserService for Users {
    create_user: CreateUser,
    read_user: ReadUser,
    deactivate_user: DeactivateUser,
    search_users: SearchUsers,
    get_user_groups: GetUserGroups,
    @missing update_user(UpdateUserRequest) -> UpdateUserResponse;
    @missing delete_user(DeleteUserRequest) -> DeleteUserResponse;
    @missing list_users_with_filter(ListUsersWithFilterRequest) -> ListUsersWithFilterResponse;
    @missing list_users_with_search(ListUsersWithSearchRequest) -> ListUsersWithSearchResponse;
    @missing clear_user_sessions(ClearUserSessionsRequest) -> ClearUserSessionsResponse;
    @missing get_user_schema(GetUserSchemaRequest) -> GetUserSchemaResponse;
});

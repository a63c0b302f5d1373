//! The action cards: each one file and two pure functions, from a request to a call of Okta and from its answer to a response.
//!
//! Whatever else a card needs (finding the connection, sending, retrying, counting) is done by one runner for all of them, so
//! that no card can differ by accident.

pub mod applications;
pub mod custom_api;
mod expression;
mod fields;
#[cfg(test)]
mod golden_tests;
pub mod groups;
mod project;
mod request_ids;
mod runner;
pub mod users;

use std::time::SystemTime;

pub use self::request_ids::RequestIds;
pub use self::runner::Runner;
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint};
use crate::proto;

/// A card.
pub trait Card {
    /// Its RPC's request.
    type Request: NamesConnection + prost::Message + Clone + 'static;
    /// Its RPC's response.
    type Response: prost::Message + Default + 'static;

    /// The card's title, as the Okta connector documents it.
    const TITLE: &'static str;
    /// Its RPC: `UserService.CreateUser`.
    const RPC: &'static str;
    /// What it calls.
    const ENDPOINT: Endpoint;

    /// The call that carries the request out.
    ///
    /// # Errors
    /// `INVALID_REQUEST` with the fields that are wrong.
    fn call(request: &Self::Request) -> Result<Call>;

    /// A call that goes before that one, for a card that needs two; most need none.
    ///
    /// # Errors
    /// As [`Card::call`].
    fn call_before(_: &Self::Request) -> Result<Option<Call>> {
        Ok(None)
    }

    /// The response that Okta's answer means.
    ///
    /// # Errors
    /// `OKTA_ANSWER_UNREADABLE` when it is not what the endpoint answers at all. An odd field is no reason to fail.
    fn answer(request: &Self::Request, answer: &Answer) -> Result<Self::Response>;

    /// The response that both answers mean, where there was a call before.
    ///
    /// # Errors
    /// As [`Card::answer`].
    fn answer_both(request: &Self::Request, _before: &Answer, answer: &Answer) -> Result<Self::Response> {
        Self::answer(request, answer)
    }

    /// The request id, of a card that takes one: then the same request is not carried out twice. Empty when there is none.
    fn request_id(_: &Self::Request) -> &str {
        ""
    }

    /// Of a card that takes a request id: a call that can tell what became of the same request when nobody knows.
    fn find_out(_: &Self::Request) -> Option<Call> {
        None
    }

    /// What that call tells: the response, if the request that was sent at `since` was carried out.
    fn found_out(_: &Self::Request, _answer: &Answer, _since: SystemTime) -> Option<Self::Response> {
        None
    }

    /// The field of the request that Okta means by a name in its error causes.
    fn field(okta_name: &str) -> String {
        okta_name.to_owned()
    }
}

/// A request that names the connection to use.
pub trait NamesConnection {
    /// Id or nickname; empty means the default one.
    fn connection(&self) -> &str;
}

macro_rules! names_connection {
    ($($request:ident),* $(,)?) => {
        $(impl NamesConnection for proto::$request {
            fn connection(&self) -> &str {
                &self.connection
            }
        })*
    };
}

names_connection!(
    AddUserToGroupRequest,
    AssignUserToAppForSsoRequest,
    AssignUserToAppForSsoAndProvisioningRequest,
    ClearUserSessionsRequest,
    CreateUserRequest,
    CustomApiActionRequest,
    DeactivateUserRequest,
    DeleteUserRequest,
    GetAppUserSchemaRequest,
    GetAssignedUserForAppRequest,
    GetUserGroupsRequest,
    GetUserSchemaRequest,
    ListApplicationsRequest,
    ListGroupMembersRequest,
    ListUsersAssignedToAppRequest,
    ListUsersWithFilterRequest,
    ListUsersWithSearchRequest,
    ReadGroupRequest,
    ReadUserRequest,
    RemoveUserFromAppRequest,
    RemoveUserFromGroupRequest,
    SearchGroupsRequest,
    SearchUsersRequest,
    UpdateAppCredentialsForAssignedUserRequest,
    UpdateAppProfileForAssignedUserRequest,
    UpdateUserRequest,
);

/// A card as the catalogue lists it.
#[derive(Debug, Clone, Copy)]
pub struct Listed {
    /// The card's title.
    pub title: &'static str,
    /// Its RPC.
    pub rpc: &'static str,
    /// What it calls.
    pub endpoint: Endpoint,
}

const fn listed<C: Card>() -> Listed {
    Listed { title: C::TITLE, rpc: C::RPC, endpoint: C::ENDPOINT }
}

/// Every card there is, and the three RPCs that their drop-downs and dynamic fields stand on.
pub const CATALOGUE: &[Listed] = &[
    listed::<users::CreateUser>(),
    listed::<users::ReadUser>(),
    listed::<users::UpdateUser>(),
    listed::<users::DeactivateUser>(),
    listed::<users::DeleteUser>(),
    listed::<users::SearchUsers>(),
    listed::<users::ListUsersWithFilter>(),
    listed::<users::ListUsersWithSearch>(),
    listed::<users::GetUserGroups>(),
    listed::<users::ClearUserSessions>(),
    listed::<users::GetUserSchema>(),
    listed::<groups::ReadGroup>(),
    listed::<groups::SearchGroups>(),
    listed::<groups::ListGroupMembers>(),
    listed::<groups::AddUserToGroup>(),
    listed::<groups::RemoveUserFromGroup>(),
    listed::<applications::AssignUserToAppForSso>(),
    listed::<applications::AssignUserToAppForSsoAndProvisioning>(),
    listed::<applications::GetAssignedUserForApp>(),
    listed::<applications::ListUsersAssignedToApp>(),
    listed::<applications::RemoveUserFromApp>(),
    listed::<applications::UpdateAppCredentialsForAssignedUser>(),
    listed::<applications::UpdateAppProfileForAssignedUser>(),
    listed::<applications::ListApplications>(),
    listed::<applications::GetAppUserSchema>(),
    listed::<custom_api::CustomApiAction>(),
];

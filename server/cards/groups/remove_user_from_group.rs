//! Card "Remove User from Group": ends a user's membership of a group.

use crate::cards::{Card, fields};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{RemoveUserFromGroupRequest, RemoveUserFromGroupResponse};

/// `GroupService.RemoveUserFromGroup`.
#[derive(Debug)]
pub enum RemoveUserFromGroup {}

impl Card for RemoveUserFromGroup {
    type Request = RemoveUserFromGroupRequest;
    type Response = RemoveUserFromGroupResponse;

    const TITLE: &'static str = "Remove User from Group";
    const RPC: &'static str = "GroupService.RemoveUserFromGroup";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Delete,
        path: "/api/v1/groups/{groupId}/users/{userId}",
        scope: "okta.groups.manage",
        repeat: Repeat::Safe,
    };

    fn call(request: &RemoveUserFromGroupRequest) -> Result<Call> {
        let group = fields::segment("group_id", &request.group_id)?;
        let user = fields::segment("user_id", &request.user_id)?;
        Ok(Call::new(Self::ENDPOINT, &[group, user]))
    }

    fn answer(_: &RemoveUserFromGroupRequest, answer: &Answer) -> Result<RemoveUserFromGroupResponse> {
        Ok(RemoveUserFromGroupResponse { status_code: answer.status_code() })
    }
}

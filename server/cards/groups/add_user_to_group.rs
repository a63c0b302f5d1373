//! Card "Add New User to Group": makes a user a member of a group.

use crate::cards::{Card, fields};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{AddUserToGroupRequest, AddUserToGroupResponse};

/// `GroupService.AddUserToGroup`.
#[derive(Debug)]
pub enum AddUserToGroup {}

impl Card for AddUserToGroup {
    type Request = AddUserToGroupRequest;
    type Response = AddUserToGroupResponse;

    const TITLE: &'static str = "Add New User to Group";
    const RPC: &'static str = "GroupService.AddUserToGroup";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Put,
        path: "/api/v1/groups/{groupId}/users/{userId}",
        scope: "okta.groups.manage",
        repeat: Repeat::Safe,
    };

    fn call(request: &AddUserToGroupRequest) -> Result<Call> {
        let group = fields::segment("group_id", &request.group_id)?;
        let user = fields::segment("user_id", &request.user_id)?;
        Ok(Call::new(Self::ENDPOINT, &[group, user]))
    }

    fn answer(_: &AddUserToGroupRequest, answer: &Answer) -> Result<AddUserToGroupResponse> {
        Ok(AddUserToGroupResponse { status_code: answer.status_code() })
    }
}

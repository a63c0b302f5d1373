//! Card "Read Group": a group by id.

use crate::cards::{Card, fields, project};
use crate::error::Result;
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{ReadGroupRequest, ReadGroupResponse};

/// `GroupService.ReadGroup`.
#[derive(Debug)]
pub enum ReadGroup {}

impl Card for ReadGroup {
    type Request = ReadGroupRequest;
    type Response = ReadGroupResponse;

    const TITLE: &'static str = "Read Group";
    const RPC: &'static str = "GroupService.ReadGroup";
    const ENDPOINT: Endpoint = Endpoint {
        method: HttpMethod::Get,
        path: "/api/v1/groups/{groupId}",
        scope: "okta.groups.read",
        repeat: Repeat::Safe,
    };

    fn call(request: &ReadGroupRequest) -> Result<Call> {
        let group = fields::segment("group_id", &request.group_id)?;
        Ok(Call::new(Self::ENDPOINT, &[group]))
    }

    fn answer(_: &ReadGroupRequest, answer: &Answer) -> Result<ReadGroupResponse> {
        Ok(ReadGroupResponse { group: Some(project::group(answer.object()?)) })
    }
}

//! Something going on in the demo's org: people come, move and go, through the same API that everybody uses.

use std::time::Duration;

use tonic::Status;
use tonic::transport::Channel;

use crate::proto::custom_api_action_request::Body;
use crate::proto::custom_api_service_client::CustomApiServiceClient;
use crate::proto::group_service_client::GroupServiceClient;
use crate::proto::user_service_client::UserServiceClient;
use crate::proto::{
    AddUserToGroupRequest, CreateUserRequest, CustomApiActionRequest, DeactivateUserRequest, HttpMethod,
    RemoveUserFromGroupRequest, UserCredentialsInput, UserProfile,
};

/// Slow enough to read along, quick enough not to be boring.
const PAUSE: Duration = Duration::from_secs(3);

const PEOPLE: [(&str, &str, &str); 6] = [
    ("Mae", "Jemison", "Engineering"),
    ("Alan", "Turing", "Research"),
    ("Katherine", "Johnson", "Engineering"),
    ("Edsger", "Dijkstra", "Research"),
    ("Radia", "Perlman", "Networks"),
    ("Dennis", "Ritchie", "Systems"),
];

/// Goes on until it is dropped.
pub(super) async fn run(channel: Channel) {
    let mut org = Org {
        users: UserServiceClient::new(channel.clone()),
        groups: GroupServiceClient::new(channel.clone()),
        custom: CustomApiServiceClient::new(channel),
    };
    for number in 1_u64.. {
        for person in PEOPLE {
            if let Err(status) = org.employ(person, number).await {
                tracing::warn!(message = status.message(), "the demo's activity met an error");
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
}

struct Org {
    users: UserServiceClient<Channel>,
    groups: GroupServiceClient<Channel>,
    custom: CustomApiServiceClient<Channel>,
}

impl Org {
    /// One person's whole story.
    async fn employ(&mut self, (first, last, department): (&str, &str, &str), number: u64) -> Result<(), Status> {
        let login = format!("{}.{}.{number}@acme.example", first.to_lowercase(), last.to_lowercase());
        let request = CreateUserRequest {
            profile: Some(UserProfile {
                first_name: Some(first.to_owned()),
                last_name: Some(last.to_owned()),
                email: Some(login.clone()),
                login: Some(login.clone()),
                department: Some(department.to_owned()),
                ..Default::default()
            }),
            credentials: Some(UserCredentialsInput {
                password: Some(format!("Demo-{}", uuid::Uuid::new_v4())),
                ..Default::default()
            }),
            ..Default::default()
        };
        let user = self.users.create_user(request).await?.into_inner().user.unwrap_or_default();
        tokio::time::sleep(PAUSE).await;
        if let Some(group_id) = self.first("/api/v1/groups?q=Engineering").await? {
            let (connection, user_id) = (String::new(), user.id.clone());
            let add = AddUserToGroupRequest { connection, group_id, user_id };
            self.groups.add_user_to_group(add.clone()).await?;
            tokio::time::sleep(PAUSE).await;
            let AddUserToGroupRequest { connection, group_id, user_id } = add;
            let remove = RemoveUserFromGroupRequest { connection, group_id, user_id };
            self.groups.remove_user_from_group(remove).await?;
            tokio::time::sleep(PAUSE).await;
        }
        if let Some(app_id) = self.first("/api/v1/apps?q=Intranet").await? {
            let body = format!(r#"{{"id":"{}","scope":"USER"}}"#, user.id);
            self.call(HttpMethod::Post, &format!("/api/v1/apps/{app_id}/users"), Some(body)).await?;
            tokio::time::sleep(PAUSE).await;
        }
        for action in ["suspend", "unsuspend"] {
            self.call(HttpMethod::Post, &format!("/api/v1/users/{}/lifecycle/{action}", user.id), None).await?;
            tokio::time::sleep(PAUSE).await;
        }
        let request = DeactivateUserRequest { id_or_login: user.id, ..Default::default() };
        self.users.deactivate_user(request).await?;
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    /// The id of the first object of a list.
    async fn first(&mut self, relative_url: &str) -> Result<Option<String>, Status> {
        let list = self.call(HttpMethod::Get, relative_url, None).await?;
        let list: serde_json::Value = serde_json::from_str(&list).unwrap_or_default();
        Ok(list[0]["id"].as_str().map(str::to_owned))
    }

    async fn call(&mut self, method: HttpMethod, relative_url: &str, json: Option<String>) -> Result<String, Status> {
        let request = CustomApiActionRequest {
            method: method.into(),
            relative_url: relative_url.to_owned(),
            body: json.map(Body::BodyJson),
            ..Default::default()
        };
        Ok(self.custom.custom_api_action(request).await?.into_inner().body)
    }
}

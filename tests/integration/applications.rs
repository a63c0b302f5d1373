//! The application cards.

use okta_connector::proto::application_service_client::ApplicationServiceClient;
use okta_connector::proto::{
    AppUserCredentialsInput, AppUserProfile, AppUserStatus, AssignUserToAppForSsoAndProvisioningRequest,
    AssignUserToAppForSsoRequest, GetAppUserSchemaRequest, GetAssignedUserForAppRequest, ListApplicationsRequest,
    ListUsersAssignedToAppRequest, RemoveUserFromAppRequest, UpdateAppCredentialsForAssignedUserRequest,
    UpdateAppProfileForAssignedUserRequest,
};
use tonic::Code;

use crate::harness::{Sandbox, Server, fields, reason};

#[tokio::test]
async fn an_assignment_lives_and_ends() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let user_id = server.create_user("Assigned").await.id;
    let mut apps = ApplicationServiceClient::new(server.channel().await);
    let list = ListApplicationsRequest { query: "Legacy".to_owned(), ..Default::default() };
    let payroll = apps.list_applications(list).await.expect("listed").into_inner().applications.remove(0);
    assert_eq!((payroll.name.as_str(), payroll.sign_on_mode.as_str()), ("template_swa", "BROWSER_PLUGIN"));
    let app_id = payroll.id;
    let text = |text: &str| Some(text.to_owned());

    let assign = AssignUserToAppForSsoAndProvisioningRequest {
        app_id: app_id.clone(),
        user_id: user_id.clone(),
        credentials: Some(AppUserCredentialsInput { user_name: text("assigned"), password: text("App-1234") }),
        profile: Some(AppUserProfile { given_name: text("Given"), ..Default::default() }),
        ..Default::default()
    };
    let assigned = apps.assign_user_to_app_for_sso_and_provisioning(assign).await.expect("assigned").into_inner();
    let app_user = assigned.app_user.expect("assignment");
    assert_eq!((app_user.status(), app_user.scope.as_str()), (AppUserStatus::Active, "USER"));
    let credentials = app_user.credentials.expect("credentials");
    assert!(
        credentials.user_name == "assigned" && credentials.password && !app_user.raw_body_json.contains("App-1234")
    );
    assert_eq!(app_user.profile.expect("profile").given_name, text("Given"));

    let rename = UpdateAppCredentialsForAssignedUserRequest {
        app_id: app_id.clone(),
        user_id: user_id.clone(),
        credentials: Some(AppUserCredentialsInput { user_name: text("renamed"), password: None }),
        ..Default::default()
    };
    apps.update_app_credentials_for_assigned_user(rename).await.expect("renamed");
    let change = UpdateAppProfileForAssignedUserRequest {
        app_id: app_id.clone(),
        user_id: user_id.clone(),
        profile: Some(AppUserProfile { nickname: text("Nick"), ..Default::default() }),
        ..Default::default()
    };
    apps.update_app_profile_for_assigned_user(change).await.expect("changed");
    let get = GetAssignedUserForAppRequest { app_id: app_id.clone(), user_id: user_id.clone(), ..Default::default() };
    let now =
        apps.get_assigned_user_for_app(get.clone()).await.expect("read").into_inner().app_user.expect("assignment");
    let profile = now.profile.expect("profile");
    assert_eq!(now.credentials.expect("credentials").user_name, "renamed");
    assert_eq!((profile.given_name, profile.nickname), (text("Given"), text("Nick")));

    let list = ListUsersAssignedToAppRequest { app_id: app_id.clone(), query: "assi".to_owned(), ..Default::default() };
    let all = apps.list_users_assigned_to_app(list).await.expect("listed").into_inner().app_users;
    assert_eq!(all.iter().map(|own| own.id.as_str()).collect::<Vec<_>>(), [user_id.as_str()]);
    let remove = RemoveUserFromAppRequest { app_id, user_id, ..Default::default() };
    assert_eq!(apps.remove_user_from_app(remove).await.expect("removed").into_inner().status_code, 204);
    let gone = apps.get_assigned_user_for_app(get).await.expect_err("gone");
    assert_eq!((gone.code(), reason(&gone).as_str()), (Code::NotFound, "OKTA_NOT_FOUND"));
    server.stop().await;
}

#[tokio::test]
async fn a_password_for_an_application_that_keeps_none_is_refused_with_its_field() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let user_id = server.create_user("Password").await.id;
    let mut apps = ApplicationServiceClient::new(server.channel().await);
    let list =
        ListApplicationsRequest { filter: "name eq \"salesforce\"".to_owned(), page_size: 1, ..Default::default() };
    let page = apps.list_applications(list).await.expect("listed").into_inner();
    assert!(!page.next_page_token.is_empty(), "there are two instances");
    let credentials = AppUserCredentialsInput { password: Some("App-1234".to_owned()), ..Default::default() };
    let assign = AssignUserToAppForSsoRequest {
        app_id: page.applications[0].id.clone(),
        user_id,
        credentials: Some(credentials),
        ..Default::default()
    };
    let status = apps.assign_user_to_app_for_sso(assign).await.expect_err("refused");
    assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["credentials.password".to_owned()]));
    let schema = GetAppUserSchemaRequest { app_id: page.applications[0].id.clone(), ..Default::default() };
    let schema = apps.get_app_user_schema(schema).await.expect("schema").into_inner();
    assert!(schema.attributes.iter().any(|attribute| attribute.name == "given_name"));
    server.stop().await;
}

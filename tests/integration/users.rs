//! The user cards.

use okta_connector::proto::{
    AuthenticationProvider, AuthenticationProviderType, ClearUserSessionsRequest, CreateUserRequest,
    DeactivateUserRequest, DeleteUserOutcome, DeleteUserRequest, GetUserGroupsRequest, GetUserSchemaRequest,
    ListUsersWithFilterRequest, ListUsersWithSearchRequest, ReadUserRequest, ResultSet, SchemaAttributeType,
    SearchUsersRequest, SortOrder, UpdateSemantics, UpdateUserRequest, UserCredentialsInput, UserProfile, UserStatus,
};
use prost_types::FieldMask;
use tonic::Code;

use crate::harness::{Sandbox, Server, fields, metadata, profile, reason};

fn read(id_or_login: &str) -> ReadUserRequest {
    ReadUserRequest { id_or_login: id_or_login.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_user_can_be_created_in_all_six_ways() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let group = server.create_group("Makers").await;
    let mut users = server.users().await;
    let password = || Some("Test-1234".to_owned());
    let question = || (Some("Who?".to_owned()), Some("Annie Oakley".to_owned()));
    let federation =
        AuthenticationProvider { r#type: AuthenticationProviderType::Federation.into(), name: "FEDERATION".to_owned() };
    let credentials = |password, (recovery_question, recovery_answer), provider| {
        Some(UserCredentialsInput { password, recovery_question, recovery_answer, provider })
    };
    let none = || (None, None);
    let ways = [
        ("Without", None, Vec::new(), Some(false), UserStatus::Staged),
        ("Question", credentials(None, question(), None), Vec::new(), None, UserStatus::Provisioned),
        ("Password", credentials(password(), none(), None), Vec::new(), None, UserStatus::Active),
        ("Both", credentials(password(), question(), None), Vec::new(), None, UserStatus::Active),
        ("Provider", credentials(None, none(), Some(federation)), Vec::new(), None, UserStatus::Active),
        ("Group", None, vec![group.clone()], None, UserStatus::Provisioned),
    ];
    for (name, credentials, group_ids, activate, status) in ways {
        let request =
            CreateUserRequest { profile: Some(profile(name)), credentials, group_ids, activate, ..Default::default() };
        let response = users.create_user(request).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(response.metadata().get("okta-attempts").expect("attempts"), "1");
        assert!(response.metadata().contains_key("okta-request-id"));
        let user = response.into_inner().user.expect("user");
        assert_eq!(user.status(), status, "{name}");
        let again = users.read_user(read(&user.id)).await.expect("read").into_inner().user.expect("user");
        assert_eq!(again.profile.expect("profile").first_name.as_deref(), Some(name));
        assert!(!again.raw_body_json.contains("Test-1234") && !again.raw_body_json.contains("Oakley"));
    }
    let request = GetUserGroupsRequest { id_or_login: "group@test.example".to_owned(), ..Default::default() };
    let groups = users.get_user_groups(request).await.expect("groups").into_inner().groups;
    assert!(groups.iter().any(|own| own.id == group));
    server.stop().await;
}

#[tokio::test]
async fn what_is_wrong_with_a_new_user_is_said_field_by_field() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut users = server.users().await;
    let empty = users.create_user(CreateUserRequest::default()).await.expect_err("empty");
    assert_eq!((empty.code(), reason(&empty).as_str()), (Code::InvalidArgument, "INVALID_REQUEST"));
    assert_eq!(fields(&empty), ["profile.first_name", "profile.last_name", "profile.email", "profile.login"]);

    let with = |credentials| CreateUserRequest {
        profile: Some(profile("Wrong")),
        credentials: Some(credentials),
        ..Default::default()
    };
    let text = |text: &str| Some(text.to_owned());
    let provider = |kind: i32| Some(AuthenticationProvider { r#type: kind, name: String::new() });
    let wrong = [
        (UserCredentialsInput { recovery_question: text("q"), ..Default::default() }, "credentials.recovery_answer"),
        (UserCredentialsInput { recovery_answer: text("a"), ..Default::default() }, "credentials.recovery_question"),
        (UserCredentialsInput { provider: provider(0), ..Default::default() }, "credentials.provider.type"),
        (UserCredentialsInput { provider: provider(99), ..Default::default() }, "credentials.provider.type"),
        (UserCredentialsInput { provider: provider(2), ..Default::default() }, "credentials.provider.name"),
    ];
    for (credentials, field) in wrong {
        let status = users.create_user(with(credentials)).await.expect_err(field);
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec![field.to_owned()]));
    }
    // What only Okta can know comes back under the request's names too.
    let short = UserCredentialsInput { password: text("short"), ..Default::default() };
    let status = users.create_user(with(short)).await.expect_err("too short");
    assert_eq!(
        (reason(&status).as_str(), fields(&status)),
        ("OKTA_VALIDATION_FAILED", vec!["credentials.password".to_owned()])
    );

    let taken = CreateUserRequest { profile: Some(profile("Taken")), ..Default::default() };
    users.create_user(taken.clone()).await.expect("created");
    let status = users.create_user(taken).await.expect_err("taken");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::AlreadyExists, "OKTA_ALREADY_EXISTS"));
    assert_eq!(fields(&status), ["profile.login"]);
    assert_eq!(metadata(&status, "okta_error_code"), "E0000001");
    assert!(!metadata(&status, "okta_error_id").is_empty() && !metadata(&status, "okta_request_id").is_empty());
    server.stop().await;
}

#[tokio::test]
async fn an_id_that_is_none_never_reaches_okta() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut users = server.users().await;
    for id in ["", "a/b", "..", ".", "a\nb", &"x".repeat(300)] {
        let status = users.read_user(read(id)).await.expect_err(id);
        assert_eq!((status.code(), fields(&status)), (Code::InvalidArgument, vec!["id_or_login".to_owned()]), "{id:?}");
    }
    assert!(sandbox.requests().await.is_empty());
    let status = users.read_user(read("nobody+x%2F?#@test.example")).await.expect_err("nobody");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::NotFound, "OKTA_NOT_FOUND"));
    server.stop().await;
}

#[tokio::test]
async fn a_user_is_deactivated_once() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let user = server.create_user("Once").await;
    let mut users = server.users().await;
    let request =
        DeactivateUserRequest { id_or_login: "once@test.example".to_owned(), send_email: true, ..Default::default() };
    let answer = users.deactivate_user(request.clone()).await.expect("deactivated").into_inner();
    assert_eq!(answer.status_code, 200);
    let sent = sandbox.requests().await;
    assert!(sent.iter().any(|request| request["query"] == "sendEmail=true"));
    let again = users.deactivate_user(request).await.expect_err("twice");
    assert_eq!((again.code(), reason(&again).as_str()), (Code::FailedPrecondition, "OKTA_STATUS_CONFLICT"));
    let user = users.read_user(read(&user.id)).await.expect("read").into_inner().user.expect("user");
    assert_eq!(user.status(), UserStatus::Deprovisioned);
    server.stop().await;
}

#[tokio::test]
async fn a_delete_says_what_it_did_and_never_deletes_unasked() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let user = server.create_user("Gone").await;
    let mut users = server.users().await;
    let request = DeleteUserRequest { user_id: user.id.clone(), read_status_before: true, ..Default::default() };
    let first = users.delete_user(request.clone()).await.expect("first").into_inner();
    assert_eq!(
        (first.status_code, first.outcome(), first.status_before()),
        (204, DeleteUserOutcome::Deactivated, UserStatus::Active)
    );
    assert!(users.read_user(read(&user.id)).await.is_ok(), "the first call only deactivates");

    // A 503 may have deleted the user: the call is not repeated, and says so.
    let fault = serde_json::json!({ "method": "DELETE", "status": 503 });
    sandbox.control(reqwest::Method::POST, "faults", Some(fault)).await;
    let unsure = DeleteUserRequest { read_status_before: false, ..request.clone() };
    let status = users.delete_user(unsure).await.expect_err("503");
    assert_eq!((status.code(), metadata(&status, "ambiguous").as_str()), (Code::Unavailable, "true"));
    assert!(users.read_user(read(&user.id)).await.is_ok(), "it was sent again");

    let second = users.delete_user(request.clone()).await.expect("second").into_inner();
    assert_eq!(second.outcome(), DeleteUserOutcome::Deleted);
    assert_eq!(users.delete_user(request).await.expect_err("gone").code(), Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn an_update_changes_what_it_names() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let user = server.create_user("Before").await;
    let mut users = server.users().await;
    let text = |text: &str| Some(text.to_owned());
    let update = |profile: UserProfile, paths: &[&str]| UpdateUserRequest {
        id_or_login: user.id.clone(),
        profile: Some(profile),
        update_mask: Some(FieldMask { paths: paths.iter().map(|path| (*path).to_owned()).collect() }),
        ..Default::default()
    };
    let set = UserProfile { department: text("Sales"), nick_name: text("Bee"), ..Default::default() };
    users.update_user(update(set, &[])).await.expect("set");
    let clear = UserProfile { title: text("Dr"), ..Default::default() };
    let updated = users.update_user(update(clear, &["profile.department", "profile.title"])).await.expect("cleared");
    let now = updated.into_inner().user.expect("user").profile.expect("profile");
    assert_eq!((now.department, now.title, now.nick_name), (None, text("Dr"), text("Bee")));

    let strict = UpdateUserRequest {
        id_or_login: user.id.clone(),
        semantics: UpdateSemantics::Strict.into(),
        profile: Some(profile("After")),
        ..Default::default()
    };
    let now =
        users.update_user(strict).await.expect("strict").into_inner().user.expect("user").profile.expect("profile");
    assert_eq!((now.first_name, now.title, now.nick_name), (text("After"), None, None));
    server.stop().await;
}

#[tokio::test]
async fn users_are_found_by_how_their_names_begin() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    for name in ["Zaphod", "Zarniwoop"] {
        server.create_user(name).await;
    }
    let mut users = server.users().await;
    let search = |query: &str, set: ResultSet| SearchUsersRequest {
        query: query.to_owned(),
        result_set: set.into(),
        ..Default::default()
    };
    let all = users.search_users(search("za", ResultSet::All)).await.expect("all").into_inner();
    assert_eq!((all.users.len(), all.first, all.cap_reached), (2, None, false));
    let first = users.search_users(search("za", ResultSet::First)).await.expect("first").into_inner();
    assert!(first.users.is_empty() && first.first.is_some());
    let none = users.search_users(search("zzz", ResultSet::First)).await.expect("none").into_inner();
    assert_eq!(none.first, None);
    let asked = sandbox.requests().await;
    assert_eq!(asked.last().expect("asked")["query"], "q=zzz&limit=1");
    let status = users.search_users(search("", ResultSet::All)).await.expect_err("empty");
    assert_eq!(fields(&status), ["query"]);
    server.stop().await;
}

#[tokio::test]
async fn filters_and_searches_page_through_everybody_and_nobody_twice() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let mut users = server.users().await;
    let mut everybody = Vec::new();
    let mut request = ListUsersWithFilterRequest { page_size: 7, ..Default::default() };
    loop {
        let page = users.list_users_with_filter(request.clone()).await.expect("page").into_inner();
        everybody.extend(page.users.into_iter().map(|user| user.id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    let pages = everybody.len();
    everybody.sort();
    everybody.dedup();
    assert_eq!((everybody.len(), pages), (40, 40), "deactivated users belong to everybody");

    let mut search = ListUsersWithSearchRequest {
        profile: Some(UserProfile { department: Some("engineering".to_owned()), ..Default::default() }),
        custom_search: "profile.title co \"x\" or profile.lastName sw \"L\"".to_owned(),
        sort_by: "profile.lastName".to_owned(),
        sort_order: SortOrder::Desc.into(),
        page_size: 1,
        ..Default::default()
    };
    // Okta takes co on a few attributes only, and her refusal is about the request.
    let status = users.list_users_with_search(search.clone()).await.expect_err("co");
    assert_eq!((status.code(), metadata(&status, "okta_error_code").as_str()), (Code::InvalidArgument, "E0000031"));
    search.custom_search = "profile.lastName sw \"L\" or profile.lastName sw \"H\"".to_owned();
    let mut names = Vec::new();
    loop {
        let page = users.list_users_with_search(search.clone()).await.expect("page").into_inner();
        names.extend(page.users.into_iter().filter_map(|user| user.profile?.last_name));
        if page.next_page_token.is_empty() {
            break;
        }
        search.page_token = page.next_page_token;
    }
    assert_eq!(names, ["Lovelace", "Liskov", "Hopper", "Hamilton"]);

    let foreign = ListUsersWithSearchRequest { page_token: request.page_token, ..Default::default() };
    let status = users.list_users_with_search(foreign).await.expect_err("foreign");
    assert_eq!(reason(&status), "PAGE_TOKEN_INVALID");
    let quoted = ListUsersWithFilterRequest {
        result_set: ResultSet::First.into(),
        last_name: Some("x\" or id pr or id eq \"".to_owned()),
        ..Default::default()
    };
    assert_eq!(users.list_users_with_filter(quoted).await.expect("quoted").into_inner().first, None);
    server.stop().await;
}

#[tokio::test]
async fn sessions_are_cleared_and_devices_remembered_unless_asked() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let user = server.create_user("Session").await;
    let request = ClearUserSessionsRequest { user_id: user.id, revoke_oauth_tokens: true, ..Default::default() };
    let answer = server.users().await.clear_user_sessions(request).await.expect("cleared").into_inner();
    assert_eq!(answer.status_code, 204);
    assert_eq!(sandbox.requests().await.last().expect("sent")["query"], "oauthTokens=true&forgetDevices=false");
    server.stop().await;
}

#[tokio::test]
async fn the_schema_has_the_standard_attributes_and_the_orgs_own() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let schema =
        server.users().await.get_user_schema(GetUserSchemaRequest::default()).await.expect("schema").into_inner();
    let find =
        |name: &str| schema.attributes.iter().find(|attribute| attribute.name == name).expect("attribute").clone();
    assert!(find("login").required && !find("login").custom);
    assert_eq!((find("badgeNumber").r#type(), find("badgeNumber").custom), (SchemaAttributeType::Integer, true));
    assert_eq!(find("skills").item_type(), SchemaAttributeType::String);
    assert_eq!(find("shirtSize").enum_values, ["S", "M", "L", "XL"]);
    server.stop().await;
}

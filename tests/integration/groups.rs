//! The group cards.

use okta_connector::proto::{
    AddUserToGroupRequest, GroupType, ListGroupMembersRequest, ReadGroupRequest, RemoveUserFromGroupRequest, ResultSet,
    SearchGroupsRequest,
};
use tonic::Code;

use crate::harness::{Sandbox, Server, fields, reason};

fn add(group: &str, user: &str) -> AddUserToGroupRequest {
    AddUserToGroupRequest { group_id: group.to_owned(), user_id: user.to_owned(), ..Default::default() }
}

#[tokio::test]
async fn a_membership_begins_and_ends() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (group, user) = (server.create_group("Choir").await, server.create_user("Singer").await);
    let mut groups = server.groups().await;
    let members = ListGroupMembersRequest { group_id: group.clone(), ..Default::default() };
    for _ in 0..2 {
        assert_eq!(groups.add_user_to_group(add(&group, &user.id)).await.expect("added").into_inner().status_code, 204);
    }
    let found = groups.list_group_members(members.clone()).await.expect("members").into_inner().users;
    assert_eq!(found.iter().map(|member| &member.id).collect::<Vec<_>>(), [&user.id]);
    let remove = RemoveUserFromGroupRequest { group_id: group.clone(), user_id: user.id, ..Default::default() };
    groups.remove_user_from_group(remove).await.expect("removed");
    assert!(groups.list_group_members(members).await.expect("members").into_inner().users.is_empty());
    let nobody = groups.add_user_to_group(add(&group, "00unobody")).await.expect_err("nobody");
    assert_eq!((nobody.code(), reason(&nobody).as_str()), (Code::NotFound, "OKTA_NOT_FOUND"));
    server.stop().await;
}

#[tokio::test]
async fn members_are_paged_across_a_restart_and_a_token_belongs_to_its_query() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let group = server.create_group("Orchestra").await;
    let mut expected = Vec::new();
    for name in ["Flute", "Oboe", "Horn", "Viola", "Cello"] {
        let user = server.create_user(name).await;
        server.groups().await.add_user_to_group(add(&group, &user.id)).await.expect("added");
        expected.push(user.id);
    }
    let mut request = ListGroupMembersRequest { group_id: group, page_size: 2, ..Default::default() };
    let first = server.groups().await.list_group_members(request.clone()).await.expect("first").into_inner();
    assert_eq!(first.users.len(), 2);
    request.page_token.clone_from(&first.next_page_token);

    let server = Server::connected_in(server.stop().await, &sandbox);
    let mut groups = server.groups().await;
    let mut found: Vec<String> = first.users.into_iter().map(|user| user.id).collect();
    while !request.page_token.is_empty() {
        let page = groups.list_group_members(request.clone()).await.expect("page").into_inner();
        found.extend(page.users.into_iter().map(|user| user.id));
        request.page_token = page.next_page_token;
    }
    assert_eq!(found, expected);

    let other = server.create_group("Other").await;
    for (group_id, page_token) in [(other, first.next_page_token), (request.group_id.clone(), "nonsense".to_owned())] {
        let request = ListGroupMembersRequest { group_id, page_token, ..Default::default() };
        let status = groups.list_group_members(request).await.expect_err("not its token");
        assert_eq!((status.code(), reason(&status).as_str()), (Code::InvalidArgument, "PAGE_TOKEN_INVALID"));
    }
    for page_size in [-1, 1001] {
        let status = groups.list_group_members(ListGroupMembersRequest { page_size, ..request.clone() }).await;
        assert_eq!(fields(&status.expect_err("out of range")), ["page_size"]);
    }
    server.stop().await;
}

#[tokio::test]
async fn groups_are_read_and_searched() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let id = server.create_group("Zither Players").await;
    let mut groups = server.groups().await;
    let request = ReadGroupRequest { group_id: id.clone(), ..Default::default() };
    let group = groups.read_group(request).await.expect("read").into_inner().group.expect("group");
    assert_eq!(
        (group.r#type(), group.profile.expect("profile").name.as_deref()),
        (GroupType::OktaGroup, Some("Zither Players"))
    );
    assert!(group.raw_body_json.contains("okta:user_group") && group.projection_errors.is_empty());
    let search = |query: &str, set: ResultSet| SearchGroupsRequest {
        query: query.to_owned(),
        result_set: set.into(),
        ..Default::default()
    };
    let first = groups.search_groups(search("zither", ResultSet::First)).await.expect("first").into_inner();
    assert_eq!(first.first.expect("group").id, id);
    let none = groups.search_groups(search("none such", ResultSet::All)).await.expect("none").into_inner();
    assert!(none.groups.is_empty() && none.first.is_none());
    server.stop().await;
}

#[tokio::test]
async fn a_group_that_okta_manages_refuses_members() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let user = server.create_user("Everybody").await;
    let everyone = SearchGroupsRequest { query: "Everyone".to_owned(), ..Default::default() };
    let mut groups = server.groups().await;
    let everyone = groups.search_groups(everyone).await.expect("found").into_inner().groups[0].id.clone();
    let status = groups.add_user_to_group(add(&everyone, &user.id)).await.expect_err("managed");
    assert_eq!((status.code(), reason(&status).as_str()), (Code::FailedPrecondition, "OKTA_UNSUPPORTED"));
    server.stop().await;
}

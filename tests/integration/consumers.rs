//! Named readers over the wire: their cursors survive what the server does not.

use okta_connector::proto::subscribe_events_request::Start;
use okta_connector::proto::subscribe_events_response::Frame;
use okta_connector::proto::{
    ClosingReason, CommitCursorRequest, DeleteConsumerRequest, GetConsumerRequest, ListConsumersRequest,
    SeekConsumerRequest, StartPosition, SubscribeEventsRequest, SubscribeEventsResponse, seek_consumer_request::To,
};
use tonic::{Code, Status, Streaming};

use crate::harness::{Sandbox, Server, fields, reason};
use crate::hooks::{deliver, registered};

async fn open(server: &Server, consumer: &str) -> (Streaming<SubscribeEventsResponse>, String) {
    let request = SubscribeEventsRequest { start: Some(Start::Consumer(consumer.to_owned())), ..Default::default() };
    let mut frames = server.events().await.subscribe_events(request).await.expect("opened").into_inner();
    match frames.message().await.expect("frame").expect("frame").frame {
        Some(Frame::Opened(opened)) => (frames, opened.lease),
        other => panic!("{other:?}"),
    }
}

/// The next event's cursor and type, or the reason of the closing frame.
async fn next(frames: &mut Streaming<SubscribeEventsResponse>) -> Result<(String, String), ClosingReason> {
    loop {
        let response = frames.message().await.expect("frame").expect("frame");
        match response.frame {
            Some(Frame::Event(event)) => return Ok((response.cursor, event.uuid)),
            Some(Frame::Closing(closing)) => return Err(closing.reason()),
            _ => {}
        }
    }
}

async fn commit(server: &Server, cursor: &str, lease: &str) -> Result<String, Status> {
    let (consumer, cursor, lease) = ("billing".to_owned(), cursor.to_owned(), lease.to_owned());
    let answer = server.events().await.commit_cursor(CommitCursorRequest { consumer, cursor, lease }).await?;
    Ok(answer.into_inner().cursor)
}

fn session(uuid: &str) -> String {
    format!(r#"{{"data":{{"events":[{{"uuid":"{uuid}","eventType":"user.session.start"}}]}}}}"#)
}

#[tokio::test]
async fn what_was_committed_is_not_sent_again_even_after_a_kill() {
    let sandbox = Sandbox::start();
    let mut server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    let (frames, _) = open(&server, "billing").await;
    drop(frames);
    for uuid in ["1", "2", "3", "4", "5"] {
        assert!(deliver(&hook, Some(&secret), session(uuid)).await.is_success());
    }
    for expected in ["1", "2", "3", "4", "5"] {
        let (mut frames, lease) = open(&server, "billing").await;
        let (cursor, uuid) = next(&mut frames).await.expect("an event");
        assert_eq!(uuid, expected);
        assert_eq!(commit(&server, &cursor, &lease).await.expect("committed"), cursor);
        server = Server::connected_in(server.kill(), &sandbox);
    }
    let request = GetConsumerRequest { consumer: "billing".to_owned() };
    let consumer = server.events().await.get_consumer(request).await.expect("there").into_inner().consumer;
    assert_eq!(consumer.expect("consumer").lag, 0);
    server.stop().await;
}

#[tokio::test]
async fn one_stream_has_a_consumer_and_the_others_learn_it() {
    let sandbox = Sandbox::start();
    let server = Server::connected_to(&sandbox);
    let (hook, secret) = registered(&server, &sandbox).await;
    let (mut older, old_lease) = open(&server, "billing").await;
    let (mut newer, lease) = open(&server, "billing").await;
    assert_eq!(next(&mut older).await.expect_err("closing"), ClosingReason::ConsumerTakenOver);
    let ended = older.message().await.expect_err("ended");
    assert_eq!((ended.code(), reason(&ended).as_str()), (Code::Aborted, "CONSUMER_LEASE_LOST"));
    assert!(deliver(&hook, Some(&secret), session("1")).await.is_success());
    let (cursor, _) = next(&mut newer).await.expect("an event");
    let fenced = commit(&server, &cursor, &old_lease).await.expect_err("fenced");
    assert_eq!((fenced.code(), reason(&fenced).as_str()), (Code::Aborted, "CONSUMER_LEASE_LOST"));
    commit(&server, &cursor, &lease).await.expect("committed");

    let mut events = server.events().await;
    let seek =
        SeekConsumerRequest { consumer: "billing".to_owned(), to: Some(To::Position(StartPosition::Earliest.into())) };
    assert_eq!(events.seek_consumer(seek).await.expect("moved").into_inner().consumer.expect("consumer").lag, 1);
    assert_eq!(next(&mut newer).await.expect_err("closing"), ClosingReason::ConsumerMoved);
    let listed = events.list_consumers(ListConsumersRequest::default()).await.expect("listed").into_inner();
    assert_eq!(listed.consumers.len(), 1);
    let delete = DeleteConsumerRequest { consumer: "billing".to_owned() };
    events.delete_consumer(delete.clone()).await.expect("deleted");
    let gone = events.delete_consumer(delete).await.expect_err("gone");
    assert_eq!((gone.code(), reason(&gone).as_str()), (Code::NotFound, "CONSUMER_NOT_FOUND"));
    server.stop().await;
}

#[tokio::test]
async fn what_cannot_be_asked_of_a_consumer_is_named() {
    let server = Server::alone();
    let mut events = server.events().await;
    let odd = events.get_consumer(GetConsumerRequest { consumer: "a b".to_owned() }).await.expect_err("name");
    assert_eq!((odd.code(), fields(&odd)), (Code::InvalidArgument, vec!["consumer".to_owned()]));
    let nowhere = SeekConsumerRequest { consumer: "billing".to_owned(), to: None };
    assert_eq!(fields(&events.seek_consumer(nowhere).await.expect_err("nowhere")), ["to"]);
    for (cursor, why) in [("", "CURSOR_MALFORMED"), ("odd", "CURSOR_MALFORMED")] {
        assert_eq!(reason(&commit(&server, cursor, "").await.expect_err(why)), why);
    }
    let page = ListConsumersRequest { page_token: "a b".to_owned(), ..Default::default() };
    assert_eq!(reason(&events.list_consumers(page).await.expect_err("token")), "PAGE_TOKEN_INVALID");
    server.stop().await;
}

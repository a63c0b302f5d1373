//! The groups of the user of a membership event, which Okta does not send: looked up when a stream asks for it. A look-up never holds back
//! an event for long and never loses one: what could not be looked up is said on the event.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, Shared};
use tokio::sync::Semaphore;

use crate::cards::Runner;
use crate::cards::users::GetUserGroups;
use crate::okta::Context;
use crate::proto::event::Card;
use crate::proto::{
    Event, EventCard, EventEntity, GetUserGroupsRequest, Group, UserGroup, UserGroups, UserGroupsState,
};

/// How long a look-up may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// For how long its answer is good for other events of the same user.
const GOOD_FOR: Duration = Duration::from_secs(2);
/// Look-ups at the same time: an org takes some 75 requests at once, from everybody.
const AT_ONCE: usize = 16;
/// Groups that are looked up: one page.
const MAX_GROUPS: i32 = 200;
/// Answers that are kept; beyond, those that are good no longer are thrown away.
const MANY: usize = 4_096;

/// Looks up groups. Cloning shares the look-ups under way and the answers of the last seconds.
#[derive(Clone)]
pub struct GroupLookup(Arc<Inner>);

struct Inner {
    runner: Runner,
    room: Arc<Semaphore>,
    /// By connection and user.
    known: Mutex<HashMap<(String, String), Known>>,
}

struct Known {
    answer: Answer,
    asked: Instant,
}

/// An answer that may still be on its way.
pub(super) type Answer = Shared<BoxFuture<'static, Arc<UserGroups>>>;

impl GroupLookup {
    /// Looks up with the card Get User's Groups.
    pub fn new(runner: Runner) -> Self {
        Self(Arc::new(Inner { runner, room: Arc::new(Semaphore::new(AT_ONCE)), known: Mutex::default() }))
    }

    /// The groups of a user: those of a look-up that is under way or just over, or of a new one.
    pub(super) fn ask(&self, connection_id: &str, user_id: &str) -> Answer {
        let mut known = self.0.known.lock().unwrap_or_else(PoisonError::into_inner);
        let is_good = |known: &Known| known.answer.peek().is_none() || known.asked.elapsed() < GOOD_FOR;
        if known.len() >= MANY {
            known.retain(|_, known| is_good(known));
        }
        let key = (connection_id.to_owned(), user_id.to_owned());
        if let Some(known) = known.get(&key).filter(|known| is_good(known)) {
            return known.answer.clone();
        }
        let answer = self.look_up(key.clone());
        known.insert(key, Known { answer: answer.clone(), asked: Instant::now() });
        answer
    }

    fn look_up(&self, (connection, id_or_login): (String, String)) -> Answer {
        let (runner, room) = (self.0.runner.clone(), Arc::clone(&self.0.room));
        // A task of its own: it goes on while the stream sends what comes before.
        let task = tokio::spawn(async move {
            let deadline = Instant::now() + PATIENCE;
            let look_up = async {
                let _room = room.acquire().await;
                let page_token = String::new();
                let request = GetUserGroupsRequest { connection, id_or_login, page_size: MAX_GROUPS, page_token };
                runner.run::<GetUserGroups>(&request, &Context::internal("groups of events", deadline)).await.1
            };
            match tokio::time::timeout_at(deadline.into(), look_up).await {
                Ok(Ok(found)) => groups(found.groups, !found.next_page_token.is_empty()),
                Ok(Err(error)) => failed(error.message()),
                Err(_) => failed("Okta did not answer in time"),
            }
        });
        async move { Arc::new(task.await.unwrap_or_else(|_| failed("the look-up was cut short"))) }.boxed().shared()
    }
}

impl fmt::Debug for GroupLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupLookup").finish_non_exhaustive()
    }
}

/// Whether a card has the groups of its user.
pub(super) fn has_groups(card: EventCard) -> bool {
    matches!(
        card,
        EventCard::UserAssignedToApplication
            | EventCard::UserUnassignedFromApplication
            | EventCard::UserAddedToGroup
            | EventCard::UserRemovedFromGroup
    )
}

/// The user whose groups an event is to have, and where they go.
pub(super) fn place(event: &mut Event) -> Option<(&Option<EventEntity>, &mut Option<UserGroups>)> {
    match event.card.as_mut()? {
        Card::UserAssignedToApplication(card) => Some((&card.okta_user, &mut card.user_groups)),
        Card::UserUnassignedFromApplication(card) => Some((&card.okta_user, &mut card.user_groups)),
        Card::UserAddedToGroup(card) => Some((&card.okta_user, &mut card.user_groups)),
        Card::UserRemovedFromGroup(card) => Some((&card.okta_user, &mut card.user_groups)),
        _ => None,
    }
}

/// What stands where nothing could be looked up.
pub(super) fn failed(why: &str) -> UserGroups {
    UserGroups { state: UserGroupsState::Failed.into(), groups: Vec::new(), error: why.to_owned() }
}

fn groups(found: Vec<Group>, has_more: bool) -> UserGroups {
    let group = |group: Group| {
        let profile = group.profile.unwrap_or_default();
        UserGroup {
            id: group.id,
            name: profile.name.unwrap_or_default(),
            description: profile.description.unwrap_or_default(),
            r#type: group.r#type,
        }
    };
    let state = if has_more { UserGroupsState::Truncated } else { UserGroupsState::Complete };
    UserGroups { state: state.into(), groups: found.into_iter().map(group).collect(), error: String::new() }
}

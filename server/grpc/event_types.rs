//! `EventService.ListEventTypes`: the catalogue, filtered and paged.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use super::events::page_size;
use crate::error::{Error, Result};
use crate::events::catalogue::{self, Entry};
use crate::proto::{ErrorReason, EventCard, ListEventTypesRequest, ListEventTypesResponse};

/// The catalogue has fewer: one page by default.
const MAX_TYPES_A_PAGE: usize = 2_000;

pub(super) fn list(request: &ListEventTypesRequest) -> Result<ListEventTypesResponse> {
    let size = page_size(request.page_size, MAX_TYPES_A_PAGE, MAX_TYPES_A_PAGE)?;
    let card = EventCard::try_from(request.card).map_err(|_| Error::invalid("card", "is not a card"))?;
    let after = after(request)?;
    let wanted = |entry: &&Entry| {
        (card == EventCard::Unspecified || entry.card == card)
            && (entry.hook_eligible || !request.hook_eligible_only)
            && entry.event_type > after.as_str()
    };
    let mut entries = catalogue::entries().iter().filter(wanted).peekable();
    let page: Vec<&Entry> = entries.by_ref().take(size).collect();
    let next = page.last().filter(|_| entries.peek().is_some()).map(|last| token(request, last.event_type));
    Ok(ListEventTypesResponse {
        event_types: page.into_iter().map(Into::into).collect(),
        next_page_token: next.unwrap_or_default(),
    })
}

/// What the page before ended with, bound to the query.
fn token(request: &ListEventTypesRequest, last: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}{last}", query(request)))
}

fn after(request: &ListEventTypesRequest) -> Result<String> {
    if request.page_token.is_empty() {
        return Ok(String::new());
    }
    let text = URL_SAFE_NO_PAD.decode(&request.page_token).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let last = text.as_deref().and_then(|text| text.strip_prefix(&query(request)));
    let known = last.filter(|last| catalogue::find(last).is_some());
    known.map(str::to_owned).ok_or_else(|| {
        Error::new(ErrorReason::PageTokenInvalid, "page_token: is not a token of this query, start at the first page")
    })
}

fn query(request: &ListEventTypesRequest) -> String {
    format!("{}/{}/", request.card, request.hook_eligible_only)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_put_together_are_the_whole_list() {
        let whole = list(&ListEventTypesRequest::default()).unwrap();
        assert_eq!((whole.event_types.len(), whole.next_page_token.as_str()), (1178, ""));
        let mut request = ListEventTypesRequest { page_size: 100, hook_eligible_only: true, ..Default::default() };
        let mut names = Vec::new();
        loop {
            let page = list(&request).unwrap();
            names.extend(page.event_types.into_iter().map(|entry| entry.event_type));
            if page.next_page_token.is_empty() {
                break;
            }
            request.page_token = page.next_page_token;
        }
        let eligible = whole.event_types.into_iter().filter(|entry| entry.hook_eligible).map(|entry| entry.event_type);
        assert_eq!(names, eligible.collect::<Vec<_>>());
    }

    #[test]
    fn a_card_has_its_type() {
        let request = ListEventTypesRequest { card: EventCard::UserCreated.into(), ..Default::default() };
        let page = list(&request).unwrap();
        assert_eq!(page.event_types.len(), 1);
        assert_eq!(page.event_types[0].event_type, "user.lifecycle.create");
    }

    #[test]
    fn a_token_that_is_none_or_of_another_query_is_refused() {
        let request = ListEventTypesRequest { page_size: 10, ..Default::default() };
        let token = list(&request).unwrap().next_page_token;
        let other = ListEventTypesRequest { hook_eligible_only: true, page_token: token.clone(), ..request.clone() };
        let cut = ListEventTypesRequest { page_token: token[1..].to_owned(), ..request.clone() };
        let odd = ListEventTypesRequest { page_token: "é/".to_owned(), ..request };
        for request in [other, cut, odd] {
            assert_eq!(list(&request).unwrap_err().reason(), ErrorReason::PageTokenInvalid);
        }
    }
}

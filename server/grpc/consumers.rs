//! The named readers, as `EventService` asks for them.

use super::events::page_size;
use crate::error::{Error, Result};
use crate::events::{Consumers, Start, check_name};
use crate::proto::seek_consumer_request::To;
use crate::proto::{ErrorReason, ListConsumersRequest, ListConsumersResponse, SeekConsumerRequest};

const PAGE_SIZE: usize = 1_000;

/// One page, by name; a token is the name that the page before ended with.
pub(super) async fn list(consumers: &Consumers, request: &ListConsumersRequest) -> Result<ListConsumersResponse> {
    let size = page_size(request.page_size, PAGE_SIZE, PAGE_SIZE)?;
    let after = &request.page_token;
    if !after.is_empty() && check_name(after).is_err() {
        let message = "page_token: is not a next_page_token; start at the first page";
        return Err(Error::new(ErrorReason::PageTokenInvalid, message));
    }
    let mut found = consumers.list(after, size + 1).await?;
    let more = found.len() > size;
    found.truncate(size);
    let next_page_token = found.last().filter(|_| more).map(|last| last.name.clone()).unwrap_or_default();
    Ok(ListConsumersResponse { consumers: found, next_page_token })
}

/// Where a consumer is to go.
pub(super) fn destination(request: &SeekConsumerRequest) -> Result<Start> {
    match &request.to {
        None => Err(Error::invalid("to", "is required: one of after_cursor, start_time and position")),
        Some(To::AfterCursor(cursor)) => Ok(Start::After(cursor.clone())),
        Some(To::StartTime(time)) => Start::time(*time),
        Some(To::Position(position)) => Start::position(*position, Start::Latest),
    }
}

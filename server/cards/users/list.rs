//! What the two lists of users have in common: one page or the first match.

use crate::cards::{fields, project};
use crate::error::{Error, Result};
use crate::okta::{Answer, Call};
use crate::proto::{ResultSet, User};

/// Okta's own largest page.
const PAGE_SIZE: u32 = 200;

/// What was found: the first match, or a page of them.
pub(super) struct Found {
    pub(super) first: Option<User>,
    pub(super) users: Vec<User>,
    pub(super) next_page_token: String,
}

/// Asks for a page, or for one record only.
pub(super) fn page(call: Call, result_set: i32, page_size: i32, page_token: &str) -> Result<Call> {
    match fields::known_enum("result_set", result_set)? {
        ResultSet::First if !page_token.is_empty() => {
            Err(Error::invalid("page_token", "cannot be given with RESULT_SET_FIRST, which has one record"))
        }
        ResultSet::First => Ok(call.query("limit", "1")),
        ResultSet::All | ResultSet::Unspecified => {
            Ok(call.page(fields::page_size(page_size, PAGE_SIZE, PAGE_SIZE)?, page_token))
        }
    }
}

/// Reads what was found.
pub(super) fn found(result_set: ResultSet, answer: &Answer) -> Result<Found> {
    let mut users = answer.items()?.into_iter().map(project::user);
    Ok(match result_set {
        ResultSet::First => Found { first: users.next(), users: Vec::new(), next_page_token: String::new() },
        _ => Found { first: None, users: users.collect(), next_page_token: answer.next_page_token.clone() },
    })
}

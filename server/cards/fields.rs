//! Checking the fields of a request: each check says which field, what was wrong and what would be right.

use crate::error::{Error, Result, Violation};

/// Okta's ids have 20 characters and its logins at most 100: more than this is neither.
const MAX_SEGMENT: usize = 255;

/// An id or a login: one path segment.
///
/// # Errors
/// `INVALID_REQUEST` naming `field`.
pub fn segment<'a>(field: &str, value: &'a str) -> Result<&'a str> {
    let wrong = if value.is_empty() {
        "is required"
    } else if value.len() > MAX_SEGMENT {
        "is longer than 255 characters; give an id of Okta's"
    } else if value.contains('/') {
        "must not have a slash in it; give an id of Okta's (a login with a slash cannot be looked up)"
    } else if value.chars().any(char::is_control) {
        "must not have control characters in it"
    } else if matches!(value, "." | "..") {
        "is no id"
    } else {
        return Ok(value);
    };
    Err(Error::invalid(field, wrong))
}

/// The size of a page: 0 means `default`.
///
/// # Errors
/// `INVALID_REQUEST` naming `page_size`.
pub fn page_size(value: i32, default: u32, largest: u32) -> Result<u32> {
    match u32::try_from(value) {
        Ok(0) => Ok(default),
        Ok(size) if size <= largest => Ok(size),
        _ => Err(Error::invalid("page_size", format!("is {value}, must be 1 to {largest}, or 0 for the default"))),
    }
}

/// A value of an enum that this version knows.
///
/// # Errors
/// `INVALID_REQUEST` naming `field`.
pub fn known_enum<T: TryFrom<i32>>(field: &str, value: i32) -> Result<T> {
    T::try_from(value).map_err(|_| Error::invalid(field, format!("has no value with the number {value}")))
}

/// Collects what is wrong with a request, so that a caller learns of everything at once.
#[derive(Debug, Default)]
pub struct Violations(Vec<Violation>);

impl Violations {
    /// Adds one.
    pub fn add(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.0.push(Violation { field: field.into(), description: description.into() });
    }

    /// Adds one unless there is a value.
    pub fn require(&mut self, field: impl Into<String>, value: Option<&str>) {
        if value.is_none_or(str::is_empty) {
            self.add(field, "is required");
        }
    }

    /// An error if there are any.
    ///
    /// # Errors
    /// `INVALID_REQUEST` with all of them.
    pub fn check(self) -> Result<()> {
        Error::invalid_fields(self.0).map_or(Ok(()), Err)
    }
}

//! The one error of the domain: a reason that programs act on, a sentence for people, and what goes with them.
//!
//! It knows nothing of gRPC: `grpc::status` gives each reason its code.

use std::fmt;
use std::time::Duration;

use crate::proto::ErrorReason;

/// What a function of the domain answers.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be done.
#[derive(Debug, Clone)]
pub struct Error(Box<Inner>);

#[derive(Debug, Clone)]
struct Inner {
    reason: ErrorReason,
    message: String,
    violations: Vec<Violation>,
    metadata: Vec<(&'static str, String)>,
    retry_after: Option<Duration>,
    resource: Option<Resource>,
}

/// A field of a request, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Path of the field from the request, as the proto names it: `profile.first_name`.
    pub field: String,
    /// What was wrong and what would be right.
    pub description: String,
}

/// What was looked for and not found, or is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// Kind of thing, such as `user` or `connection`.
    pub kind: String,
    /// Its id or name.
    pub name: String,
}

impl Error {
    /// An error with nothing but a reason and a sentence.
    pub fn new(reason: ErrorReason, message: impl Into<String>) -> Self {
        Self(Box::new(Inner {
            reason,
            message: message.into(),
            violations: Vec::new(),
            metadata: Vec::new(),
            retry_after: None,
            resource: None,
        }))
    }

    /// One field of the request is wrong.
    pub fn invalid(field: impl Into<String>, description: impl Into<String>) -> Self {
        let violation = Violation { field: field.into(), description: description.into() };
        Self::new(ErrorReason::InvalidRequest, format!("{}: {}", violation.field, violation.description))
            .with_violation(violation)
    }

    /// Several fields of the request are wrong; `None` when there are none.
    pub fn invalid_fields(violations: Vec<Violation>) -> Option<Self> {
        let message = match violations.as_slice() {
            [] => return None,
            all => all
                .iter()
                .map(|violation| format!("{}: {}", violation.field, violation.description))
                .collect::<Vec<_>>()
                .join("; "),
        };
        let mut error = Self::new(ErrorReason::InvalidRequest, message);
        error.0.violations = violations;
        Some(error)
    }

    /// Adds a field of the request that is wrong.
    #[must_use]
    pub fn with_violation(mut self, violation: Violation) -> Self {
        self.0.violations.push(violation);
        self
    }

    /// Adds an entry of metadata; an empty value adds nothing.
    #[must_use]
    pub fn with(mut self, key: &'static str, value: impl Into<String>) -> Self {
        let value = value.into();
        if !value.is_empty() {
            self.0.metadata.push((key, value));
        }
        self
    }

    /// Says after how long another try makes sense.
    #[must_use]
    pub fn with_retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Says what was looked for.
    #[must_use]
    pub fn with_resource(mut self, kind: impl Into<String>, name: impl Into<String>) -> Self {
        self.0.resource = Some(Resource { kind: kind.into(), name: name.into() });
        self
    }

    /// Renames the fields that are wrong.
    #[must_use]
    pub fn map_fields(mut self, rename: impl Fn(&str) -> String) -> Self {
        for violation in &mut self.0.violations {
            violation.field = rename(&violation.field);
        }
        self
    }

    /// What programs act on.
    pub fn reason(&self) -> ErrorReason {
        self.0.reason
    }

    /// A sentence for people.
    pub fn message(&self) -> &str {
        &self.0.message
    }

    /// The fields of the request that are wrong.
    pub fn violations(&self) -> &[Violation] {
        &self.0.violations
    }

    /// Further facts, by name.
    pub fn metadata(&self) -> &[(&'static str, String)] {
        &self.0.metadata
    }

    /// After how long another try makes sense.
    pub fn retry_after(&self) -> Option<Duration> {
        self.0.retry_after
    }

    /// What was looked for.
    pub fn resource(&self) -> Option<&Resource> {
        self.0.resource.as_ref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for Error {}

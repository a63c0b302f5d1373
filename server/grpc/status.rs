//! The only place that makes a `tonic::Status`: each reason of the domain has its gRPC code here, and its details their place.
//!
//! Details travel as `google.rpc.*` messages in the `grpc-status-details-bin` trailer (<https://google.aip.dev/193>).

use std::collections::HashMap;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::error::Error;
use crate::proto::ErrorReason;

/// `ErrorInfo.domain` of every error of ours.
pub const ERROR_DOMAIN: &str = "okta-connector";

/// A caller sees at most this much of a message: HTTP/2 peers bound their header lists, often to 8 KiB.
const MAX_MESSAGE: usize = 1024;

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let metadata: HashMap<String, String> =
            error.metadata().iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
        let mut details = ErrorDetails::with_error_info(reason_name(error.reason()), ERROR_DOMAIN, metadata);
        for violation in error.violations() {
            details.add_bad_request_violation(violation.field.clone(), violation.description.clone());
        }
        if let Some(delay) = error.retry_after() {
            details.set_retry_info(Some(delay));
        }
        if error.reason() == ErrorReason::OktaRateLimited {
            let bucket = error.metadata().iter().find(|(key, _)| *key == "rate_limit_bucket");
            details.add_quota_failure_violation(bucket.map_or("okta", |(_, bucket)| bucket), error.message());
        }
        if let Some(resource) = error.resource() {
            details.set_resource_info(resource.kind.clone(), resource.name.clone(), "", error.message());
        }
        Status::with_error_details(code(error.reason()), bounded(error.message()), details)
    }
}

/// The name of a reason as it stands in `ErrorInfo.reason`: without the enum's prefix.
pub fn reason_name(reason: ErrorReason) -> &'static str {
    let name = reason.as_str_name();
    name.strip_prefix("ERROR_REASON_").unwrap_or(name)
}

/// The gRPC code of a reason, as the comment of the reason in `errors.proto` says it.
fn code(reason: ErrorReason) -> Code {
    use ErrorReason as R;
    match reason {
        R::InvalidRequest
        | R::OktaValidationFailed
        | R::PageTokenInvalid
        | R::RequestIdReused
        | R::CursorMalformed
        | R::CursorForeign
        | R::CursorInFuture => Code::InvalidArgument,
        R::CursorExpired => Code::OutOfRange,
        R::ConnectionNotFound | R::OktaNotFound | R::HookNotFound | R::ConsumerNotFound => Code::NotFound,
        R::ConnectionNicknameTaken | R::OktaAlreadyExists => Code::AlreadyExists,
        R::ConnectionChanged | R::OktaConflict | R::ConsumerLeaseLost => Code::Aborted,
        R::ConnectionKindMismatch
        | R::ConnectionNeedsAuthorization
        | R::ConnectionDisabled
        | R::OktaCredentialRejected
        | R::OktaStatusConflict
        | R::OktaUnsupported
        | R::OktaRefused
        | R::HookVerificationFailed
        | R::PublicUrlNotSet => Code::FailedPrecondition,
        R::OktaPermissionDenied | R::CallerPermissionDenied => Code::PermissionDenied,
        R::OktaRateLimited | R::HookLimitReached | R::CallerLimitExceeded => Code::ResourceExhausted,
        R::OktaUnavailable | R::OktaAnswerUnreadable | R::ServerStopping | R::StreamTooSlow | R::StorageUnavailable => {
            Code::Unavailable
        }
        R::OktaTimeout => Code::DeadlineExceeded,
        R::CallerUnauthenticated => Code::Unauthenticated,
        R::NotImplemented => Code::Unimplemented,
        R::Unspecified => Code::Unknown,
    }
}

/// The name of a code as gRPC writes it.
pub(super) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

fn bounded(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `// CODE: …` above each value of the enum, as `errors.proto` has it.
    fn documented_codes() -> Vec<(String, String)> {
        let proto = include_str!("../../proto/oktaconnector/v1/errors.proto");
        let mut documented = Vec::new();
        let mut comment = String::new();
        for line in proto.lines().map(str::trim) {
            if let Some(text) = line.strip_prefix("// ") {
                comment.push_str(text);
            } else {
                if let Some((name, _)) = line.split_once(" = ").filter(|(name, _)| name.starts_with("ERROR_REASON_")) {
                    let code = comment.split_once(':').map_or(String::new(), |(code, _)| code.to_owned());
                    documented.push((name.to_owned(), code));
                }
                comment.clear();
            }
        }
        documented
    }

    #[test]
    fn every_reason_has_the_code_that_its_proto_comment_promises() {
        let documented = documented_codes();
        assert!(documented.len() > 30, "the enum could not be read");
        for (name, promised) in documented.iter().skip(1) {
            let reason = ErrorReason::from_str_name(name).expect("a reason of the enum");
            assert_eq!(code_name(code(reason)), promised, "{name}");
        }
    }

    /// The README's table is made of the one that refusals go by.
    #[test]
    fn the_readme_says_what_okta_answers_becomes() {
        let mut rows: Vec<(ErrorReason, Vec<String>)> = Vec::new();
        for (answer, reason) in crate::okta::refusal::table() {
            match rows.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, answers)) => answers.push(answer),
                None => rows.push((reason, vec![answer])),
            }
        }
        let rows: String = rows
            .iter()
            .map(|(reason, answers)| {
                format!("| {} | {} | `{}` |\n", answers.join(", "), code_name(code(*reason)), reason_name(*reason))
            })
            .collect();
        let table = format!("| Okta answers | code | reason |\n|---|---|---|\n{rows}");
        let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
        let readme = std::fs::read_to_string(&path).expect("README");
        let (start, end) = ("<!-- errors -->\n", "<!-- /errors -->");
        let (before, rest) = readme.split_once(start).expect("the start of the table");
        let (_, after) = rest.split_once(end).expect("the end of the table");
        let wanted = format!("{before}{start}{table}{end}{after}");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &wanted).expect("written");
        }
        let readme = std::fs::read_to_string(&path).expect("README");
        assert!(readme == wanted, "run UPDATE_GOLDEN=1 cargo test readme");
    }

    #[test]
    fn details_carry_what_a_program_acts_on() {
        let error = Error::invalid("profile.login", "is required").with("okta_error_code", "E0000001");
        let status = Status::from(error);
        let details = status.get_error_details();
        let info = details.error_info().expect("error info");
        assert_eq!((info.reason.as_str(), info.domain.as_str()), ("INVALID_REQUEST", ERROR_DOMAIN));
        assert_eq!(info.metadata["okta_error_code"], "E0000001");
        assert_eq!(details.bad_request().expect("bad request").field_violations[0].field, "profile.login");
    }

    #[test]
    fn a_long_message_is_cut_for_the_header_list() {
        let status = Status::from(Error::new(ErrorReason::OktaRefused, "é".repeat(5000)));
        assert_eq!(status.message().chars().count(), MAX_MESSAGE + 1);
    }
}

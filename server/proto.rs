//! The public contract in Rust: messages and clients made from `proto/oktaconnector/v1/`, and the servers' traits.

use std::fmt;

#[allow(missing_docs, clippy::all, unreachable_pub)]
mod messages {
    include!(concat!(env!("OUT_DIR"), "/messages/oktaconnector.v1.rs"));
}
pub use messages::*;

/// The traits that the server implements, and the services that it mounts.
#[allow(missing_docs, clippy::all, unreachable_pub)]
pub mod server {
    include!(concat!(env!("OUT_DIR"), "/servers/oktaconnector.v1.rs"));
}

/// Every file of the contract with its comments, as an encoded `FileDescriptorSet`: what reflection serves.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

const REDACTED: &str = "[redacted]";

fn redacted(secret: Option<&String>) -> Option<&'static str> {
    secret.map(|_| REDACTED)
}

impl fmt::Debug for ApiTokenCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiTokenCredentials").field("api_token", &REDACTED).finish()
    }
}

impl fmt::Debug for OAuthWebAppCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OAuthWebAppCredentials")
            .field("client_id", &self.client_id)
            .field("client_secret", &REDACTED)
            .field("scopes", &self.scopes)
            .finish()
    }
}

impl fmt::Debug for ServiceAppCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServiceAppCredentials")
            .field("client_id", &self.client_id)
            .field("private_key", &REDACTED)
            .field("key_id", &self.key_id)
            .field("scopes", &self.scopes)
            .finish()
    }
}

impl fmt::Debug for UserCredentialsInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserCredentialsInput")
            .field("password", &redacted(self.password.as_ref()))
            .field("recovery_question", &redacted(self.recovery_question.as_ref()))
            .field("recovery_answer", &redacted(self.recovery_answer.as_ref()))
            .field("provider", &self.provider)
            .finish()
    }
}

impl fmt::Debug for AppUserCredentialsInput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AppUserCredentialsInput")
            .field("user_name", &self.user_name)
            .field("password", &redacted(self.password.as_ref()))
            .finish()
    }
}

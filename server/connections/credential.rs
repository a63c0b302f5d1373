//! What a connection authenticates itself with: one variant a kind, so that a wrong mix cannot be built.

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;

use crate::proto::CredentialKind;
use crate::secret::{Sealer, SecretError};

/// The credential of a connection. `Debug` prints no secret.
#[derive(Debug, Clone)]
pub enum Credential {
    /// An API token, sent as `Authorization: SSWS …`.
    ApiToken(SecretString),
}

impl Credential {
    /// The kind, as the API names it.
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::ApiToken(_) => CredentialKind::ApiToken,
        }
    }

    /// Whether two credentials are the same, compared without telling how much of them is.
    pub fn same_as(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::ApiToken(ours), Self::ApiToken(theirs)) => {
                ours.expose_secret().as_bytes().ct_eq(theirs.expose_secret().as_bytes()).into()
            }
        }
    }

    /// Seals the secret part for the connection `id`.
    pub(super) fn seal(&self, sealer: &Sealer, id: &str) -> Result<Vec<u8>, SecretError> {
        match self {
            Self::ApiToken(token) => sealer.seal(id, token.expose_secret().as_bytes()),
        }
    }

    /// Opens what [`Credential::seal`] sealed. `None` for a kind that this version does not know.
    pub(super) fn open(
        kind: CredentialKind,
        sealer: &Sealer,
        id: &str,
        sealed: &[u8],
    ) -> Result<Option<Self>, SecretError> {
        match kind {
            CredentialKind::ApiToken => sealer.open(id, sealed).map(|token| Some(Self::ApiToken(token))),
            _ => Ok(None),
        }
    }
}

//! What an org has granted to a connection beyond its credential: the refresh token, its scopes, the key that tokens are bound to.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};

use crate::secret::{Sealer, SecretError};

/// What is kept between calls and across restarts. Access tokens are not: a new one is a request away.
#[derive(Debug, Clone, Default)]
pub struct Grant {
    /// The refresh token of an authorized web app.
    pub refresh_token: Option<SecretString>,
    /// Scopes that the last token had.
    pub scopes: Vec<String>,
    /// The key that tokens are bound to (DPoP, RFC 9449), once the org has asked for that.
    pub dpop_key: Option<SecretString>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    refresh_token: Option<String>,
    scopes: Vec<String>,
    dpop_key: Option<String>,
}

impl Grant {
    /// Seals it for the connection `id`.
    pub(super) fn seal(&self, sealer: &Sealer, id: &str) -> Result<Vec<u8>, SecretError> {
        let text = |secret: &Option<SecretString>| secret.as_ref().map(|secret| secret.expose_secret().to_owned());
        let stored = Stored {
            refresh_token: text(&self.refresh_token),
            scopes: self.scopes.clone(),
            dpop_key: text(&self.dpop_key),
        };
        let text = serde_json::to_string(&stored).map_err(|_| SecretError::DoesNotOpen)?;
        sealer.seal(&owner(id), text.as_bytes())
    }

    /// Opens what [`Grant::seal`] sealed.
    pub(super) fn open(sealer: &Sealer, id: &str, sealed: &[u8]) -> Result<Self, SecretError> {
        let text = sealer.open(&owner(id), sealed)?;
        let stored: Stored = serde_json::from_str(text.expose_secret()).map_err(|_| SecretError::DoesNotOpen)?;
        Ok(Self {
            refresh_token: stored.refresh_token.map(SecretString::from),
            scopes: stored.scopes,
            dpop_key: stored.dpop_key.map(SecretString::from),
        })
    }
}

/// A grant does not open as a credential, nor the other way round.
pub(super) fn owner(id: &str) -> String {
    format!("{id}/grant")
}

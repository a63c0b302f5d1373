//! What a connection authenticates itself with: one variant a kind, so that a wrong mix cannot be built.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use super::signing_key::SigningKey;
use crate::proto::CredentialKind;
use crate::secret::{Sealer, SecretError};

/// The credential of a connection. `Debug` prints no secret.
#[derive(Debug)]
pub enum Credential {
    /// An API token, sent as `Authorization: SSWS …`.
    ApiToken(SecretString),
    /// An OAuth web app, which an admin of the org authorizes.
    OAuthWebApp(WebApp),
    /// A service app, which authenticates itself with a signed assertion.
    ServiceApp(ServiceApp),
}

/// An OpenID Connect web app of the org.
#[derive(Debug)]
pub struct WebApp {
    /// Client id.
    pub client_id: String,
    /// Client secret.
    pub client_secret: SecretString,
    /// Scopes to ask for, besides `openid` and `offline_access`.
    pub scopes: Vec<String>,
}

/// An API services app of the org.
#[derive(Debug)]
pub struct ServiceApp {
    /// Client id.
    pub client_id: String,
    /// The private key.
    pub key: SigningKey,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
}

/// A credential with more to it than one text, as it is sealed.
#[derive(Serialize, Deserialize)]
struct Stored {
    client_id: String,
    /// The client secret, or the private key's text.
    secret: String,
    #[serde(default)]
    key_id: String,
    scopes: Vec<String>,
}

impl Credential {
    /// The kind, as the API names it.
    pub fn kind(&self) -> CredentialKind {
        match self {
            Self::ApiToken(_) => CredentialKind::ApiToken,
            Self::OAuthWebApp(_) => CredentialKind::OauthWebApp,
            Self::ServiceApp(_) => CredentialKind::ServiceApp,
        }
    }

    /// OAuth client id; empty with an API token.
    pub fn client_id(&self) -> &str {
        match self {
            Self::ApiToken(_) => "",
            Self::OAuthWebApp(app) => &app.client_id,
            Self::ServiceApp(app) => &app.client_id,
        }
    }

    /// Id of the service app's key; empty with the other kinds.
    pub fn key_id(&self) -> &str {
        match self {
            Self::ServiceApp(app) => app.key.id(),
            Self::ApiToken(_) | Self::OAuthWebApp(_) => "",
        }
    }

    /// OAuth scopes to ask for; empty with an API token.
    pub fn scopes(&self) -> &[String] {
        match self {
            Self::ApiToken(_) => &[],
            Self::OAuthWebApp(app) => &app.scopes,
            Self::ServiceApp(app) => &app.scopes,
        }
    }

    /// The same credential with other scopes; `None` for an API token, which has none.
    pub fn with_scopes(&self, scopes: Vec<String>) -> Option<Self> {
        match self {
            Self::ApiToken(_) => None,
            Self::OAuthWebApp(WebApp { client_id, client_secret, .. }) => Some(Self::OAuthWebApp(WebApp {
                client_id: client_id.clone(),
                client_secret: client_secret.clone(),
                scopes,
            })),
            Self::ServiceApp(app) => {
                let key = SigningKey::read(app.key.text(), app.key.id()).ok()?;
                Some(Self::ServiceApp(ServiceApp { client_id: app.client_id.clone(), key, scopes }))
            }
        }
    }

    /// Whether two credentials are the same, compared without telling how much of their secrets is.
    pub fn same_as(&self, other: &Self) -> bool {
        let same_secret = || -> bool { self.secret().as_bytes().ct_eq(other.secret().as_bytes()).into() };
        self.kind() == other.kind()
            && self.client_id() == other.client_id()
            && self.key_id() == other.key_id()
            && self.scopes() == other.scopes()
            && same_secret()
    }

    /// Seals it for the connection `id`.
    pub(super) fn seal(&self, sealer: &Sealer, id: &str) -> Result<Vec<u8>, SecretError> {
        if let Self::ApiToken(token) = self {
            return sealer.seal(id, token.expose_secret().as_bytes());
        }
        let stored = Stored {
            client_id: self.client_id().to_owned(),
            secret: self.secret().to_owned(),
            key_id: self.key_id().to_owned(),
            scopes: self.scopes().to_vec(),
        };
        let text = serde_json::to_string(&stored).map_err(|_| SecretError::DoesNotOpen)?;
        sealer.seal(id, text.as_bytes())
    }

    /// Opens what [`Credential::seal`] sealed. `None` for a kind that this version does not know.
    pub(super) fn open(
        kind: CredentialKind,
        sealer: &Sealer,
        id: &str,
        sealed: &[u8],
    ) -> Result<Option<Self>, SecretError> {
        let text = sealer.open(id, sealed)?;
        if kind == CredentialKind::ApiToken {
            return Ok(Some(Self::ApiToken(text)));
        }
        let read = || serde_json::from_str::<Stored>(text.expose_secret()).map_err(|_| SecretError::DoesNotOpen);
        match kind {
            CredentialKind::OauthWebApp => {
                let Stored { client_id, secret, scopes, .. } = read()?;
                Ok(Some(Self::OAuthWebApp(WebApp { client_id, client_secret: secret.into(), scopes })))
            }
            CredentialKind::ServiceApp => {
                let Stored { client_id, secret, key_id, scopes } = read()?;
                let key = SigningKey::read(&secret.into(), &key_id).map_err(|_| SecretError::DoesNotOpen)?;
                Ok(Some(Self::ServiceApp(ServiceApp { client_id, key, scopes })))
            }
            CredentialKind::ApiToken | CredentialKind::Unspecified => Ok(None),
        }
    }

    fn secret(&self) -> &str {
        match self {
            Self::ApiToken(token) => token.expose_secret(),
            Self::OAuthWebApp(app) => app.client_secret.expose_secret(),
            Self::ServiceApp(app) => app.key.text().expose_secret(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer() -> Sealer {
        Sealer::from_text(&"AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=".into()).expect("key")
    }

    fn all() -> [Credential; 3] {
        let scopes = || vec!["okta.users.read".to_owned()];
        let key = SigningKey::read(&SigningKey::generate().expect("made"), "kid").expect("read");
        [
            Credential::ApiToken("00token".into()),
            Credential::OAuthWebApp(WebApp {
                client_id: "0oaweb".to_owned(),
                client_secret: "hush".into(),
                scopes: scopes(),
            }),
            Credential::ServiceApp(ServiceApp { client_id: "0oasvc".to_owned(), key, scopes: scopes() }),
        ]
    }

    #[test]
    fn every_kind_comes_back_as_it_was_sealed_for_its_own_connection_only() {
        for credential in all() {
            let sealed = credential.seal(&sealer(), "con_a").expect("sealed");
            let opened =
                Credential::open(credential.kind(), &sealer(), "con_a", &sealed).expect("opened").expect("known");
            assert!(opened.same_as(&credential));
            assert!(Credential::open(credential.kind(), &sealer(), "con_b", &sealed).is_err());
        }
    }

    #[test]
    fn no_two_kinds_are_the_same_and_other_scopes_make_another() {
        let [token, web, service] = all();
        assert!(!token.same_as(&web) && !web.same_as(&service));
        assert!(token.with_scopes(vec![]).is_none());
        for credential in [web, service] {
            let other = credential.with_scopes(vec!["okta.groups.read".to_owned()]).expect("has scopes");
            assert!(!other.same_as(&credential) && other.client_id() == credential.client_id());
        }
    }

    #[test]
    fn debug_prints_no_secret() {
        let shown = format!("{:?}", all());
        for secret in ["00token", "hush", "PRIVATE"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }
}

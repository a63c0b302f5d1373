//! The applications that may ask for tokens.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::jwk::{PublicKey, encoded};
use super::scopes::OKTA;

/// Clients that there can be.
pub(super) const MAX_CLIENTS: usize = 100;

/// What a client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Kind {
    /// Acts for the admin who consented.
    Web,
    /// Acts for itself.
    Service,
}

/// A client.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Client {
    pub(super) client_id: String,
    #[serde(rename = "type")]
    pub(super) kind: Kind,
    pub(super) label: String,
    /// A web app's.
    pub(super) client_secret: Option<String>,
    pub(super) redirect_uris: Vec<String>,
    /// Those that an admin granted to it.
    pub(super) scopes: Vec<String>,
    /// Its keys as they were registered.
    pub(super) jwks: Value,
    /// The same to verify with.
    #[serde(skip)]
    pub(super) keys: Vec<PublicKey>,
    pub(super) dpop_bound: bool,
    /// The role of a service app; none is shown nothing.
    pub(super) admin_role: Option<String>,
    pub(super) rotate_refresh_tokens: bool,
}

impl Client {
    pub(super) fn new(client_id: String, kind: Kind) -> Self {
        Self {
            client_id,
            kind,
            label: "Sandbox app".to_owned(),
            client_secret: (kind == Kind::Web).then(random),
            redirect_uris: Vec::new(),
            scopes: OKTA.map(str::to_owned).to_vec(),
            jwks: json!({ "keys": [] }),
            keys: Vec::new(),
            dpop_bound: false,
            admin_role: Some("SUPER_ADMIN".to_owned()),
            rotate_refresh_tokens: true,
        }
    }

    /// The web app that every sandbox has.
    fn first() -> Self {
        let places = ["http://127.0.0.1:8080/oauth/callback", "http://localhost:8080/oauth/callback"];
        Self {
            label: "Okta Connector".to_owned(),
            client_secret: Some("sandbox-client-secret".to_owned()),
            redirect_uris: places.map(str::to_owned).to_vec(),
            ..Self::new("0oasandboxwebapp0001".to_owned(), Kind::Web)
        }
    }
}

/// All clients, by id.
#[derive(Debug)]
pub(super) struct Clients {
    all: BTreeMap<String, Client>,
    last: u64,
}

impl Default for Clients {
    fn default() -> Self {
        let first = Client::first();
        Self { all: BTreeMap::from([(first.client_id.clone(), first)]), last: 0 }
    }
}

impl Clients {
    /// An id that no client has: one of Okta's length.
    pub(super) fn new_id(&mut self) -> String {
        loop {
            self.last += 1;
            let id = format!("0oasandboxapp{:07}", self.last);
            if !self.all.contains_key(&id) {
                return id;
            }
        }
    }

    pub(super) fn get(&self, id: &str) -> Option<&Client> {
        self.all.get(id)
    }

    pub(super) fn put(&mut self, client: Client) {
        self.all.insert(client.client_id.clone(), client);
    }

    pub(super) fn remove(&mut self, id: &str) -> Option<Client> {
        self.all.remove(id)
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Client> {
        self.all.values()
    }

    pub(super) fn is_full(&self) -> bool {
        self.all.len() >= MAX_CLIENTS
    }
}

/// Something that nobody guesses.
pub(super) fn random() -> String {
    encoded(&rand::random::<[u8; 32]>())
}

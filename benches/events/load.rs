//! A server with a hook, and deliveries to it.

use std::sync::Arc;

use okta_connector::proto::event_hook_service_client::EventHookServiceClient;
use okta_connector::proto::{EventCard, RegisterEventHookRequest};
use serde_json::Value;

use crate::harness::{Sandbox, Server};

/// A server that a hook delivers to.
pub struct Target {
    pub server: Server,
    pub door: Arc<Door>,
    _sandbox: Sandbox,
}

/// Where deliveries go.
pub struct Door {
    pub url: String,
    pub secret: String,
}

impl Target {
    pub async fn start() -> Self {
        let sandbox = Sandbox::start();
        let server = Server::connected_to(&sandbox);
        let request = RegisterEventHookRequest { cards: vec![EventCard::CustomWebhook.into()], ..Default::default() };
        let mut hooks = EventHookServiceClient::new(server.channel().await);
        let hook = hooks.register_event_hook(request).await.expect("registered").into_inner().hooks.remove(0);
        let requests = sandbox.requests().await;
        let is_registration = |request: &&Value| request["method"] == "POST" && request["path"] == "/api/v1/eventHooks";
        let made = requests.iter().rfind(is_registration).expect("made");
        let body: Value = serde_json::from_str(made["body"].as_str().expect("text")).expect("JSON");
        let secret = body["channel"]["config"]["authScheme"]["value"].as_str().expect("secret").to_owned();
        Self { door: Arc::new(Door { url: hook.uri, secret }), server, _sandbox: sandbox }
    }
}

impl Door {
    /// One delivery.
    pub async fn deliver(&self, http: &reqwest::Client, body: String) {
        let request = http.post(&self.url).header("authorization", &self.secret).body(body);
        let status = request.send().await.expect("answered").status();
        assert!(status.is_success(), "{status}");
    }
}

/// An event of about the size that Okta's have.
pub fn event(uuid: &str) -> String {
    format!(
        r#"{{"uuid":"{uuid}","published":"2026-11-01T12:00:00.000Z","eventType":"group.user_membership.add","version":"0",
"displayMessage":"Add user to group membership","severity":"INFO","actor":{{"id":"00u1","type":"User",
"alternateId":"alice.admin@acme.example","displayName":"Alice Admin","detailEntry":null}},
"client":{{"userAgent":{{"rawUserAgent":"Mozilla/5.0","os":"Linux","browser":"CHROME"}},"zone":"null","device":"Computer",
"ipAddress":"192.0.2.7","geographicalContext":{{"city":"San Francisco","state":"California","country":"United States",
"postalCode":"94107","geolocation":{{"lat":37.7697,"lon":-122.3933}}}}}},"outcome":{{"result":"SUCCESS","reason":null}},
"target":[{{"id":"00u2","type":"User","alternateId":"ada.lovelace@acme.example","displayName":"Ada Lovelace","detailEntry":null}},
{{"id":"00g1","type":"UserGroup","alternateId":"unknown","displayName":"Engineering","detailEntry":null}}],
"transaction":{{"type":"WEB","id":"aGFyZCB0byBndWVzcw","detail":{{}}}},"debugContext":{{"debugData":{{"requestId":"aGFyZCB0byBndWVzcw",
"requestUri":"/api/v1/groups/00g1/users/00u2","url":"/api/v1/groups/00g1/users/00u2?"}}}},"legacyEventType":"core.user_group_member.user_add",
"authenticationContext":{{"authenticationProvider":null,"credentialProvider":null,"externalSessionId":"trsXJ8","interface":null}},
"securityContext":{{"asNumber":null,"asOrg":null,"isp":null,"domain":null,"isProxy":null}},"request":{{"ipChain":[]}}}}"#
    )
}

/// What is around the events of a delivery.
pub fn envelope() -> String {
    r#"{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0","cloudEventsVersion":"0.1","eventId":"b5a188b9",
"eventTime":"2026-11-01T12:00:01.000Z","source":"https://acme.okta.com/api/v1/eventHooks/who1","contentType":"application/json"}"#
        .to_owned()
}

/// A delivery of these events.
pub fn delivery(events: &[String]) -> String {
    format!(
        r#"{{"eventType":"com.okta.event_hook","eventTypeVersion":"1.0","cloudEventsVersion":"0.1","eventId":"b5a188b9",
"eventTime":"2026-11-01T12:00:01.000Z","source":"https://acme.okta.com/api/v1/eventHooks/who1","contentType":"application/json",
"data":{{"events":[{}]}}}}"#,
        events.join(",")
    )
}

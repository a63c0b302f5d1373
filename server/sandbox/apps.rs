//! Applications, `/api/v1/apps` (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/Application/>).

use axum::extract::{Path, Query, State};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Shared;
use super::error::{Answer, OktaError};
use super::expression::{self, Dialect, Operator};
use super::org::{Org, now, text};
use super::paging::{Page, Params, limit, page};

const PAGE: usize = 200;
const DEFAULT_PAGE: usize = 20;

const FILTER: Dialect = Dialect {
    allows: |property, operator| {
        operator == Operator::Eq && ["status", "name", "id", "user.id", "group.id"].contains(&property)
    },
    ignore_case: false,
    negation: false,
};

pub(super) fn routes() -> Router<Shared> {
    Router::new().route("/api/v1/apps", get(list)).route("/api/v1/apps/{app}", get(read)).route("/api/v1/org", get(org))
}

async fn list(State(shared): State<Shared>, Query(params): Query<Params>) -> Answer<Page> {
    let org = shared.org();
    let given = |name: &str| params.get(name).map(String::as_str).filter(|value| !value.is_empty());
    let wanted = match given("filter") {
        Some(text) => Some(expression::parse(text, FILTER).ok_or_else(OktaError::invalid_search)?),
        None => None,
    };
    let assigned_to = wanted.as_ref().and_then(|wanted| wanted.equals("user.id"));
    let q = given("q").unwrap_or_default().to_lowercase();
    let items = org
        .apps
        .iter()
        .filter(|(_, app)| ["name", "label"].into_iter().any(|name| text(app, name).to_lowercase().starts_with(&q)))
        .filter(|(id, app)| match (assigned_to, &wanted) {
            (Some(user), _) => org.app_users.get(*id).is_some_and(|users| users.contains_key(user)),
            (None, Some(wanted)) => wanted.matches(app, FILTER),
            (None, None) => true,
        })
        .map(|(id, app)| (id.as_str(), app.clone()));
    Ok(page(&org.url, "/api/v1/apps", &params, limit(&params, DEFAULT_PAGE, PAGE)?, items))
}

async fn read(State(shared): State<Shared>, Path(app): Path<String>) -> Answer<Json<Value>> {
    shared.org().app(&app).cloned().map(Json)
}

async fn org(State(shared): State<Shared>) -> Json<Value> {
    let org = shared.org();
    Json(json!({
        "id": "00osandbox0000000001", "companyName": org.company, "status": "ACTIVE", "subdomain": "sandbox",
        "website": null, "created": "2024-01-01T00:00:00.000Z", "lastUpdated": "2024-01-01T00:00:00.000Z",
        "expiresAt": null, "address1": null, "address2": null, "city": "San Francisco", "state": "California",
        "country": "US", "postalCode": "94107", "phoneNumber": null, "supportPhoneNumber": null, "endUserSupportHelpURL": null,
        "_links": { "uploadLogo": { "href": format!("{}/api/v1/org/logo", org.url) } },
    }))
}

impl Org {
    pub(super) fn app(&self, id: &str) -> Answer<&Value> {
        self.apps.get(id).ok_or_else(|| OktaError::not_found(id, "AppInstance"))
    }

    /// Adds an application: catalogue key, label, sign-on mode.
    pub(super) fn create_app(&mut self, name: &str, label: &str, sign_on_mode: &str) -> String {
        let id = self.new_id("0oa");
        let scheme = match sign_on_mode {
            "AUTO_LOGIN" | "BROWSER_PLUGIN" => json!({
                "scheme": "EDIT_USERNAME_AND_PASSWORD",
                "userNameTemplate": { "template": "${source.login}", "type": "BUILT_IN" }, "revealPassword": false, "signing": {},
            }),
            _ => json!({ "userNameTemplate": { "template": "${source.login}", "type": "BUILT_IN" }, "signing": {} }),
        };
        let (time, url) = (now(), &self.url);
        let app = json!({
            "id": id, "orn": format!("orn:okta:idp:sandbox:apps:{name}:{id}"), "name": name, "label": label,
            "status": "ACTIVE", "lastUpdated": time, "created": time,
            "accessibility": { "selfService": false, "errorRedirectUrl": null, "loginRedirectUrl": null },
            "visibility": {
                "autoLaunch": false, "autoSubmitToolbar": false, "hide": { "iOS": false, "web": false },
                "appLinks": { format!("{name}_link"): true },
            },
            "features": [], "signOnMode": sign_on_mode, "credentials": scheme,
            "settings": { "app": {}, "notifications": { "vpn": { "network": { "connection": "DISABLED" }, "message": null, "helpUrl": null } } },
            "_links": { "users": { "href": format!("{url}/api/v1/apps/{id}/users") } },
        });
        self.apps.insert(id.clone(), app);
        id
    }
}

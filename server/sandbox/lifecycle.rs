//! What becomes of users: `/api/v1/users/{id}/lifecycle/…` and their sessions
//! (<https://developer.okta.com/docs/api/openapi/okta-management/management/tag/UserLifecycle/>).

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{delete, post};
use axum::{Json, Router};
use serde_json::{Value, json};

use super::Shared;
use super::error::{Answer, OktaError};
use super::org::{Org, now, user_target};

pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/api/v1/users/{user}/lifecycle/{operation}", post(operate))
        .route("/api/v1/users/{user}/sessions", delete(clear_sessions))
}

async fn operate(State(shared): State<Shared>, Path((user, operation)): Path<(String, String)>) -> Answer<Json<Value>> {
    shared.change(|org| org.operate(&user, &operation)).map(Json)
}

async fn clear_sessions(State(shared): State<Shared>, Path(user): Path<String>) -> Answer<StatusCode> {
    shared.change(|org| {
        let id = org.user_id(&user)?;
        let target = user_target(&org.users[&id]);
        org.record("user.session.clear", "Clear user session", vec![target]);
        Ok(StatusCode::NO_CONTENT)
    })
}

impl Org {
    fn operate(&mut self, user: &str, operation: &str) -> Answer<Value> {
        let id = self.user_id(user)?;
        let status = self.users[&id]["status"].as_str().unwrap_or_default().to_owned();
        let has_password = self.users[&id]["credentials"]["password"].is_object();
        let activated = if has_password { "ACTIVE" } else { "PROVISIONED" };
        match (operation, status.as_str()) {
            ("activate", "STAGED" | "DEPROVISIONED") => {
                self.set_status(&id, activated, "user.lifecycle.activate", "Activate Okta user");
                Ok(self.activation_link(&id))
            }
            ("activate", _) => Err(OktaError::activation_refused()),
            ("reactivate", "PROVISIONED" | "RECOVERY") => {
                self.set_status(&id, &status, "user.lifecycle.reactivate", "Reactivate Okta user");
                Ok(self.activation_link(&id))
            }
            ("deactivate", _) => self.deactivate_user(&id).map(|()| json!({})),
            ("suspend", "ACTIVE") => {
                self.set_status(&id, "SUSPENDED", "user.lifecycle.suspend", "Suspend Okta user");
                Ok(json!({}))
            }
            ("suspend", _) => Err(OktaError::invalid("user", "Cannot suspend a user that is not active")),
            ("unsuspend", "SUSPENDED") => {
                self.set_status(&id, "ACTIVE", "user.lifecycle.unsuspend", "Unsuspend Okta user");
                Ok(json!({}))
            }
            ("unsuspend", _) => Err(OktaError::invalid("user", "Cannot unsuspend a user that is not suspended")),
            ("unlock", "LOCKED_OUT") => {
                self.set_status(&id, "ACTIVE", "user.account.unlock_by_admin", "Unlock user account");
                Ok(json!({}))
            }
            ("expire_password", "ACTIVE" | "STAGED" | "PROVISIONED" | "LOCKED_OUT" | "RECOVERY") => {
                self.set_status(&id, "PASSWORD_EXPIRED", "user.account.expire_password", "Expire password");
                Ok(self.users[&id].clone())
            }
            ("reset_password", "ACTIVE" | "PASSWORD_EXPIRED" | "LOCKED_OUT" | "RECOVERY") => {
                self.set_status(&id, "RECOVERY", "user.account.reset_password", "User reset password for Okta");
                Ok(json!({ "resetPasswordUrl": format!("{}/reset_password/sandbox", self.url) }))
            }
            ("reactivate" | "unlock" | "expire_password" | "reset_password", _) => Err(OktaError::not_in_this_status()),
            _ => Err(OktaError::no_such_endpoint()),
        }
    }

    /// Takes a user out of service, and out of every application.
    pub(super) fn deactivate_user(&mut self, id: &str) -> Answer<()> {
        if self.users[id]["status"] == "DEPROVISIONED" {
            return Err(OktaError::already_deactivated());
        }
        if id == self.admin {
            return Err(OktaError::access_denied());
        }
        let assigned = self.app_users.iter().filter(|(_, users)| users.contains_key(id)).map(|(app, _)| app.clone());
        for app in assigned.collect::<Vec<_>>() {
            self.unassign(&app, id);
        }
        self.set_status(id, "DEPROVISIONED", "user.lifecycle.deactivate", "Deactivate Okta user");
        Ok(())
    }

    fn set_status(&mut self, id: &str, status: &str, event_type: &str, message: &str) {
        let Some(user) = self.users.get_mut(id) else { return };
        let changed = user["status"] != status;
        user["status"] = json!(status);
        user["lastUpdated"] = json!(now());
        if changed {
            user["statusChanged"] = json!(now());
        }
        if event_type == "user.lifecycle.activate" {
            user["activated"] = json!(now());
        }
        let target = user_target(user);
        self.record(event_type, message, vec![target]);
    }

    fn activation_link(&self, id: &str) -> Value {
        json!({ "activationUrl": format!("{}/welcome/sandbox{id}", self.url), "activationToken": format!("sandbox{id}") })
    }
}

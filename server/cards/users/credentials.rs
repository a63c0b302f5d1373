//! Credentials to give a user: what is wrong with them, and Okta's shape of them.

use serde_json::{Map, Value, json};

use crate::cards::fields::Violations;
use crate::proto::{AuthenticationProvider, AuthenticationProviderType, UserCredentialsInput};

/// Okta's shape of credentials: only what was given.
pub(super) fn to_json(input: &UserCredentialsInput) -> Map<String, Value> {
    let mut json = Map::new();
    if let Some(password) = &input.password {
        json.insert("password".to_owned(), json!({ "value": password }));
    }
    if let (Some(question), Some(answer)) = (&input.recovery_question, &input.recovery_answer) {
        json.insert("recovery_question".to_owned(), json!({ "question": question, "answer": answer }));
    }
    if let Some(provider) = &input.provider {
        let name = provider.r#type().as_str_name();
        let kind = name.strip_prefix("AUTHENTICATION_PROVIDER_TYPE_").unwrap_or(name);
        json.insert("provider".to_owned(), json!({ "type": kind, "name": provider_name(provider, kind) }));
    }
    json
}

/// The provider's name; for most types Okta's is that of the type.
fn provider_name<'a>(provider: &'a AuthenticationProvider, kind: &'a str) -> &'a str {
    if provider.name.is_empty() { kind } else { &provider.name }
}

/// What is wrong with credentials.
pub(super) fn check(credentials: &UserCredentialsInput, wrong: &mut Violations) {
    let given = |value: &Option<String>| value.as_deref().is_some_and(|value| !value.is_empty());
    if credentials.password.as_deref() == Some("") {
        wrong.add("credentials.password", "is empty; leave it unset for a user without a password");
    }
    match (given(&credentials.recovery_question), given(&credentials.recovery_answer)) {
        (true, false) => wrong.add("credentials.recovery_answer", "is required when recovery_question is given"),
        (false, true) => wrong.add("credentials.recovery_question", "is required when recovery_answer is given"),
        _ => {}
    }
    let Some(provider) = &credentials.provider else { return };
    use AuthenticationProviderType as Type;
    match Type::try_from(provider.r#type) {
        Err(_) => wrong.add("credentials.provider.type", format!("has no value with the number {}", provider.r#type)),
        Ok(Type::Unspecified) => wrong.add("credentials.provider.type", "is required when a provider is given"),
        Ok(Type::ActiveDirectory | Type::Ldap) if provider.name.is_empty() => {
            wrong.add("credentials.provider.name", "is required: the name of the directory instance");
        }
        Ok(kind) if kind != Type::Okta && given(&credentials.password) => {
            wrong.add("credentials.password", "cannot be given when another provider than OKTA checks it");
        }
        Ok(_) => {}
    }
}

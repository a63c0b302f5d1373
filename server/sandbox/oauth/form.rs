//! Parameters as OAuth sends them, in a query or a form.

use std::collections::HashMap;

use url::form_urlencoded;

use super::refusal::Refusal;

/// Parameters whose values are not kept in the record of requests.
const SECRET: [&str; 6] = ["client_secret", "client_assertion", "code", "refresh_token", "token", "code_verifier"];

/// Parameters, none twice.
#[derive(Debug, Default)]
pub(super) struct Form(HashMap<String, String>);

impl Form {
    pub(super) fn parse(encoded: &[u8]) -> Result<Self, Refusal> {
        let mut parameters = HashMap::new();
        for (name, value) in form_urlencoded::parse(encoded) {
            if parameters.insert(name.clone().into_owned(), value.into_owned()).is_some() {
                return Err(Refusal::invalid_request(format!("The '{name}' parameter must not be repeated.")));
            }
        }
        Ok(Self(parameters))
    }

    /// A parameter; an empty one counts as missing.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }
}

/// A form as it may be kept: `…` instead of each secret.
pub(in crate::sandbox) fn without_secrets(form: &str) -> String {
    let shown = |pair: &str| {
        let name = pair.split('=').next().unwrap_or_default();
        let decoded = form_urlencoded::parse(name.as_bytes()).next().map(|(name, _)| name.into_owned());
        match decoded.is_some_and(|decoded| SECRET.contains(&decoded.as_str())) {
            true => format!("{name}=…"),
            false => pair.to_owned(),
        }
    };
    form.split('&').map(shown).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_are_decoded_and_none_comes_twice() {
        let form = Form::parse(b"scope=openid+okta.users.read&state=&a=%26").expect("a form");
        assert_eq!(
            (form.get("scope"), form.get("state"), form.get("a")),
            (Some("openid okta.users.read"), None, Some("&"))
        );
        assert_eq!(Form::parse(b"a=1&a=2").expect_err("twice").error, "invalid_request");
    }

    #[test]
    fn secrets_are_not_kept_however_they_are_written() {
        let form = "grant_type=refresh_token&refresh_token=abc&client%5Fsecret=s&code=1&code_verifier=2&scope=a+b";
        let kept = "grant_type=refresh_token&refresh_token=…&client%5Fsecret=…&code=…&code_verifier=…&scope=a+b";
        assert_eq!(without_secrets(form), kept);
    }
}

//! OAuth scopes of Okta's API: how they are written, and which of them includes which.

/// What our own RPCs need, asked for when nothing else is said.
pub const DEFAULT_SCOPES: [&str; 6] = [
    "okta.users.manage",
    "okta.groups.manage",
    "okta.apps.manage",
    "okta.schemas.read",
    "okta.eventHooks.manage",
    "okta.logs.read",
];
/// Scopes of one connection; Okta has some hundred and fifty.
const MAX_SCOPES: usize = 200;
const MAX_LENGTH: usize = 100;
/// Asked for by every web app on its own account.
const IMPLIED: [&str; 2] = ["openid", "offline_access"];

/// The scopes that somebody asks for, without doubles, in the order given; the default ones when there are none.
///
/// # Errors
/// The place of the scope that is none and what is wrong with it, in a sentence.
pub fn check(scopes: &[String]) -> Result<Vec<String>, (usize, String)> {
    if scopes.is_empty() {
        return Ok(DEFAULT_SCOPES.map(str::to_owned).to_vec());
    }
    if scopes.len() > MAX_SCOPES {
        return Err((MAX_SCOPES, format!("at most {MAX_SCOPES} scopes can be asked for")));
    }
    let mut checked: Vec<String> = Vec::with_capacity(scopes.len());
    for (at, scope) in scopes.iter().enumerate() {
        if IMPLIED.contains(&scope.as_str()) || checked.contains(scope) {
            continue;
        }
        if !is_scope(scope) {
            let shown: String = scope.chars().take(MAX_LENGTH).collect();
            return Err((
                at,
                format!("{shown:?} is no scope of Okta's API; they read okta.users.manage, one to an entry"),
            ));
        }
        checked.push(scope.clone());
    }
    Ok(checked)
}

/// Whether `granted` lets a call through that needs `needed`: `manage` includes `read`.
pub fn covers(granted: &[String], needed: &str) -> bool {
    granted.iter().any(|scope| {
        scope == needed
            || matches!((scope.strip_suffix(".manage"), needed.strip_suffix(".read")), (Some(ours), Some(theirs)) if ours == theirs)
    })
}

fn is_scope(text: &str) -> bool {
    let Some(rest) = text.strip_prefix("okta.") else { return false };
    text.len() <= MAX_LENGTH
        && rest.contains('.')
        && rest.split('.').all(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn scopes_keep_their_order_and_lose_doubles_and_what_is_implied() {
        let given = texts(&["okta.users.read", "openid", "okta.users.read.self", "okta.users.read", "offline_access"]);
        assert_eq!(check(&given), Ok(texts(&["okta.users.read", "okta.users.read.self"])));
        assert_eq!(check(&[]).map(|scopes| scopes.len()), Ok(DEFAULT_SCOPES.len()));
    }

    #[test]
    fn what_is_no_scope_is_pointed_at() {
        for wrong in
            ["", "users.manage", "okta.users", "okta..read", "okta.users.read okta.groups.read", "okta.users.read\n"]
        {
            assert_eq!(check(&texts(&["okta.logs.read", wrong])).expect_err(wrong).0, 1);
        }
        assert!(check(&vec!["okta.a.read".to_owned(); MAX_SCOPES + 1]).is_err());
    }

    #[test]
    fn manage_includes_read_of_the_same_thing_only() {
        let granted = texts(&["okta.users.manage", "okta.logs.read"]);
        for needed in ["okta.users.manage", "okta.users.read", "okta.logs.read"] {
            assert!(covers(&granted, needed), "{needed}");
        }
        for needed in ["okta.groups.read", "okta.logs.manage", "okta.user.read", ""] {
            assert!(!covers(&granted, needed), "{needed}");
        }
    }
}

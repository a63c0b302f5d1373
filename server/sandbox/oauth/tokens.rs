//! What has been handed out: codes, access tokens, refresh tokens, and the families that they come in.
//!
//! A family is everything that came of one consent. A refresh token that rotates has one successor: used again within its grace
//! period it gives that same successor, as its answer may have been lost; used again later it takes the whole family with it.

use std::time::Duration;

use serde_json::{Value, json};

use super::Now;
use super::bounded::Bounded;
use super::clients::random;
use super::jwk::hash;
use super::refusal::Refusal;
use super::settings::Settings;

const MAX_CODES: usize = 1000;
const MAX_TOKENS: usize = 10_000;

const DEAD_CODE: &str = "The authorization code is invalid or has expired.";
const DEAD_REFRESH_TOKEN: &str = "The refresh token is invalid or expired.";

/// The user for whom a client acts.
#[derive(Debug, Clone)]
pub(super) struct Person {
    pub(super) id: String,
    pub(super) login: String,
}

/// What a client has been granted.
#[derive(Debug, Clone)]
pub(super) struct Grant {
    pub(super) client: String,
    /// Nobody but itself for a service app.
    pub(super) user: Option<Person>,
    pub(super) scopes: Vec<String>,
    /// When the user signed in, by the sandbox's clock.
    pub(super) auth_time: i64,
    pub(super) family: u64,
}

/// What a code stands for.
#[derive(Debug, Clone)]
pub(super) struct Code {
    pub(super) grant: Grant,
    pub(super) redirect_uri: String,
    /// The hash of the verifier that redeems it.
    pub(super) challenge: Option<String>,
    pub(super) nonce: Option<String>,
    pub(super) issued: Duration,
    pub(super) used: bool,
}

/// An access token.
#[derive(Debug, Clone)]
pub(super) struct Access {
    pub(super) grant: Grant,
    /// Its own scopes: those of the grant, or fewer.
    pub(super) scopes: Vec<String>,
    /// The thumbprint of the key that it is bound to.
    pub(super) key: Option<String>,
    pub(super) expires: Duration,
    /// The same by the sandbox's clock.
    pub(super) exp: i64,
}

/// A refresh token.
#[derive(Debug, Clone)]
pub(super) struct Refresh {
    pub(super) grant: Grant,
    /// When it was last used, or issued.
    used: Duration,
    successor: Option<(String, Duration)>,
}

/// Everything that has been handed out.
#[derive(Debug)]
pub(super) struct Tokens {
    codes: Bounded<Code>,
    access: Bounded<Access>,
    refresh: Bounded<Refresh>,
    last_family: u64,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            codes: Bounded::new(MAX_CODES),
            access: Bounded::new(MAX_TOKENS),
            refresh: Bounded::new(MAX_TOKENS),
            last_family: 0,
        }
    }
}

impl Tokens {
    pub(super) fn new_family(&mut self) -> u64 {
        self.last_family += 1;
        self.last_family
    }

    pub(super) fn add_code(&mut self, code: Code) -> String {
        let name = random();
        self.codes.insert(name.clone(), code);
        name
    }

    /// What a code stands for, once. A second time its tokens are revoked.
    pub(super) fn redeem(
        &mut self,
        name: &str,
        client: &str,
        redirect_uri: &str,
        verifier: Option<&str>,
        (now, settings): (Now, &Settings),
    ) -> Result<Code, Refusal> {
        let found = self.codes.get_mut(name).filter(|code| code.grant.client == client);
        let code = found.ok_or_else(|| Refusal::invalid_grant(DEAD_CODE))?;
        if code.used {
            let family = code.grant.family;
            self.revoke_family(family);
            return Err(Refusal::invalid_grant(DEAD_CODE));
        }
        if now.elapsed >= code.issued + Duration::from_secs(settings.code_seconds) {
            return Err(Refusal::invalid_grant(DEAD_CODE));
        }
        if code.redirect_uri != redirect_uri {
            let what = "The 'redirect_uri' does not match the redirection URI used in the authorization request.";
            return Err(Refusal::invalid_grant(what));
        }
        if code.challenge != verifier.map(hash) {
            return Err(Refusal::invalid_grant("PKCE verification failed."));
        }
        code.used = true;
        Ok(code.clone())
    }

    pub(super) fn add_access(&mut self, name: String, token: Access) {
        self.access.insert(name, token);
    }

    pub(super) fn add_refresh(&mut self, grant: Grant, now: Now) -> String {
        let name = random();
        self.refresh.insert(name.clone(), Refresh { grant, used: now.elapsed, successor: None });
        name
    }

    /// The access token, if it is good.
    pub(super) fn access(&self, name: &str, now: Now) -> Option<&Access> {
        self.access.get(name).filter(|token| now.elapsed < token.expires)
    }

    /// What a refresh token is good for. One that comes back after its grace period takes its family with it.
    pub(super) fn refresh(
        &mut self,
        name: &str,
        client: &str,
        (now, settings): (Now, &Settings),
    ) -> Result<Grant, Refusal> {
        let dead = || Refusal::invalid_grant(DEAD_REFRESH_TOKEN);
        let found = self.refresh.get(name).filter(|token| token.grant.client == client);
        let token = found.ok_or_else(dead)?;
        let grace = Duration::from_secs(settings.refresh_grace_seconds);
        match &token.successor {
            Some((_, rotated)) if now.elapsed >= *rotated + grace => {
                let family = token.grant.family;
                self.revoke_family(family);
                Err(dead())
            }
            None if !token.is_alive((now, settings)) => Err(dead()),
            _ => Ok(token.grant.clone()),
        }
    }

    /// The token to use instead of one that has just been used: its successor, or itself when it does not rotate.
    pub(super) fn rotate(&mut self, name: &str, rotates: bool, now: Now) -> String {
        let Some(token) = self.refresh.get_mut(name) else { return name.to_owned() };
        match &token.successor {
            Some((successor, _)) => successor.clone(),
            None if !rotates => {
                token.used = now.elapsed;
                name.to_owned()
            }
            None => {
                let grant = token.grant.clone();
                let successor = random();
                token.successor = Some((successor.clone(), now.elapsed));
                self.refresh.insert(successor.clone(), Refresh { grant, used: now.elapsed, successor: None });
                successor
            }
        }
    }

    /// The refresh token, if it has neither been rotated nor died of disuse.
    pub(super) fn live_refresh(&self, name: &str, at: (Now, &Settings)) -> Option<&Refresh> {
        self.refresh.get(name).filter(|token| token.successor.is_none() && token.is_alive(at))
    }

    /// Revokes a client's token of either kind; a refresh token takes its family with it.
    pub(super) fn revoke(&mut self, name: &str, client: &str) {
        if self.access.get(name).is_some_and(|token| token.grant.client == client) {
            self.access.remove(name);
        }
        if let Some(token) = self.refresh.get(name).filter(|token| token.grant.client == client) {
            let family = token.grant.family;
            self.revoke_family(family);
        }
    }

    fn revoke_family(&mut self, family: u64) {
        self.access.retain(|token| token.grant.family != family);
        self.refresh.retain(|token| token.grant.family != family);
    }

    /// Forgets everything that a client has.
    pub(super) fn forget_client(&mut self, client: &str) {
        self.codes.retain(|code| code.grant.client != client);
        self.access.retain(|token| token.grant.client != client);
        self.refresh.retain(|token| token.grant.client != client);
    }

    /// No access token is good any more.
    pub(super) fn expire_access(&mut self) {
        self.access.clear();
    }

    /// All that is remembered of what was handed out, good or not.
    pub(super) fn shown(&self) -> Value {
        let names = |names: &mut dyn Iterator<Item = &str>| names.map(Value::from).collect::<Vec<_>>();
        json!({
            "codes": names(&mut self.codes.names()),
            "access_tokens": names(&mut self.access.names()),
            "refresh_tokens": names(&mut self.refresh.names()),
        })
    }

    /// No refresh token is good any more.
    pub(super) fn revoke_refresh(&mut self) {
        self.refresh.clear();
    }
}

impl Refresh {
    fn is_alive(&self, (now, settings): (Now, &Settings)) -> bool {
        now.elapsed < self.used + Duration::from_secs(settings.refresh_idle_seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400;

    fn at(seconds: u64) -> (Now, &'static Settings) {
        (Now::at(seconds), &Settings::DEFAULT)
    }

    fn grant(tokens: &mut Tokens) -> Grant {
        let family = tokens.new_family();
        Grant { client: "client".to_owned(), user: None, scopes: Vec::new(), auth_time: 0, family }
    }

    fn code(tokens: &mut Tokens, challenge: Option<String>) -> String {
        let (grant, redirect_uri) = (grant(tokens), "https://here".to_owned());
        tokens.add_code(Code { grant, redirect_uri, challenge, nonce: None, issued: Duration::ZERO, used: false })
    }

    fn access(tokens: &mut Tokens, grant: &Grant) {
        let token = Access {
            grant: grant.clone(),
            scopes: Vec::new(),
            key: None,
            expires: Duration::from_secs(3600),
            exp: 3600,
        };
        tokens.add_access("access".to_owned(), token);
    }

    #[test]
    fn a_code_is_good_once_for_its_client_place_and_verifier() {
        let mut tokens = Tokens::default();
        let code = code(&mut tokens, Some("E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM".to_owned()));
        let verifier = Some("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk");
        let mut redeem = |client: &str, place: &str, verifier: Option<&str>, seconds: u64| {
            tokens
                .redeem(&code, client, place, verifier, at(seconds))
                .map(|_| ())
                .map_err(|refusal| refusal.description)
        };
        assert_eq!(redeem("other", "https://here", verifier, 1), Err(DEAD_CODE.to_owned()));
        assert!(redeem("client", "https://there", verifier, 1).is_err_and(|what| what.contains("redirect_uri")));
        for wrong in [None, Some("guess")] {
            assert_eq!(redeem("client", "https://here", wrong, 1), Err("PKCE verification failed.".to_owned()));
        }
        assert_eq!(redeem("client", "https://here", verifier, 300), Err(DEAD_CODE.to_owned()));
        assert_eq!(redeem("client", "https://here", verifier, 299), Ok(()));
        assert_eq!(redeem("client", "https://here", verifier, 299), Err(DEAD_CODE.to_owned()));
    }

    #[test]
    fn a_verifier_that_nobody_asked_for_is_refused() {
        let mut tokens = Tokens::default();
        let code = code(&mut tokens, None);
        assert!(tokens.redeem(&code, "client", "https://here", Some("verifier"), at(1)).is_err());
        assert!(tokens.redeem(&code, "client", "https://here", None, at(1)).is_ok());
    }

    #[test]
    fn a_code_that_comes_twice_takes_its_tokens_with_it() {
        let mut tokens = Tokens::default();
        let code = code(&mut tokens, None);
        let grant = tokens.redeem(&code, "client", "https://here", None, at(1)).expect("redeemed").grant;
        access(&mut tokens, &grant);
        let refresh = tokens.add_refresh(grant, Now::at(1));
        assert!(tokens.redeem(&code, "client", "https://here", None, at(2)).is_err());
        assert!(tokens.access("access", Now::at(2)).is_none() && tokens.refresh(&refresh, "client", at(2)).is_err());
    }

    #[test]
    fn within_grace_a_used_token_gives_the_same_successor_and_later_it_ends_the_family() {
        let mut tokens = Tokens::default();
        let grant = grant(&mut tokens);
        access(&mut tokens, &grant);
        let first = tokens.add_refresh(grant, Now::at(0));
        assert!(tokens.refresh(&first, "client", at(100)).is_ok());
        let second = tokens.rotate(&first, true, Now::at(100));
        assert_ne!(first, second);
        assert!(tokens.refresh(&first, "client", at(129)).is_ok());
        assert_eq!(tokens.rotate(&first, true, Now::at(129)), second);
        assert!(tokens.refresh(&second, "client", at(129)).is_ok() && tokens.access("access", Now::at(129)).is_some());
        assert!(tokens.refresh(&first, "client", at(130)).is_err());
        assert!(tokens.refresh(&second, "client", at(130)).is_err() && tokens.access("access", Now::at(130)).is_none());
    }

    #[test]
    fn a_token_dies_of_a_week_of_disuse() {
        let mut tokens = Tokens::default();
        let grant = grant(&mut tokens);
        let token = tokens.add_refresh(grant, Now::at(0));
        assert!(tokens.refresh(&token, "client", at(7 * DAY - 1)).is_ok());
        assert_eq!(tokens.rotate(&token, false, Now::at(7 * DAY - 1)), token, "it does not rotate");
        assert!(tokens.refresh(&token, "client", at(14 * DAY - 2)).is_ok(), "it has been used");
        assert!(tokens.refresh(&token, "client", at(14 * DAY - 1)).is_err());
        assert!(tokens.refresh(&token, "other", at(7 * DAY)).is_err(), "it is somebody else's");
    }

    #[test]
    fn revoking_a_refresh_token_ends_its_family_and_an_access_token_only_itself() {
        let mut tokens = Tokens::default();
        let grant = grant(&mut tokens);
        let refresh = tokens.add_refresh(grant.clone(), Now::at(0));
        access(&mut tokens, &grant);
        tokens.revoke("access", "other");
        assert!(tokens.access("access", Now::at(1)).is_some());
        tokens.revoke("access", "client");
        assert!(tokens.access("access", Now::at(1)).is_none() && tokens.refresh(&refresh, "client", at(1)).is_ok());
        access(&mut tokens, &grant);
        tokens.revoke(&refresh, "client");
        assert!(tokens.access("access", Now::at(1)).is_none() && tokens.refresh(&refresh, "client", at(1)).is_err());
    }
}

//! The authorizations that were begun and what became of them: each state is good once, for ten minutes, in one browser.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use secrecy::{ExposeSecret, SecretString};
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::okta::{AuthorizationRequest, CodeExchange};

/// How long an admin may take.
pub(super) const LIFETIME: Duration = Duration::from_secs(600);
/// An attempt that has ended is remembered for this long, to tell whoever comes late what happened.
const REMEMBERED: Duration = Duration::from_secs(600);

/// How an authorization came out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Nobody has come back yet.
    Pending,
    /// The connection is authorized.
    Authorized,
    /// Why not, and what to do about it.
    Refused(String),
    /// Nobody came back in time.
    Expired,
}

/// Why a callback is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unfit {
    /// Its state is none of ours, or long past.
    Unknown,
    /// Its state was good, once.
    Used,
    /// It came too late.
    Expired,
    /// It comes from another browser than the one that opened the link.
    Foreign,
}

/// One authorization. `Debug` prints no secret.
#[derive(Debug)]
pub(super) struct Attempt {
    connection_id: Arc<str>,
    request: AuthorizationRequest,
    cookie: SecretString,
    redirect_uri: String,
    expires: Instant,
    used: bool,
    outcome: watch::Sender<Outcome>,
}

/// What a callback that is taken has to be carried on with.
#[derive(Debug)]
pub(super) struct Taken {
    pub(super) handle: String,
    pub(super) connection_id: Arc<str>,
    verifier: SecretString,
    redirect_uri: String,
}

/// All of them: one a connection that counts, and those that ended lately.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    by_handle: HashMap<String, Attempt>,
    by_state: HashMap<String, String>,
    by_connection: HashMap<Arc<str>, String>,
}

impl Attempt {
    pub(super) fn new(
        connection_id: Arc<str>,
        request: AuthorizationRequest,
        cookie: SecretString,
        redirect_uri: String,
        expires: Instant,
    ) -> Self {
        let outcome = watch::Sender::new(Outcome::Pending);
        Self { connection_id, request, cookie, redirect_uri, expires, used: false, outcome }
    }

    /// Okta's consent page.
    pub(super) fn okta_url(&self) -> &str {
        self.request.url.as_str()
    }

    /// What the browser that opens the link is given.
    pub(super) fn cookie(&self) -> &SecretString {
        &self.cookie
    }

    fn state(&self) -> &str {
        self.request.state.expose_secret()
    }
}

impl Taken {
    /// The exchange of the code that was brought.
    pub(super) fn exchange(self, code: SecretString) -> CodeExchange {
        CodeExchange { code, verifier: self.verifier, redirect_uri: self.redirect_uri }
    }
}

impl Attempts {
    /// Begins `attempt`; the one before of the same connection ends, and what is long past is forgotten.
    pub(super) fn begin(&mut self, handle: String, attempt: Attempt, now: Instant) {
        let past: Vec<String> = self
            .by_handle
            .iter()
            .filter(|(_, old)| now >= old.expires + REMEMBERED)
            .map(|(handle, _)| handle.clone())
            .collect();
        past.iter().for_each(|handle| self.remove(handle));
        if let Some(before) = self.by_connection.remove(&attempt.connection_id) {
            self.remove(&before);
        }
        self.by_state.insert(attempt.state().to_owned(), handle.clone());
        self.by_connection.insert(Arc::clone(&attempt.connection_id), handle.clone());
        self.by_handle.insert(handle, attempt);
    }

    /// The attempt that a link leads to, while it can still be carried out.
    pub(super) fn open(&self, handle: &str, now: Instant) -> Result<&Attempt, Unfit> {
        let attempt = self.by_handle.get(handle).ok_or(Unfit::Unknown)?;
        fit(attempt, now)?;
        Ok(attempt)
    }

    /// Takes the callback with this state, from the browser that knows the cookie: from now on the state is used.
    ///
    /// `cookie` gives the browser's cookie of a handle.
    pub(super) fn take<'c>(
        &mut self,
        state: &str,
        cookie: impl FnOnce(&str) -> Option<&'c str>,
        now: Instant,
    ) -> Result<Taken, Unfit> {
        let handle = self.by_state.get(state).ok_or(Unfit::Unknown)?;
        let attempt = self.by_handle.get_mut(handle).ok_or(Unfit::Unknown)?;
        let is_theirs = cookie(handle)
            .is_some_and(|cookie| cookie.as_bytes().ct_eq(attempt.cookie.expose_secret().as_bytes()).into());
        if !is_theirs {
            return Err(Unfit::Foreign);
        }
        fit(attempt, now)?;
        attempt.used = true;
        Ok(Taken {
            handle: handle.clone(),
            connection_id: Arc::clone(&attempt.connection_id),
            verifier: attempt.request.verifier.clone(),
            redirect_uri: attempt.redirect_uri.clone(),
        })
    }

    /// The attempt has come to an end; whoever waits is told.
    pub(super) fn end(&self, handle: &str, outcome: Outcome) {
        if let Some(attempt) = self.by_handle.get(handle) {
            attempt.outcome.send_replace(outcome);
        }
    }

    /// What becomes of the attempt that counts for a connection, and until when it can.
    pub(super) fn outcome_of(&self, connection_id: &str) -> Option<(watch::Receiver<Outcome>, Instant)> {
        let attempt = self.by_handle.get(self.by_connection.get(connection_id)?)?;
        Some((attempt.outcome.subscribe(), attempt.expires))
    }

    /// Forgets what concerns a connection.
    pub(super) fn forget(&mut self, connection_id: &str) {
        if let Some(handle) = self.by_connection.get(connection_id).cloned() {
            self.remove(&handle);
        }
    }

    fn remove(&mut self, handle: &str) {
        let Some(attempt) = self.by_handle.remove(handle) else { return };
        self.by_state.remove(attempt.state());
        if self.by_connection.get(&attempt.connection_id).is_some_and(|counts| counts == handle) {
            self.by_connection.remove(&attempt.connection_id);
        }
    }
}

fn fit(attempt: &Attempt, now: Instant) -> Result<(), Unfit> {
    if attempt.used {
        return Err(Unfit::Used);
    }
    if now >= attempt.expires { Err(Unfit::Expired) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attempt(connection: &str, state: &str, now: Instant) -> Attempt {
        let request = AuthorizationRequest {
            url: "https://acme.okta.com/oauth2/v1/authorize".parse().expect("URL"),
            state: state.into(),
            verifier: "verifier".into(),
        };
        Attempt::new(
            connection.into(),
            request,
            "cookie".into(),
            "https://us/oauth/callback".to_owned(),
            now + LIFETIME,
        )
    }

    fn cookie(_: &str) -> Option<&'static str> {
        Some("cookie")
    }

    #[test]
    fn a_state_is_good_once_in_one_browser_and_for_a_while() {
        let (now, mut attempts) = (Instant::now(), Attempts::default());
        attempts.begin("h1".to_owned(), attempt("con_a", "s1", now), now);
        let unfit = |attempts: &mut Attempts, state, cookie: Option<&'static str>, at| {
            attempts.take(state, |_| cookie, at).map(|_| ()).expect_err("unfit")
        };
        assert_eq!(unfit(&mut attempts, "another", Some("cookie"), now), Unfit::Unknown);
        assert_eq!(unfit(&mut attempts, "s1", None, now), Unfit::Foreign);
        assert_eq!(unfit(&mut attempts, "s1", Some("of another"), now), Unfit::Foreign);
        assert_eq!(unfit(&mut attempts, "s1", Some("cookie"), now + LIFETIME), Unfit::Expired);
        let taken = attempts.take("s1", cookie, now).expect("fit");
        assert_eq!((&*taken.connection_id, taken.handle.as_str()), ("con_a", "h1"));
        assert_eq!(unfit(&mut attempts, "s1", Some("cookie"), now), Unfit::Used);
        assert_eq!(attempts.open("h1", now).map(|_| ()).expect_err("used"), Unfit::Used);
    }

    #[test]
    fn only_the_attempt_begun_last_counts() {
        let (now, mut attempts) = (Instant::now(), Attempts::default());
        attempts.begin("h1".to_owned(), attempt("con_a", "s1", now), now);
        attempts.begin("h2".to_owned(), attempt("con_a", "s2", now), now);
        attempts.begin("h3".to_owned(), attempt("con_b", "s3", now), now);
        assert_eq!(attempts.take("s1", cookie, now).map(|_| ()).expect_err("replaced"), Unfit::Unknown);
        attempts.end("h2", Outcome::Authorized);
        let (outcome, _) = attempts.outcome_of("con_a").expect("known");
        assert_eq!(*outcome.borrow(), Outcome::Authorized);
        attempts.forget("con_b");
        assert!(attempts.outcome_of("con_b").is_none() && attempts.by_state.len() == 1);
    }

    #[test]
    fn what_is_long_past_is_forgotten() {
        let (now, mut attempts) = (Instant::now(), Attempts::default());
        for number in 0..100 {
            attempts.begin(format!("h{number}"), attempt(&format!("con_{number}"), &format!("s{number}"), now), now);
        }
        let later = now + LIFETIME + REMEMBERED;
        attempts.begin("new".to_owned(), attempt("con_new", "new", later), later);
        assert_eq!((attempts.by_handle.len(), attempts.by_state.len(), attempts.by_connection.len()), (1, 1, 1));
    }

    #[test]
    fn an_attempt_prints_no_secret() {
        let shown = format!("{:?}", attempt("con_a", "the-state", Instant::now()));
        assert!(
            !shown.contains("the-state") && !shown.contains("verifier\"") && !shown.contains("cookie\""),
            "{shown}"
        );
    }
}

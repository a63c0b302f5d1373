//! Giving a hook a new secret without losing a delivery: both are accepted before Okta hears of the new one, on disk too, and the
//! old one has an end only once Okta is known to have the new one.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use prost_types::Duration as ProtoDuration;
use secrecy::ExposeSecret;
use tokio_util::sync::CancellationToken;

use super::hooks::{Hooks, context, endpoint, not_found, status_in, still_there};
use super::okta_hook::{self, OrgHook};
use crate::connections::{Connection, HookRow, secret_failed};
use crate::error::{Error, Result};
use crate::okta::{Answer, Call, Endpoint, HttpMethod, Repeat};
use crate::proto::{ErrorReason, EventHook, EventHookStatus, RotateEventHookSecretRequest};
use crate::secret::random_secret;

const READ: Endpoint =
    endpoint(HttpMethod::Get, "/api/v1/eventHooks/{eventHookId}", "okta.eventHooks.read", Repeat::Safe);
/// Once: a refusal of a repeated call would not say what became of the one before.
const REPLACE: Endpoint =
    endpoint(HttpMethod::Put, "/api/v1/eventHooks/{eventHookId}", "okta.eventHooks.manage", Repeat::IfNotCarriedOut);
/// As late as Okta delivers.
const DEFAULT_GRACE: Duration = Duration::from_secs(3600);
const MAX_GRACE: Duration = Duration::from_secs(24 * 3600);
/// Secrets that a hook is accepted with besides its own: each is compared with every delivery.
const MAX_FURTHER_SECRETS: usize = 32;
/// A look for ended secrets that failed is repeated after this long; the clock may be set in between, too.
const LONGEST_SLEEP: Duration = Duration::from_secs(60);

/// The hooks that are being rotated: two rotations of one hook must not cross on their way to Okta.
#[derive(Debug, Default)]
pub(super) struct Turns(Arc<Mutex<HashSet<String>>>);

/// A hook's turn, until it is dropped.
struct Turn {
    turns: Turns,
    hook_id: String,
}

impl Turns {
    fn take(&self, hook_id: &str) -> Result<Turn> {
        let turns = Self(Arc::clone(&self.0));
        if !turns.lock().insert(hook_id.to_owned()) {
            let message = format!("the secret of the event hook {hook_id:?} is being rotated already");
            return Err(Error::new(ErrorReason::OktaConflict, message).with_resource("event hook", hook_id));
        }
        Ok(Turn { turns, hook_id: hook_id.to_owned() })
    }

    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.turns.lock().remove(&self.hook_id);
    }
}

impl Hooks {
    /// Gives a hook a new secret; the old one is accepted for a while.
    ///
    /// # Errors
    /// `INVALID_REQUEST` with the field, `HOOK_NOT_FOUND`, `OKTA_NOT_FOUND` when the org has lost it, `OKTA_CONFLICT` while it is
    /// rotated already, `CALLER_LIMIT_EXCEEDED`, `HOOK_VERIFICATION_FAILED`, and whatever Okta refuses: then the old secret stays.
    pub async fn rotate(&self, request: &RotateEventHookSecretRequest, deadline: Instant) -> Result<EventHook> {
        let grace = grace(request.grace.as_ref())?;
        let _turn = self.turns.take(&request.hook_id)?;
        let (connection, mut row) = self.find(&request.hook_id, deadline).await?;
        let present = self.okta.send(&connection, &Call::new(READ, &[&row.okta_id]), &context(deadline)).await.1?;
        let (fresh, call) = self.accept_a_new_secret(&row, &present).await?;
        let answer = match self.okta.send(&connection, &call, &context(deadline)).await.1 {
            Ok(answer) => answer,
            Err(error) if okta_hook::is_unclear(&error) => {
                tracing::warn!(hook_id = row.id, %error, "the org may have a new secret or not; both are accepted");
                return Err(okta_hook::rotation_unclear(&error));
            }
            Err(error) => {
                self.store.drop_hook_secret(fresh).await?;
                self.accept_what_is_stored(&row.id).await?;
                return Err(error);
            }
        };
        let until = milliseconds(SystemTime::now() + grace);
        still_there(&row, self.store.promote_hook_secret(row.id.clone(), fresh, until).await?)?;
        self.accept_what_is_stored(&row.id).await?;
        self.rotated.notify_one();
        tracing::info!(hook_id = row.id, ?grace, "the secret of an event hook was rotated");
        let status = self.verify_if_needed(&connection, &mut row, &answer, deadline).await?;
        Ok(self.show(&row, status))
    }

    /// From here on the hook is accepted with a new secret too, come what may. Which one that is, and the call that tells Okta.
    async fn accept_a_new_secret(&self, row: &HookRow, present: &Answer) -> Result<(i64, Call)> {
        if self.store.secrets_of_hook(row.id.clone()).await?.len() >= MAX_FURTHER_SECRETS {
            let message = format!(
                "{MAX_FURTHER_SECRETS} older secrets of the event hook are accepted still, which is the most; wait until the time \
                 of some is over, or delete the hook and register it anew"
            );
            return Err(Error::new(ErrorReason::CallerLimitExceeded, message).with("limit", "hook_secrets"));
        }
        let secret = random_secret().map_err(secret_failed)?;
        let call = Call::new(REPLACE, &[&row.okta_id]).json(&okta_hook::with_secret(row, present, &secret)?);
        let sealed = self.sealer.seal(&row.id, secret.expose_secret().as_bytes()).map_err(secret_failed)?;
        let added = self.store.add_hook_secret(row.id.clone(), sealed).await?;
        let fresh = added.ok_or_else(|| not_found(&row.id))?;
        self.accept_what_is_stored(&row.id).await?;
        Ok((fresh, call))
    }

    async fn accept_what_is_stored(&self, hook_id: &str) -> Result<()> {
        let row = self.store.hook(hook_id.to_owned()).await?.ok_or_else(|| not_found(hook_id))?;
        let others = self.store.secrets_of_hook(hook_id.to_owned()).await?;
        self.registry.set_secrets(hook_id, self.secrets(&row, &others)?);
        Ok(())
    }

    /// Okta may want a hook verified again whose channel has changed; it delivers nothing until then.
    async fn verify_if_needed(
        &self,
        connection: &Connection,
        row: &mut HookRow,
        replaced: &Answer,
        deadline: Instant,
    ) -> Result<EventHookStatus> {
        if replaced.object().map(OrgHook::read).is_ok_and(|hook| hook.verified) {
            return Ok(status_in(replaced));
        }
        row.verified = false;
        still_there(row, self.store.set_verified(row.id.clone(), false).await?)?;
        self.verify_row(connection, row, deadline).await
    }

    /// Forgets the secrets whose time is over, here and on disk, until `stop`.
    pub async fn forget_ended_secrets(&self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            loop {
                let now = SystemTime::now();
                match self.store.forget_hook_secrets(milliseconds(now)).await {
                    Ok(()) => self.registry.forget_ended(now),
                    Err(error) => tracing::error!(%error, "secrets whose time is over could not be removed"),
                }
                tokio::select! {
                    () = tokio::time::sleep(self.until_next_end(now)) => {}
                    () = self.rotated.notified() => {}
                }
            }
        })
        .await;
    }

    fn until_next_end(&self, now: SystemTime) -> Duration {
        let left = self.registry.next_end().map(|end| end.duration_since(now).unwrap_or(LONGEST_SLEEP));
        left.unwrap_or(LONGEST_SLEEP).min(LONGEST_SLEEP)
    }
}

/// How long the old secret is accepted.
fn grace(wanted: Option<&ProtoDuration>) -> Result<Duration> {
    let Some(wanted) = wanted else { return Ok(DEFAULT_GRACE) };
    let parts = u64::try_from(wanted.seconds).ok().zip(u32::try_from(wanted.nanos).ok());
    let most = MAX_GRACE.as_secs();
    let grace = parts.filter(|(seconds, nanos)| *seconds <= most && *nanos < 1_000_000_000);
    let grace = grace.map(|(seconds, nanos)| Duration::new(seconds, nanos)).filter(|grace| *grace <= MAX_GRACE);
    grace.ok_or_else(|| Error::invalid("grace", "must be between no time at all and 24 hours"))
}

/// Whole milliseconds since 1970.
fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// The time that is so many milliseconds after 1970.
pub(super) fn time_of(milliseconds: i64) -> SystemTime {
    UNIX_EPOCH + Duration::from_millis(milliseconds.max(0).unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_old_secret_is_accepted_for_an_hour_or_as_long_as_is_asked_for() {
        assert_eq!(grace(None).expect("an hour"), Duration::from_secs(3600));
        let of = |seconds, nanos| grace(Some(&ProtoDuration { seconds, nanos }));
        for seconds in [0, 1, 86_400] {
            assert_eq!(of(seconds, 0).expect("fine").as_secs(), seconds.unsigned_abs());
        }
        for (seconds, nanos) in [(86_400, 1), (-1, 0), (0, -1), (i64::MAX, 0), (i64::MIN, i32::MIN)] {
            assert_eq!(of(seconds, nanos).expect_err("too much").violations()[0].field, "grace");
        }
    }

    #[test]
    fn a_hook_is_rotated_by_one_at_a_time() {
        let turns = Turns::default();
        let first = turns.take("hook_1").expect("free");
        assert_eq!(turns.take("hook_1").err().expect("taken").reason(), ErrorReason::OktaConflict);
        assert!(turns.take("hook_2").is_ok());
        drop(first);
        assert!(turns.take("hook_1").is_ok());
    }

    #[test]
    fn a_time_is_stored_to_the_millisecond() {
        let time = UNIX_EPOCH + Duration::from_millis(1_750_000_000_123);
        assert_eq!((time_of(milliseconds(time)), milliseconds(time_of(-5))), (time, 0));
    }
}

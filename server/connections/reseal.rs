//! Sealing everything anew with the newest key, so that an old one can be thrown away.

use secrecy::ExposeSecret;

use super::store::{Place, Sealed};
use super::{Store, grant, secret_failed};
use crate::error::Result;
use crate::secret::Sealer;

/// How many secrets there are, and how many of them were sealed anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Resealed {
    /// Stored secrets.
    pub all: usize,
    /// Those that had been sealed with an older key.
    pub resealed: usize,
}

/// Seals every stored secret with the newest key. A secret that is replaced meanwhile is sealed with that key anyway.
///
/// # Errors
/// `STORAGE_UNAVAILABLE`.
pub async fn reseal(store: &Store, sealer: &Sealer) -> Result<Resealed> {
    let mut done = Resealed::default();
    for old in store.sealed().await? {
        done.all += 1;
        if sealer.is_current(&old.sealed) {
            continue;
        }
        let owner = owner(&old);
        let secret = sealer.open(&owner, &old.sealed).map_err(secret_failed)?;
        let fresh = sealer.seal(&owner, secret.expose_secret().as_bytes()).map_err(secret_failed)?;
        store.replace_sealed(old, fresh).await?;
        done.resealed += 1;
    }
    Ok(done)
}

/// What each secret is bound to.
fn owner(sealed: &Sealed) -> String {
    match sealed.place {
        Place::Connection | Place::Hook | Place::HookSecret => sealed.id.clone(),
        Place::Grant => grant::owner(&sealed.id),
    }
}

//! Sealing secrets at rest: an AEAD whose associated data is what the secret belongs to, under a key kept in a file of its own.
//!
//! A sealed secret is `version ‖ key id ‖ nonce ‖ ciphertext ‖ tag` with ChaCha20-Poly1305 (RFC 8439). It opens only for the owner
//! it was sealed for: a row copied to another connection stays shut.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::digest::{SHA256, digest};
use ring::hmac;
use ring::rand::{SecureRandom, SystemRandom};
use secrecy::{ExposeSecret, SecretString};

const VERSION: u8 = 1;
const KEY_LEN: usize = 32;
const KEY_ID_LEN: usize = 4;
const HEADER_LEN: usize = 1 + KEY_ID_LEN + NONCE_LEN;

/// Why a key or a sealed secret cannot be used. No variant says anything of what is inside.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The key text is not what it should be.
    #[error("a secret key is 32 random bytes in base64, one key a line, the first one used for writing")]
    BadKey,
    /// The key file cannot be read or made.
    #[error("cannot use the secret key file {path}: {source}")]
    KeyFile {
        /// Where it is.
        path: String,
        /// What the operating system said.
        source: io::Error,
    },
    /// The secret was sealed with another key, for another owner, or is damaged.
    #[error("a stored secret does not open with this secret key")]
    DoesNotOpen,
    /// The operating system has no randomness to give.
    #[error("the operating system's random source failed")]
    NoRandomness,
}

/// Seals and opens secrets.
pub struct Sealer {
    keys: Vec<Key>,
    random: SystemRandom,
    derive: hmac::Key,
}

struct Key {
    id: [u8; KEY_ID_LEN],
    aead: LessSafeKey,
}

impl Sealer {
    /// From key text: one key a line, base64 of 32 bytes. The first seals, all of them open.
    ///
    /// # Errors
    /// [`SecretError::BadKey`].
    pub fn from_text(text: &SecretString) -> Result<Self, SecretError> {
        let lines = text.expose_secret().lines().map(str::trim).filter(|line| !line.is_empty());
        let raw = lines
            .map(|line| STANDARD.decode(line).ok().filter(|key| key.len() == KEY_LEN).ok_or(SecretError::BadKey))
            .collect::<Result<Vec<_>, _>>()?;
        let first = raw.first().ok_or(SecretError::BadKey)?;
        let derive = hmac::Key::new(hmac::HMAC_SHA256, first);
        let keys = raw.iter().map(|key| Key::new(key)).collect::<Result<_, _>>()?;
        Ok(Self { keys, random: SystemRandom::new(), derive })
    }

    /// From a key file, which is made with a fresh key and mode 0600 when it is not there and `create` allows it.
    ///
    /// # Errors
    /// [`SecretError::KeyFile`], [`SecretError::BadKey`] or [`SecretError::NoRandomness`].
    pub fn from_file(path: &Path, create: bool) -> Result<Self, SecretError> {
        let failed = |source| SecretError::KeyFile { path: path.display().to_string(), source };
        match fs::read_to_string(path) {
            Ok(text) => Self::from_text(&text.into()),
            Err(error) if error.kind() == io::ErrorKind::NotFound && create => {
                let mut key = [0; KEY_LEN];
                SystemRandom::new().fill(&mut key).map_err(|_| SecretError::NoRandomness)?;
                let text = STANDARD.encode(key);
                let mut file =
                    fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map_err(failed)?;
                writeln!(file, "{text}").and_then(|()| file.sync_all()).map_err(failed)?;
                Self::from_text(&text.into())
            }
            Err(error) => Err(failed(error)),
        }
    }

    /// Seals `secret` for `owner`.
    ///
    /// # Errors
    /// [`SecretError::NoRandomness`].
    pub fn seal(&self, owner: &str, secret: &[u8]) -> Result<Vec<u8>, SecretError> {
        let key = self.keys.first().ok_or(SecretError::BadKey)?;
        let mut nonce = [0; NONCE_LEN];
        self.random.fill(&mut nonce).map_err(|_| SecretError::NoRandomness)?;
        let mut body = secret.to_vec();
        key.aead
            .seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), Aad::from(owner.as_bytes()), &mut body)
            .map_err(|_| SecretError::DoesNotOpen)?;
        let mut sealed = Vec::with_capacity(HEADER_LEN + body.len());
        sealed.push(VERSION);
        sealed.extend_from_slice(&key.id);
        sealed.extend_from_slice(&nonce);
        sealed.extend_from_slice(&body);
        Ok(sealed)
    }

    /// Opens what was sealed for `owner`.
    ///
    /// # Errors
    /// [`SecretError::DoesNotOpen`].
    pub fn open(&self, owner: &str, sealed: &[u8]) -> Result<SecretString, SecretError> {
        let (header, body) = sealed.split_at_checked(HEADER_LEN).ok_or(SecretError::DoesNotOpen)?;
        let (version, rest) = header.split_first().ok_or(SecretError::DoesNotOpen)?;
        let (id, nonce) = rest.split_at(KEY_ID_LEN);
        let key = self.keys.iter().find(|key| *version == VERSION && key.id == id).ok_or(SecretError::DoesNotOpen)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| SecretError::DoesNotOpen)?;
        let mut body = body.to_vec();
        let plain = key
            .aead
            .open_in_place(nonce, Aad::from(owner.as_bytes()), &mut body)
            .map_err(|_| SecretError::DoesNotOpen)?;
        String::from_utf8(plain.to_vec()).map(SecretString::from).map_err(|_| SecretError::DoesNotOpen)
    }

    /// Whether this was sealed with the key that seals now.
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        self.keys.first().is_some_and(|key| sealed.get(1..=KEY_ID_LEN) == Some(&key.id))
    }

    /// A key for authenticating things of another purpose, the same for as long as the first secret key is.
    pub fn derive(&self, purpose: &str) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&self.derive, purpose.as_bytes()).as_ref())
    }
}

impl Key {
    fn new(raw: &[u8]) -> Result<Self, SecretError> {
        let mut id = [0; KEY_ID_LEN];
        id.copy_from_slice(&digest(&SHA256, raw).as_ref()[..KEY_ID_LEN]);
        let key = UnboundKey::new(&CHACHA20_POLY1305, raw).map_err(|_| SecretError::BadKey)?;
        Ok(Self { id, aead: LessSafeKey::new(key) })
    }
}

impl std::fmt::Debug for Sealer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Sealer").field("keys", &self.keys.len()).finish_non_exhaustive()
    }
}

/// `prefix` and 16 random letters and digits: an id of ours, such as `con_k3v9…`.
///
/// # Errors
/// [`SecretError::NoRandomness`].
pub fn random_id(prefix: &str) -> Result<String, SecretError> {
    random_text(16).map(|text| format!("{prefix}{text}"))
}

/// A fresh secret of 256 bits, as text that is safe in a header.
///
/// # Errors
/// [`SecretError::NoRandomness`].
pub fn random_secret() -> Result<SecretString, SecretError> {
    random_text(52).map(SecretString::from)
}

/// `length` random characters, five bits each.
fn random_text(length: usize) -> Result<String, SecretError> {
    const ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";
    let mut bytes = vec![0; length];
    SystemRandom::new().fill(&mut bytes).map_err(|_| SecretError::NoRandomness)?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sealer(fill: &[u8]) -> Sealer {
        let text: Vec<String> = fill.iter().map(|byte| STANDARD.encode([*byte; KEY_LEN])).collect();
        Sealer::from_text(&text.join("\n").into()).expect("keys")
    }

    #[test]
    fn a_secret_opens_for_its_owner_only() {
        let sealer = sealer(&[1]);
        let sealed = sealer.seal("con_a", b"00token").expect("sealed");
        assert_eq!(sealer.open("con_a", &sealed).expect("opened").expose_secret(), "00token");
        assert!(sealer.open("con_b", &sealed).is_err());
    }

    #[test]
    fn a_damaged_or_cut_secret_does_not_open() {
        let sealer = sealer(&[1]);
        let sealed = sealer.seal("con_a", b"00token").expect("sealed");
        for at in 0..sealed.len() {
            let mut damaged = sealed.clone();
            damaged[at] ^= 1;
            assert!(sealer.open("con_a", &damaged).is_err());
            assert!(sealer.open("con_a", &sealed[..at]).is_err());
        }
    }

    #[test]
    fn an_old_key_opens_and_the_first_one_seals() {
        let sealed = sealer(&[1]).seal("con_a", b"x").expect("sealed");
        let rotated = sealer(&[2, 1]);
        assert!(rotated.open("con_a", &sealed).is_ok());
        assert!(sealer(&[2]).open("con_a", &rotated.seal("con_a", b"x").expect("sealed")).is_ok());
    }

    #[test]
    fn the_key_file_is_made_once_and_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().expect("directory");
        let path = directory.path().join("secret.key");
        assert!(Sealer::from_file(&path, false).is_err());
        let sealed = Sealer::from_file(&path, true).expect("made").seal("o", b"s").expect("sealed");
        assert!(Sealer::from_file(&path, true).expect("read").open("o", &sealed).is_ok());
        assert_eq!(fs::metadata(&path).expect("metadata").permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn what_is_no_key_is_refused() {
        for text in ["", "short", "AAAA", "!!!!"] {
            assert!(Sealer::from_text(&text.into()).is_err(), "{text}");
        }
    }
}

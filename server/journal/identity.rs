//! Who a journal is: an id that cursors name, and the key that makes them hard to forge. Made once, kept in the journal.

use std::fmt;

use rand::Rng as _;

/// Length of a journal's id: enough that two journals never share one.
pub(crate) const ID_BYTES: usize = 8;
/// Length of the key, as HMAC-SHA256 wants it.
const KEY_BYTES: usize = 32;

/// The identity of a journal.
#[derive(Clone)]
pub struct Identity {
    id: [u8; ID_BYTES],
    cursor_key: [u8; KEY_BYTES],
}

impl Identity {
    /// A new one, at random.
    pub fn random() -> Self {
        let mut random = rand::rng();
        let mut identity = Self { id: [0; ID_BYTES], cursor_key: [0; KEY_BYTES] };
        random.fill_bytes(&mut identity.id);
        random.fill_bytes(&mut identity.cursor_key);
        identity
    }

    /// One that was stored; `None` when the lengths are wrong.
    pub(super) fn from_stored(id: &[u8], cursor_key: &[u8]) -> Option<Self> {
        Some(Self { id: id.try_into().ok()?, cursor_key: cursor_key.try_into().ok()? })
    }

    /// The id in hexadecimal.
    pub fn id(&self) -> String {
        self.id.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The id.
    pub fn id_bytes(&self) -> &[u8; ID_BYTES] {
        &self.id
    }

    /// The key of the cursors' HMAC.
    pub fn cursor_key(&self) -> &[u8] {
        &self.cursor_key
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("id", &self.id()).field("cursor_key", &"[redacted]").finish()
    }
}

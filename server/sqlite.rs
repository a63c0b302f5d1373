//! How SQLite's files are opened: for our own process only, durable, and safe on a disk that turns read-only.

use std::ffi::CStr;
use std::fs::OpenOptions;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

/// Only our own process may look into the files: they have secrets, sealed, and speak of people.
const FILE_MODE: u32 = 0o600;
/// SQLite's way to the file that keeps the WAL's index in memory, for one process, where the usual one maps a file: a write to that mapping
/// ends the process (`SIGBUS`) when the file system turns read-only under it (<https://sqlite.org/vfs.html>, `unix-excl`).
const VFS: &CStr = c"unix-excl";
/// How long to wait for a lock: another process may have the file, `sqlite3` in somebody's terminal for example.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// Prepared statements kept for each connection: there are fewer.
const STATEMENTS: usize = 64;

/// A connection that writes: what it commits is on disk. The file is made where there is none.
///
/// # Errors
/// SQLite's; `SQLITE_CANTOPEN` also where the file cannot be made.
pub fn open_writer(path: &Path) -> rusqlite::Result<Connection> {
    // SQLite would make it as the umask says; what this cannot do, SQLite cannot either, and says so.
    let _ = OpenOptions::new().write(true).create(true).truncate(false).mode(FILE_MODE).open(path);
    let connection = open(path, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    Ok(connection)
}

/// A connection that reads, beside a writer of this process.
///
/// # Errors
/// SQLite's.
pub fn open_reader(path: &Path) -> rusqlite::Result<Connection> {
    open(path, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

fn open(path: &Path, access: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags_and_vfs(path, flags, VFS)?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS);
    Ok(connection)
}

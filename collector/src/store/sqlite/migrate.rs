//! Format versions of the file: forward only, and never past what this release knows.
//!
//! The version is `PRAGMA user_version`. A migration and its new version commit together, so a
//! collector that is killed inside one finds the old file again.

use std::io;
use std::path::Path;

use rusqlite::Connection;
use tracing::info;

use super::OpenError;

/// The newest format that this release reads, and the one that it writes.
pub const FORMAT_VERSION: u32 = 2;

/// "FLMP": says that the file is ours.
const APPLICATION_ID: u32 = 0x464C_4D50;

const MIGRATIONS: [&str; FORMAT_VERSION as usize] = [
    include_str!("../../../migrations/0001_kv.sql"),
    include_str!("../../../migrations/0002_keys_in_an_index.sql"),
];

/// Refuses a file of another program or of a later release, without changing it.
pub(super) fn check_owner(connection: &Connection) -> Result<(), OpenError> {
    let found: u32 = pragma(connection, "user_version")?;
    let owner: u32 = pragma(connection, "application_id")?;
    if found > FORMAT_VERSION {
        return Err(OpenError::NewerFormat {
            found,
            supported: FORMAT_VERSION,
        });
    }
    let is_ours = owner == APPLICATION_ID && found > 0;
    let is_new = (owner == APPLICATION_ID || owner == 0) && is_empty(connection)?;
    if is_ours || is_new {
        Ok(())
    } else {
        Err(OpenError::NotAStore)
    }
}

/// Brings a file that is ours, or empty, to [`FORMAT_VERSION`].
pub(super) fn run(connection: &mut Connection, path: &Path) -> Result<(), OpenError> {
    let found: u32 = pragma(connection, "user_version")?;
    if (1..FORMAT_VERSION).contains(&found) {
        check_room(path)?;
    }
    for (version, migration) in (1_u32..).zip(MIGRATIONS).skip(found as usize) {
        if found > 0 {
            info!(
                from = version - 1,
                to = version,
                "bringing the data to a newer format; large data takes minutes"
            );
        }
        let transaction = connection.transaction().map_err(OpenError::engine)?;
        let script = format!(
            "{migration};\nPRAGMA user_version = {version};\nPRAGMA application_id = {APPLICATION_ID};"
        );
        transaction
            .execute_batch(&script)
            .map_err(OpenError::engine)?;
        transaction.commit().map_err(OpenError::engine)?;
    }
    Ok(())
}

/// A migration writes the table anew beside the old one, and both into the log.
fn check_room(path: &Path) -> Result<(), OpenError> {
    let room = || {
        let needed_bytes = 3 * std::fs::metadata(path)?.len();
        let file_system = rustix::fs::statvfs(path)?;
        let free_bytes = file_system.f_bavail.saturating_mul(file_system.f_frsize);
        Ok((needed_bytes, free_bytes))
    };
    let (needed_bytes, free_bytes) =
        room().map_err(|error: io::Error| OpenError::Engine(Box::new(error)))?;
    if free_bytes < needed_bytes {
        return Err(OpenError::NoRoom {
            needed_bytes,
            free_bytes,
        });
    }
    Ok(())
}

fn is_empty(connection: &Connection) -> Result<bool, OpenError> {
    let tables: u32 = connection
        .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
        .map_err(OpenError::engine)?;
    Ok(tables == 0)
}

fn pragma(connection: &Connection, name: &str) -> Result<u32, OpenError> {
    connection
        .pragma_query_value(None, name, |row| row.get(0))
        .map_err(OpenError::engine)
}

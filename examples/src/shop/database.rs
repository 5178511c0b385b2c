//! One SQLite connection, shared.

use std::sync::{Mutex, PoisonError};

use rusqlite::Connection;

use crate::seed;

/// The shop's database, in memory.
///
/// One connection behind a lock: a request that waits for it shows the wait in its wall-clock
/// flame graph, as it would in many a real service.
#[derive(Debug)]
pub struct Database {
    connection: Mutex<Connection>,
}

impl Database {
    /// A database that holds what [`seed::fill`] writes. Takes some tenths of a second.
    ///
    /// # Errors
    /// What SQLite says, if it cannot.
    pub fn seeded() -> rusqlite::Result<Self> {
        let mut connection = Connection::open_in_memory()?;
        seed::fill(&mut connection)?;
        Ok(Self {
            connection: Mutex::new(connection),
        })
    }

    /// Runs `work` on the connection, after everybody who came before.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn with<T, E>(&self, work: impl FnOnce(&Connection) -> Result<T, E>) -> Result<T, E> {
        // A panic in another request leaves SQLite's own state whole.
        let connection = self
            .connection
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        work(&connection)
    }
}

//! A month's orders as JSON lines, compressed.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Serialize;
use serde_json::Value;

use crate::database::Database;
use crate::error::ShopError;

/// One line of an export.
#[derive(Debug, Serialize)]
struct Row {
    id: u64,
    customer: u64,
    note: String,
    lines: Value,
}

/// The orders of `month` (`YYYY-MM`) as gzip of JSON lines, by number.
///
/// # Errors
/// [`ShopError::BadRequest`] when it is no month, [`ShopError::NotFound`] when it has no orders,
/// [`ShopError::Database`], [`ShopError::Render`].
pub fn month(database: &Database, month: &str) -> Result<Vec<u8>, ShopError> {
    let is_month = month.len() == 7
        && month
            .bytes()
            .enumerate()
            .all(|(at, byte)| (at == 4) == (byte == b'-') && (at == 4 || byte.is_ascii_digit()));
    if !is_month {
        return Err(ShopError::BadRequest("a month is written YYYY-MM"));
    }
    let rows = read(database, month)?;
    if rows.is_empty() {
        return Err(ShopError::NotFound("month with orders"));
    }
    let text = serialize(&rows).map_err(|error| ShopError::Render(error.into()))?;
    compress(&text).map_err(|error| ShopError::Render(error.into()))
}

fn read(database: &Database, month: &str) -> Result<Vec<Row>, ShopError> {
    let read = database.with(|connection| {
        connection
            .prepare_cached("SELECT id, customer, note, lines FROM purchase WHERE month = ?1")?
            .query_map([month], |row| {
                let lines = serde_json::from_str(row.get_ref(3)?.as_str()?).unwrap_or(Value::Null);
                Ok(Row {
                    id: row.get(0)?,
                    customer: row.get(1)?,
                    note: row.get(2)?,
                    lines,
                })
            })?
            .collect::<rusqlite::Result<Vec<_>>>()
    });
    Ok(read?)
}

fn serialize(rows: &[Row]) -> Result<Vec<u8>, serde_json::Error> {
    let mut text = Vec::new();
    for row in rows {
        serde_json::to_writer(&mut text, row)?;
        text.push(b'\n');
    }
    Ok(text)
}

fn compress(text: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::new(7));
    encoder.write_all(text)?;
    encoder.finish()
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use super::*;

    #[test]
    fn export_of_a_month_is_its_orders_as_json_lines() {
        let database = Database::seeded().unwrap();
        let packed = month(&database, "2026-03").unwrap();
        let mut text = String::new();
        flate2::read::GzDecoder::new(packed.as_slice())
            .read_to_string(&mut text)
            .unwrap();
        assert!(text.lines().count() > 500);
        assert!(
            text.lines()
                .all(|line| serde_json::from_str::<Value>(line).is_ok())
        );
    }

    #[test]
    fn what_is_no_month_is_refused() {
        let database = Database::seeded().unwrap();
        for word in ["", "2026", "2026-3", "2026/03", "abcd-ef", "2026-033"] {
            assert!(
                matches!(month(&database, word), Err(ShopError::BadRequest(_))),
                "{word}"
            );
        }
        assert!(matches!(
            month(&database, "1999-01"),
            Err(ShopError::NotFound(_))
        ));
    }
}

//! Search in the catalogue: SQLite over names and JSON attributes.

use rusqlite::Connection;
use serde::Serialize;
use serde_json::Value;

use crate::database::Database;
use crate::error::ShopError;

const RESULT_COUNT_MAX: usize = 50;

/// One product that was found.
#[derive(Clone, Debug, Serialize)]
pub struct Product {
    /// Its number.
    pub id: u64,
    /// Its name.
    pub name: String,
    /// Its price in cents.
    pub cents: u64,
    /// What else is known of it: material, weight, colours, stock.
    pub attributes: Value,
    /// How well it fits the query; more is better.
    pub score: u32,
}

/// The products whose name, material or colours hold the words of `query`, best first, at most 50.
///
/// # Errors
/// [`ShopError::BadRequest`] for a query without words, [`ShopError::Database`].
pub fn search(database: &Database, query: &str) -> Result<Vec<Product>, ShopError> {
    let words: Vec<String> = query
        .split_whitespace()
        .map(str::to_lowercase)
        .take(8)
        .collect();
    if words.is_empty() {
        return Err(ShopError::BadRequest("the query has no words"));
    }
    let mut found = Vec::new();
    database.with(|connection| {
        words
            .iter()
            .try_for_each(|word| matches(connection, word, &mut found))
    })?;
    Ok(rank(found, &words))
}

/// Adds the products that hold `word` somewhere; one product may come again for another word.
fn matches(connection: &Connection, word: &str, found: &mut Vec<Product>) -> rusqlite::Result<()> {
    let mut select = connection.prepare_cached(
        "SELECT id, name, cents, attributes FROM product
         WHERE instr(name, ?1) > 0
            OR json_extract(attributes, '$.material') = ?1
            OR EXISTS (SELECT 1 FROM json_each(attributes, '$.colours') WHERE value = ?1)",
    )?;
    let mut rows = select.query([word])?;
    while let Some(row) = rows.next()? {
        let attributes = row.get_ref(3)?.as_str()?;
        found.push(Product {
            id: row.get(0)?,
            name: row.get(1)?,
            cents: row.get(2)?,
            attributes: serde_json::from_str(attributes).unwrap_or(Value::Null),
            score: 0,
        });
    }
    Ok(())
}

/// Scores what was found, best first, each product once.
fn rank(mut found: Vec<Product>, words: &[String]) -> Vec<Product> {
    found.sort_by_key(|product| product.id);
    found.dedup_by_key(|product| product.id);
    for product in &mut found {
        product.score = words.iter().map(|word| score(product, word)).sum();
    }
    found.sort_by(|a, b| b.score.cmp(&a.score).then_with(|| a.name.cmp(&b.name)));
    found.truncate(RESULT_COUNT_MAX);
    found
}

fn score(product: &Product, word: &str) -> u32 {
    let in_name = product.name.split(' ').filter(|part| part == &word).count();
    let is_material = product.attributes["material"] == word;
    u32::try_from(in_name).unwrap_or(u32::MAX).saturating_mul(3) + u32::from(is_material)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_finds_the_word_and_puts_the_best_first() {
        let database = Database::seeded().unwrap();
        let found = search(&database, "Walnut lamp").unwrap();
        assert_eq!(found.len(), RESULT_COUNT_MAX);
        assert!(found[0].name.contains("walnut") || found[0].name.contains("lamp"));
        assert!(found.is_sorted_by(|a, b| a.score >= b.score));
    }

    #[test]
    fn search_without_words_is_refused() {
        let database = Database::seeded().unwrap();
        assert!(matches!(
            search(&database, " "),
            Err(ShopError::BadRequest(_))
        ));
    }
}

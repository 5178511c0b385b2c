//! Moderating a review: regular expressions, and a look for near copies of older ones.

use std::collections::BTreeSet;

use regex::Regex;
use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::error::ShopError;

const TEXT_BYTES_MAX: usize = 64 << 10;
const SHINGLE_WORDS: usize = 3;

/// What a customer wrote.
#[derive(Clone, Debug, Deserialize)]
pub struct Review {
    /// The product's number.
    pub product: u64,
    /// The text, at most 64 KiB.
    pub text: String,
}

/// What the shop makes of it.
#[derive(Clone, Debug, Serialize)]
pub struct Verdict {
    /// The text without addresses, numbers to call and shouting.
    pub text: String,
    /// How many places were changed.
    pub changed_count: usize,
    /// The most similar older review, if any has something in common.
    pub nearest: Option<u64>,
    /// How similar that one is, in per cent.
    pub similar_percent: usize,
}

/// The moderator's expressions, compiled once.
#[derive(Debug)]
pub struct Moderator {
    rules: Vec<(Regex, &'static str)>,
    separators: Regex,
}

impl Moderator {
    /// Compiles the expressions.
    ///
    /// # Errors
    /// An expression that is none.
    pub fn new() -> Result<Self, regex::Error> {
        let rules = [
            (
                r"(?i)\b[a-z0-9._+-]+@[a-z0-9-]+(\.[a-z0-9-]+)+\b",
                "[address]",
            ),
            (r"(?i)\bhttps?://\S+", "[link]"),
            (r"\+?\d[\d -]{6,}\d", "[number]"),
            (r"([!?])[!?]+", "$1"),
            (r"(?i)\b(darn|heck|drat)\w*\b", "[…]"),
        ];
        let rules = rules
            .into_iter()
            .map(|(rule, to)| Ok((Regex::new(rule)?, to)));
        Ok(Self {
            rules: rules.collect::<Result<_, regex::Error>>()?,
            separators: Regex::new(r"\W+")?,
        })
    }
}

/// Cleans a review and finds the older review that is most like it.
///
/// # Errors
/// [`ShopError::BadRequest`] for a text that is too long, [`ShopError::Database`].
pub fn moderate(
    moderator: &Moderator,
    database: &Database,
    review: &Review,
) -> Result<Verdict, ShopError> {
    if review.text.len() > TEXT_BYTES_MAX {
        return Err(ShopError::BadRequest("a review has at most 64 KiB"));
    }
    let (text, changed_count) = clean(moderator, &review.text);
    let (nearest, similar_percent) = nearest(moderator, database, &text)?;
    Ok(Verdict {
        text,
        changed_count,
        nearest,
        similar_percent,
    })
}

fn clean(moderator: &Moderator, text: &str) -> (String, usize) {
    moderator.rules.iter().fold(
        (text.to_owned(), 0),
        |(text, count), (rule, replacement)| {
            let found = rule.find_iter(&text).count();
            (
                rule.replace_all(&text, *replacement).into_owned(),
                count + found,
            )
        },
    )
}

fn nearest(
    moderator: &Moderator,
    database: &Database,
    text: &str,
) -> Result<(Option<u64>, usize), ShopError> {
    let new = shingles(moderator, text);
    let older = database.with(|connection| {
        connection
            .prepare_cached("SELECT id, text FROM review ORDER BY id")?
            .query_map((), |row| Ok((row.get(0)?, row.get(1)?)))?
            .collect::<rusqlite::Result<Vec<(u64, String)>>>()
    })?;
    let similar = older
        .iter()
        .map(|(id, text)| (similarity(&new, &shingles(moderator, text)), *id));
    let (percent, id) = similar
        .max_by_key(|(percent, _id)| *percent)
        .unwrap_or_default();
    Ok(((percent > 0).then_some(id), percent))
}

/// Each three words that follow each other, in lower case.
fn shingles(moderator: &Moderator, text: &str) -> BTreeSet<String> {
    let text = text.to_lowercase();
    let words: Vec<&str> = moderator
        .separators
        .split(&text)
        .filter(|word| !word.is_empty())
        .collect();
    words
        .windows(SHINGLE_WORDS)
        .map(|window| window.join(" "))
        .collect()
}

/// What two texts have in common, in per cent of what either has (Jaccard's index).
fn similarity(a: &BTreeSet<String>, b: &BTreeSet<String>) -> usize {
    (a.intersection(b).count() * 100)
        .checked_div(a.union(b).count())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check_clean(text: &str, expected: &str, count: usize) {
        assert_eq!(
            clean(&Moderator::new().unwrap(), text),
            (expected.to_owned(), count),
            "{text}"
        );
    }

    #[test]
    fn moderation_takes_out_what_does_not_belong() {
        check_clean("a fine lamp", "a fine lamp", 0);
        check_clean("write to me@example.org!!", "write to [address]!", 2);
        check_clean("see http://example.org/x now", "see [link] now", 1);
        check_clean("call +49 30 1234567", "call [number]", 1);
        check_clean("darned thing", "[…] thing", 1);
    }

    #[test]
    fn copy_of_an_older_review_is_found() {
        let (moderator, database) = (Moderator::new().unwrap(), Database::seeded().unwrap());
        let text = database
            .with(|c| c.query_row("SELECT text FROM review WHERE id = 9", (), |row| row.get(0)))
            .map_err(|error: rusqlite::Error| error)
            .unwrap();
        let verdict = moderate(&moderator, &database, &Review { product: 1, text }).unwrap();
        assert_eq!((verdict.nearest, verdict.similar_percent), (Some(9), 100));
    }
}

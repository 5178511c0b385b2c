//! The shop's data: made up, but the same on every start.

use rusqlite::Connection;
use serde_json::json;

/// How many products the catalogue holds.
pub const PRODUCT_COUNT: u64 = 4_000;
/// How many customers the shop has.
pub const CUSTOMER_COUNT: u64 = 40;
/// How many orders were placed before the shop started.
pub const ORDER_COUNT: u64 = 24_000;
/// How many reviews were written before the shop started.
pub const REVIEW_COUNT: u64 = 300;

/// Words that product names and reviews are made of; a search for one of them finds something.
pub const WORDS: [&str; 24] = [
    "copper", "oak", "linen", "lamp", "kettle", "chair", "folding", "garden", "travel", "quiet",
    "ceramic", "walnut", "wool", "blanket", "desk", "clock", "brass", "mirror", "shelf", "steel",
    "paper", "lantern", "basket", "stool",
];

const TABLES: &str = "
    CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT NOT NULL, cents INTEGER NOT NULL,
                          attributes TEXT NOT NULL);
    CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer INTEGER NOT NULL, month TEXT NOT NULL,
                           lines TEXT NOT NULL, note TEXT NOT NULL);
    CREATE INDEX purchase_by_customer ON purchase (customer);
    CREATE INDEX purchase_by_month ON purchase (month);
    CREATE TABLE review (id INTEGER PRIMARY KEY, product INTEGER NOT NULL, text TEXT NOT NULL);
";

/// A small pseudo-random generator (SplitMix64): data and traffic want variety, not secrecy.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// A generator whose rolls depend on `seed` alone.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number in `0..sides`; 0 when `sides` is 0.
    pub fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (mixed ^ (mixed >> 31)).checked_rem(sides).unwrap_or(0)
    }

    /// One of [`WORDS`].
    pub fn word(&mut self) -> &'static str {
        let sides = u64::try_from(WORDS.len()).unwrap_or(1);
        usize::try_from(self.roll(sides))
            .ok()
            .and_then(|at| WORDS.get(at))
            .unwrap_or(&WORDS[0])
    }

    /// Some words with a space between each two.
    pub fn words(&mut self, count: usize) -> String {
        (0..count)
            .map(|_| self.word())
            .collect::<Vec<_>>()
            .join(" ")
    }
}

/// Creates the tables and fills them, in one transaction.
///
/// # Errors
/// What SQLite says, if it cannot.
pub fn fill(connection: &mut Connection) -> rusqlite::Result<()> {
    let transaction = connection.transaction()?;
    transaction.execute_batch(TABLES)?;
    let mut dice = Dice::new(20);
    fill_products(&transaction, &mut dice)?;
    fill_purchases(&transaction, &mut dice)?;
    fill_reviews(&transaction, &mut dice)?;
    transaction.commit()
}

fn fill_products(connection: &Connection, dice: &mut Dice) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT INTO product VALUES (?1, ?2, ?3, ?4)")?;
    for id in 1..=PRODUCT_COUNT {
        let attributes = json!({
            "material": dice.word(),
            "grams": 100 + dice.roll(9_000),
            "colours": [dice.word(), dice.word(), dice.word()],
            "stock": { "north": dice.roll(50), "south": dice.roll(50) },
        });
        insert.execute((
            id,
            dice.words(3),
            300 + dice.roll(40_000),
            attributes.to_string(),
        ))?;
    }
    Ok(())
}

fn fill_purchases(connection: &Connection, dice: &mut Dice) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT INTO purchase VALUES (?1, ?2, ?3, ?4, ?5)")?;
    for id in 1..=ORDER_COUNT {
        let lines: Vec<_> = (0..=dice.roll(6))
            .map(|_| json!({ "product": 1 + dice.roll(PRODUCT_COUNT), "count": 1 + dice.roll(4) }))
            .collect();
        let month = format!("2026-{:02}", 1 + dice.roll(12));
        let note = format!(
            "{}, parcel FL-{:06}, thank you",
            dice.words(4),
            dice.roll(1_000_000)
        );
        let customer = 1 + dice.roll(CUSTOMER_COUNT);
        insert.execute((
            id,
            customer,
            month,
            serde_json::Value::from(lines).to_string(),
            note,
        ))?;
    }
    Ok(())
}

fn fill_reviews(connection: &Connection, dice: &mut Dice) -> rusqlite::Result<()> {
    let mut insert = connection.prepare("INSERT INTO review VALUES (?1, ?2, ?3)")?;
    for id in 1..=REVIEW_COUNT {
        insert.execute((id, 1 + dice.roll(PRODUCT_COUNT), dice.words(60)))?;
    }
    Ok(())
}

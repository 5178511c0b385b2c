//! Placing an order: JSON in, a risk query, a charge that awaits the bank, JSON out.

use serde::{Deserialize, Serialize};

use crate::bank::BankClient;
use crate::database::Database;
use crate::error::ShopError;

const LINE_COUNT_MAX: usize = 100;

/// What a customer wants to buy.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Basket {
    /// The customer's number.
    pub customer: u64,
    /// What is in it; at least one line, at most 100.
    pub lines: Vec<BasketLine>,
}

/// So many of one product.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct BasketLine {
    /// The product's number.
    pub product: u64,
    /// How many of it.
    pub count: u64,
}

/// What a customer gets for a basket.
#[derive(Clone, Debug, Serialize)]
pub struct Receipt {
    /// The new order's number.
    pub order: i64,
    /// What was charged, in cents.
    pub cents: u64,
    /// How unusual the order is for this customer, in per cent of their usual one.
    pub risk_percent: u64,
    /// The bank's word that it was charged.
    pub authorization: String,
}

/// Reads a basket, looks at the risk, charges the customer's bank and writes the order down.
///
/// # Errors
/// [`ShopError::BadRequest`] for a basket that is none, [`ShopError::NotFound`] for a product
/// that is not in the shop, [`ShopError::Bank`], [`ShopError::Database`].
pub async fn place(
    database: &Database,
    bank: &BankClient,
    body: &[u8],
) -> Result<Receipt, ShopError> {
    let (basket, cents, risk_percent) = tokio::task::block_in_place(|| {
        let basket = parse(body)?;
        let cents = total(database, &basket)?;
        let risk_percent = risk(database, basket.customer, cents)?;
        Ok::<_, ShopError>((basket, cents, risk_percent))
    })?;
    let authorization = charge(bank, &basket, cents).await?;
    let order = tokio::task::block_in_place(|| record(database, &basket))?;
    Ok(Receipt {
        order,
        cents,
        risk_percent,
        authorization,
    })
}

/// Reads a basket from JSON.
fn parse(body: &[u8]) -> Result<Basket, ShopError> {
    let basket: Basket = serde_json::from_slice(body)
        .map_err(|_error| ShopError::BadRequest("the body is not a basket"))?;
    if basket.lines.is_empty() || basket.lines.len() > LINE_COUNT_MAX {
        return Err(ShopError::BadRequest(
            "a basket has between 1 and 100 lines",
        ));
    }
    Ok(basket)
}

/// What the basket costs, in cents: from ten of a product on, one in ten is free.
fn total(database: &Database, basket: &Basket) -> Result<u64, ShopError> {
    database.with(|connection| {
        let mut select = connection.prepare_cached("SELECT cents FROM product WHERE id = ?1")?;
        basket.lines.iter().try_fold(0_u64, |sum, line| {
            let cents: u64 = select.query_row([line.product], |row| row.get(0)).map_err(
                |error| match error {
                    rusqlite::Error::QueryReturnedNoRows => ShopError::NotFound("product"),
                    other => ShopError::Database(other),
                },
            )?;
            let paid = line.count.saturating_sub(line.count / 10);
            Ok(sum.saturating_add(cents.saturating_mul(paid)))
        })
    })
}

/// How this sum compares with the customer's usual one, in per cent.
///
/// One aggregate over the JSON of everything they ever bought.
fn risk(database: &Database, customer: u64, cents: u64) -> Result<u64, ShopError> {
    let usual: Option<f64> = database.with(|connection| {
        connection
            .prepare_cached(
                "SELECT sum(product.cents * json_extract(line.value, '$.count'))
                        / count(DISTINCT purchase.id)
                 FROM purchase, json_each(purchase.lines) AS line
                 JOIN product ON product.id = json_extract(line.value, '$.product')
                 WHERE purchase.customer = ?1",
            )?
            .query_row([customer], |row| row.get(0))
    })?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a mean of prices is positive and far below 2^53"
    )]
    let usual = usual.map_or(0, |usual| usual as u64);
    Ok(cents.saturating_mul(100).checked_div(usual).unwrap_or(100))
}

/// Asks the bank for the money: the part of the request that no thread spends.
async fn charge(bank: &BankClient, basket: &Basket, cents: u64) -> Result<String, ShopError> {
    bank.charge(basket.customer, cents)
        .await
        .map_err(ShopError::Bank)
}

/// Writes the order down and answers its number.
fn record(database: &Database, basket: &Basket) -> Result<i64, ShopError> {
    let lines =
        serde_json::to_string(&basket.lines).map_err(|error| ShopError::Render(error.into()))?;
    database.with(|connection| {
        connection
            .prepare_cached(
                "INSERT INTO purchase (customer, month, lines, note) VALUES (?1, ?2, ?3, '')",
            )?
            .execute((basket.customer, "2026-12", lines))?;
        Ok(connection.last_insert_rowid())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn basket(json: &str) -> Result<Basket, ShopError> {
        parse(json.as_bytes())
    }

    #[test]
    fn basket_that_is_none_is_refused() {
        for json in [
            "",
            "{}",
            "[1]",
            r#"{"customer":1,"lines":[]}"#,
            r#"{"customer":-1,"lines":1}"#,
        ] {
            assert!(
                matches!(basket(json), Err(ShopError::BadRequest(_))),
                "{json}"
            );
        }
    }

    #[test]
    fn one_in_ten_is_free() {
        let database = Database::seeded().unwrap();
        let one = basket(r#"{"customer":1,"lines":[{"product":7,"count":1}]}"#).unwrap();
        let ten = basket(r#"{"customer":1,"lines":[{"product":7,"count":10}]}"#).unwrap();
        assert_eq!(
            total(&database, &ten).unwrap(),
            9 * total(&database, &one).unwrap()
        );
    }

    #[test]
    fn unknown_product_is_not_found() {
        let database = Database::seeded().unwrap();
        let basket = basket(r#"{"customer":1,"lines":[{"product":0,"count":1}]}"#).unwrap();
        assert!(matches!(
            total(&database, &basket),
            Err(ShopError::NotFound("product"))
        ));
    }

    #[test]
    fn usual_order_of_a_customer_sets_the_risk() {
        let database = Database::seeded().unwrap();
        let once = risk(&database, 3, 10_000).unwrap();
        assert!(once > 0 && risk(&database, 3, 1_000_000).unwrap() > 90 * once);
        assert_eq!(
            risk(&database, 0, 10_000).unwrap(),
            100,
            "a stranger has no usual order"
        );
    }
}

//! A customer's statement: what they bought, as a page made by a template.

use minijinja::Environment;
use minijinja::value::Serde;
use serde::{Deserialize, Serialize};

use crate::database::Database;
use crate::error::ShopError;

const PAGE: &str = include_str!("statement.html");

/// A line of an order, as the database keeps it.
#[derive(Clone, Copy, Debug, Deserialize)]
struct StoredLine {
    product: u64,
    count: u64,
}

/// What a statement needs of a product's attributes.
#[derive(Debug, Deserialize)]
struct Attributes {
    material: String,
}

/// A line of an order, as a reader wants it.
#[derive(Clone, Debug, Serialize)]
pub struct Line {
    /// The product's name.
    pub name: String,
    /// What it is made of.
    pub material: String,
    /// How many were bought.
    pub count: u64,
    /// The price of all of them, in cents.
    pub cents: u64,
}

/// An order with its lines.
#[derive(Clone, Debug, Serialize)]
pub struct Order {
    /// Its number.
    pub id: u64,
    /// The month it was placed in, `YYYY-MM`.
    pub month: String,
    /// What the customer wrote beside it.
    pub note: String,
    /// What was bought.
    pub lines: Vec<Line>,
    /// The sum of the lines, in cents.
    pub cents: u64,
}

/// Renders pages from templates that were parsed once.
#[derive(Debug)]
pub struct Pages {
    environment: Environment<'static>,
}

impl Pages {
    /// Parses the templates.
    ///
    /// # Errors
    /// A template that is not one.
    pub fn new() -> Result<Self, minijinja::Error> {
        let mut environment = Environment::new();
        environment.add_filter("money", money);
        environment.add_template("statement.html", PAGE)?;
        Ok(Self { environment })
    }

    /// The statement as HTML, every text escaped.
    ///
    /// # Errors
    /// [`ShopError::Render`].
    pub fn statement(&self, id: u64, orders: &[Order]) -> Result<String, ShopError> {
        let render = || {
            let page = self.environment.get_template("statement.html")?;
            page.render(minijinja::context! { id, orders => Serde(orders) })
        };
        render().map_err(|error: minijinja::Error| ShopError::Render(error.into()))
    }
}

/// Everything the customer of order `id` has bought, newest month first.
///
/// # Errors
/// [`ShopError::NotFound`] when there is no such order, [`ShopError::Database`].
pub fn statement(database: &Database, id: u64) -> Result<Vec<Order>, ShopError> {
    database.with(|connection| {
        let mut select = connection.prepare_cached(
            "SELECT id, month, note, lines FROM purchase
             WHERE customer = (SELECT customer FROM purchase WHERE id = ?1)
             ORDER BY month DESC, id DESC",
        )?;
        let mut rows = select.query([id])?;
        let mut orders = Vec::new();
        while let Some(row) = rows.next()? {
            let stored: Vec<StoredLine> =
                serde_json::from_str(row.get_ref(3)?.as_str().unwrap_or("[]"))
                    .map_err(|error| ShopError::Render(error.into()))?;
            let lines = price(connection, &stored)?;
            let cents = lines.iter().map(|line| line.cents).sum();
            orders.push(Order {
                id: row.get(0)?,
                month: row.get(1)?,
                note: row.get(2)?,
                lines,
                cents,
            });
        }
        if orders.is_empty() {
            Err(ShopError::NotFound("order"))
        } else {
            Ok(orders)
        }
    })
}

/// Looks each line's product up: one query for each, as an object mapper would.
fn price(connection: &rusqlite::Connection, stored: &[StoredLine]) -> Result<Vec<Line>, ShopError> {
    let mut select =
        connection.prepare_cached("SELECT name, cents, attributes FROM product WHERE id = ?1")?;
    let mut priced = Vec::with_capacity(stored.len());
    for line in stored {
        let (name, cents, attributes) = select.query_row([line.product], |row| {
            Ok((row.get(0)?, row.get::<_, u64>(1)?, row.get::<_, String>(2)?))
        })?;
        let Attributes { material } =
            serde_json::from_str(&attributes).map_err(|error| ShopError::Render(error.into()))?;
        priced.push(Line {
            name,
            material,
            count: line.count,
            cents: cents * line.count,
        });
    }
    Ok(priced)
}

fn money(cents: u64) -> String {
    format!("{}.{:02}", cents / 100, cents % 100)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statement_holds_the_order_and_its_sum() {
        let database = Database::seeded().unwrap();
        let orders = statement(&database, 42).unwrap();
        let order = orders.iter().find(|order| order.id == 42).unwrap();
        assert_eq!(
            order.cents,
            order.lines.iter().map(|line| line.cents).sum::<u64>()
        );
        let page = Pages::new().unwrap().statement(42, &orders).unwrap();
        assert!(page.contains(&money(order.cents)), "{page}");
    }

    #[test]
    fn text_of_a_customer_is_escaped() {
        let order = Order {
            id: 1,
            month: "2026-01".into(),
            note: "<script>".into(),
            lines: Vec::new(),
            cents: 0,
        };
        let page = Pages::new().unwrap().statement(1, &[order]).unwrap();
        assert!(
            page.contains("&lt;script&gt;") && !page.contains("<script>"),
            "{page}"
        );
    }

    #[test]
    fn unknown_order_is_not_found() {
        let database = Database::seeded().unwrap();
        assert!(matches!(
            statement(&database, 0),
            Err(ShopError::NotFound("order"))
        ));
    }
}

//! The shop's entry points: what HTTP says of them, and nothing else.
//!
//! Work that keeps a thread busy runs in [`tokio::task::block_in_place`]: the other requests of
//! that thread move on, and the work stays on the thread, hence in the request's profile.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::{Path, Query, State};
use axum::http::header;
use axum::response::{Html, IntoResponse};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use tokio::task::block_in_place;

use crate::accounts::{self, Accounts, Credentials};
use crate::bank::BankClient;
use crate::catalogue::{self, Product};
use crate::checkout::{self, Receipt};
use crate::database::Database;
use crate::error::ShopError;
use crate::exports;
use crate::orders::{self, Pages};
use crate::reviews::{self, Moderator, Review, Verdict};

/// What the entry points share.
#[derive(Debug)]
pub struct Shop {
    accounts: Accounts,
    bank: BankClient,
    database: Database,
    moderator: Moderator,
    pages: Pages,
}

impl Shop {
    /// Fills the database and compiles what is compiled once; takes some tenths of a second.
    ///
    /// # Errors
    /// Something of that failed, which would be a mistake in this program.
    pub fn new(bank: BankClient) -> anyhow::Result<Self> {
        Ok(Self {
            accounts: Accounts::seeded().map_err(|error| anyhow::anyhow!("argon2: {error}"))?,
            bank,
            database: Database::seeded()?,
            moderator: Moderator::new()?,
            pages: Pages::new()?,
        })
    }
}

/// The shop's routes; needs a runtime of more than one thread.
pub fn router(shop: Shop) -> Router {
    Router::new()
        .route("/", get(front))
        .route("/products", get(products))
        .route("/orders/{id}", get(order))
        .route("/checkout", post(check_out))
        .route("/login", post(log_in))
        .route("/exports/{month}", get(export))
        .route("/reviews", post(review))
        .with_state(Arc::new(shop))
}

async fn front() -> &'static str {
    "GET /products?q=walnut+lamp\nGET /orders/42\nGET /exports/2026-03\n\
     POST /checkout\nPOST /login\nPOST /reviews\n"
}

#[derive(Debug, Deserialize)]
struct SearchQuery {
    #[serde(default)]
    q: String,
}

async fn products(
    State(shop): State<Arc<Shop>>,
    Query(query): Query<SearchQuery>,
) -> Result<Json<Vec<Product>>, ShopError> {
    block_in_place(|| catalogue::search(&shop.database, &query.q).map(Json))
}

async fn order(
    State(shop): State<Arc<Shop>>,
    Path(id): Path<u64>,
) -> Result<Html<String>, ShopError> {
    block_in_place(|| {
        let orders = orders::statement(&shop.database, id)?;
        shop.pages.statement(id, &orders).map(Html)
    })
}

async fn check_out(State(shop): State<Arc<Shop>>, body: Bytes) -> Result<Json<Receipt>, ShopError> {
    checkout::place(&shop.database, &shop.bank, &body)
        .await
        .map(Json)
}

async fn log_in(
    State(shop): State<Arc<Shop>>,
    Json(typed): Json<Credentials>,
) -> Result<String, ShopError> {
    block_in_place(|| {
        Ok(format!(
            "welcome, {}\n",
            accounts::log_in(&shop.accounts, &typed)?
        ))
    })
}

async fn export(
    State(shop): State<Arc<Shop>>,
    Path(month): Path<String>,
) -> Result<impl IntoResponse, ShopError> {
    let packed = block_in_place(|| exports::month(&shop.database, &month))?;
    Ok(([(header::CONTENT_TYPE, "application/gzip")], packed))
}

async fn review(
    State(shop): State<Arc<Shop>>,
    Json(review): Json<Review>,
) -> Result<Json<Verdict>, ShopError> {
    block_in_place(|| reviews::moderate(&shop.moderator, &shop.database, &review).map(Json))
}

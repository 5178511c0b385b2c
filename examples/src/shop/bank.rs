//! The bank that the shop charges: another service, slow as banks are, and the client for it.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use axum::Json;
use axum::Router;
use axum::http::Uri;
use axum::routing::post;
use serde::{Deserialize, Serialize};

use crate::http_client::HttpClient;

#[derive(Debug, Deserialize, Serialize)]
struct Charge {
    customer: u64,
    cents: u64,
}

#[derive(Debug, Deserialize, Serialize)]
struct Authorization {
    code: String,
}

/// The bank's side: `POST /charge`, answered after 20 to 50 ms.
pub fn router() -> Router {
    Router::new().route("/charge", post(authorize))
}

async fn authorize(Json(charge): Json<Charge>) -> Json<Authorization> {
    // Stands for the bank's own work, which happens on machines that we do not profile.
    tokio::time::sleep(Duration::from_millis(20 + charge.cents % 30)).await;
    let code = format!(
        "{:08x}",
        charge.customer.wrapping_mul(0x9E37_79B9) ^ charge.cents
    );
    Json(Authorization { code })
}

/// The shop's side.
#[derive(Clone, Debug)]
pub struct BankClient {
    http: HttpClient,
    charge: Uri,
}

impl BankClient {
    /// A client of the bank at `address`, without connecting yet.
    ///
    /// # Errors
    /// An address that makes no URL.
    pub fn new(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        let charge = format!("http://{address}/charge")
            .parse()
            .context("the bank's address")?;
        Ok(Self {
            http: HttpClient::new(),
            charge,
        })
    }

    /// Charges so many cents and answers the bank's authorization code.
    ///
    /// # Errors
    /// The bank cannot be reached in time, refuses, or answers nonsense.
    pub async fn charge(&self, customer: u64, cents: u64) -> anyhow::Result<String> {
        let body = serde_json::to_vec(&Charge { customer, cents })?;
        let answer = self.http.post_json(self.charge.clone(), body).await?;
        ensure!(answer.status.is_success(), "it answered {}", answer.status);
        let authorization: Authorization = serde_json::from_slice(&answer.body)?;
        Ok(authorization.code)
    }
}

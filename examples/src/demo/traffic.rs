//! The shop's customers: a few connections, with a pause after every request.

use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, Method, Request, header};
use http_body_util::Full;
use serde_json::json;
use shop::http_client::{Answer, HttpClient};
use shop::seed::{CUSTOMER_COUNT, Dice, ORDER_COUNT, PRODUCT_COUNT};
use tokio::task::JoinSet;

/// How many customers there are at a time.
pub(crate) const CONNECTION_COUNT: u64 = 4;
/// The shortest pause of a customer; the longest is three times as long. Together with the
/// shop's work this keeps about a third of one core busy.
const PAUSE_MS: u64 = 60;

/// One request of a customer.
#[derive(Clone, Debug)]
pub(crate) struct Visit {
    method: Method,
    path: String,
    body: String,
}

impl Visit {
    /// Some request, each entry point about as often as the others.
    fn any(dice: &mut Dice) -> Self {
        let name = if dice.roll(2) == 0 {
            ("ada", "ada")
        } else {
            ("grace", "ecarg")
        };
        match dice.roll(6) {
            0 => Self::get(format!("/products?q={}+{}", dice.word(), dice.word())),
            1 => Self::get(format!("/orders/{}", 1 + dice.roll(ORDER_COUNT))),
            2 => Self::get(format!("/exports/2026-{:02}", 1 + dice.roll(12))),
            3 => Self::post("/login", &json!({ "name": name.0, "password": name.1 })),
            4 => Self::checkout(dice),
            _ => {
                let text = format!("{} !!! mail me@example.org", dice.words(200));
                Self::post(
                    "/reviews",
                    &json!({ "product": dice.roll(PRODUCT_COUNT), "text": text }),
                )
            }
        }
    }

    /// A checkout: the request that also waits for somebody else.
    pub(crate) fn checkout(dice: &mut Dice) -> Self {
        let lines: Vec<_> = (0..4)
            .map(|_| json!({ "product": 1 + dice.roll(PRODUCT_COUNT), "count": 1 + dice.roll(12) }))
            .collect();
        let customer = 1 + dice.roll(CUSTOMER_COUNT);
        Self::post(
            "/checkout",
            &json!({ "customer": customer, "lines": lines }),
        )
    }

    fn get(path: String) -> Self {
        Self {
            method: Method::GET,
            path,
            body: String::new(),
        }
    }

    fn post(path: &str, body: &serde_json::Value) -> Self {
        Self {
            method: Method::POST,
            path: path.to_owned(),
            body: body.to_string(),
        }
    }

    /// Sends it to the shop, with the toggle in its head if it is to be profiled.
    pub(crate) async fn send(
        self,
        http: &HttpClient,
        shop: SocketAddr,
        profiled: bool,
    ) -> anyhow::Result<Answer> {
        let mut request = Request::builder()
            .method(self.method)
            .uri(format!("http://{shop}{}", self.path))
            .header(header::CONTENT_TYPE, "application/json")
            .body(Full::from(self.body))?;
        if profiled {
            let toggle = HeaderName::from_static("x-flashlamp");
            request
                .headers_mut()
                .insert(toggle, HeaderValue::from_static("profile"));
        }
        http.send(request).await
    }
}

/// Starts the customers; they end when the set is dropped.
pub(crate) fn start(shop: SocketAddr) -> JoinSet<()> {
    (0..CONNECTION_COUNT)
        .map(|number| customer(shop, Dice::new(number)))
        .collect()
}

async fn customer(shop: SocketAddr, mut dice: Dice) {
    let http = HttpClient::new();
    loop {
        // A shop that is gone is seen by whoever waits for its process.
        let _answer = Visit::any(&mut dice).send(&http, shop, false).await;
        let pause = PAUSE_MS + dice.roll(2 * PAUSE_MS);
        tokio::time::sleep(Duration::from_millis(pause)).await;
    }
}

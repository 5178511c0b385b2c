//! The links, each printed when it has been fetched and shows what it promises.

use std::net::SocketAddr;
use std::time::Duration;

use shop::http_client::HttpClient;
use shop::seed::Dice;

use crate::console;
use crate::traffic::Visit;

/// How often something that is not yet true is tried again.
const RETRY: Duration = Duration::from_millis(250);

/// How the shop's functions begin; a flame graph without one of them is not yet worth a link.
const OWN_FUNCTIONS: &str = "shop::";

const INDEX: &str = "the index";
const REQUEST: &str = "one request's flame graph";
const DAY: &str = "the day's flame graph";
const TOGGLE: &str = "profile a request yourself";

/// The links of a collector and a shop, and which of them were shown.
#[derive(Debug)]
pub(crate) struct Links {
    collector: SocketAddr,
    shop: SocketAddr,
    http: HttpClient,
    missing: Vec<&'static str>,
}

impl Links {
    /// Nothing was shown yet.
    pub(crate) fn new(collector: SocketAddr, shop: SocketAddr) -> Self {
        let missing = vec![INDEX, REQUEST, DAY, TOGGLE];
        Self {
            collector,
            shop,
            http: HttpClient::new(),
            missing,
        }
    }

    /// What [`Links::show`] did not come to.
    pub(crate) fn missing(&self) -> &[&'static str] {
        &self.missing
    }

    /// Prints each link as soon as it is true; ends when all are.
    pub(crate) async fn show(&mut self) {
        let index = format!("http://{}/", self.collector);
        until(async || self.answers(&index, "").await.then_some(())).await;
        self.ready(INDEX, &index);

        let mut dice = Dice::new(1);
        let request = until(async || self.profiled_request(&mut dice).await).await;
        self.ready(REQUEST, &request);
        let toggle = "curl -s -o /dev/null -D - -H 'X-Flashlamp: profile'";
        self.ready(TOGGLE, &format!("{toggle} http://{}/orders/42", self.shop));

        let day = until(async || {
            let day = format!("http://{}/day/{}/shop", self.collector, today());
            self.answers(&day, OWN_FUNCTIONS).await.then_some(day)
        });
        let day = day.await;
        self.ready(DAY, &day);
    }

    fn ready(&mut self, label: &'static str, link: &str) {
        console::ready(label, link);
        self.missing.retain(|missing| *missing != label);
    }

    /// Has a checkout profiled and answers the link to its flame graph, if that is there within
    /// a second.
    async fn profiled_request(&self, dice: &mut Dice) -> Option<String> {
        let answer = Visit::checkout(dice)
            .send(&self.http, self.shop, true)
            .await
            .ok()?;
        let link = answer
            .headers
            .get("x-flashlamp-profile")?
            .to_str()
            .ok()?
            .to_owned();
        for _attempt in 0..4 {
            if self.answers(&link, OWN_FUNCTIONS).await {
                return Some(link);
            }
            tokio::time::sleep(RETRY).await;
        }
        None
    }

    /// Whether `link` answers with a page that holds `text`.
    async fn answers(&self, link: &str, text: &str) -> bool {
        let Ok(uri) = link.parse() else { return false };
        let Ok(answer) = self.http.fetch(uri).await else {
            return false;
        };
        answer.status.is_success() && String::from_utf8_lossy(&answer.body).contains(text)
    }
}

/// The day, which is UTC everywhere in Flashlamp, as `YYYY-MM-DD`.
fn today() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%d").to_string()
}

/// Tries until there is something.
async fn until<T>(mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = attempt().await {
            return found;
        }
        tokio::time::sleep(RETRY).await;
    }
}

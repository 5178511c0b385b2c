//! The index says what there is, and says it where it leaves something out.
#![cfg(test)]

mod fixture;

use fixture::Server;
use flashlamp_collector::store::Batch;
use flashlamp_collector::store::keys::{self, Series, TENANT};
use flashlamp_collector::time::Day;
use serde_json::{Value, json};

/// Says in the catalogue that these services, types and entry points have samples on a day.
fn put(server: &Server, day: &str, rows: impl Iterator<Item = [String; 3]>) {
    let day = Day::parse(day).unwrap();
    let rows: Vec<_> = rows.collect();
    for some in rows.chunks(5_000) {
        let mut batch = Batch::new();
        for [service, types, entry] in some.iter().cloned() {
            let series = Series {
                tenant: TENANT.to_owned(),
                service,
                types,
            };
            batch.put(keys::catalogue(&series, day, &entry), vec![1]);
        }
        server.store.write(batch).unwrap().wait().unwrap();
    }
}

fn row(service: &str, entry: &str) -> [String; 3] {
    [service, "cpu\u{1F}nanoseconds", entry].map(str::to_owned)
}

fn names(answer: &Value) -> Vec<&str> {
    let services = answer["services"].as_array().unwrap();
    services
        .iter()
        .map(|service| service["service"].as_str().unwrap())
        .collect()
}

#[test]
fn entry_points_beyond_those_that_are_listed_are_counted() {
    let server = Server::start();
    let entries = (0..250).map(|number| row("a", &format!("/{number:03}")));
    put(&server, "2026-11-22", entries.chain([row("a", "(none)")]));
    let answer = server.get("/api/v1/services").json();
    assert_eq!(answer["complete"], true);
    let service = &answer["services"][0];
    let entries = service["entries"].as_array().unwrap();
    assert_eq!((entries.len(), &service["entries_more"]), (200, &json!(51)));
    assert_eq!(
        (&entries[0], &entries[199]),
        (&json!("/000"), &json!("(none)"))
    );
    let page = server.get("/").text();
    assert!(page.contains("Entry points not listed: 51") && !page.contains("more than can be"));
}

#[test]
fn very_many_entry_points_of_a_service_hide_no_other_service() {
    let server = Server::start();
    let entries = (0..25_000).map(|number| row("a", &format!("/{number}")));
    put(&server, "2026-11-22", entries);
    put(
        &server,
        "2026-11-22",
        ["b", "z"].map(|name| row(name, "/x")).into_iter(),
    );
    put(
        &server,
        "2026-11-21",
        ["y", "z"].map(|name| row(name, "/y")).into_iter(),
    );
    let answer = server.get("/api/v1/services").json();
    assert_eq!(names(&answer), ["a", "b", "y", "z"]);
    assert_eq!(answer["complete"], false);
    let (first, last) = (&answer["services"][0], &answer["services"][3]);
    assert_eq!(first["entries"].as_array().unwrap().len(), 200);
    assert_eq!(first["entries_more"], 4_800, "of a fourth of the rows");
    let expected = json!({"service": "z", "days": ["2026-11-22", "2026-11-21"],
        "entries": ["/x"], "entries_more": 0, "clocks": ["cpu"]});
    assert_eq!(last, &expected);
    let page = server.get("/").text();
    assert!(page.contains("more than can be listed here"));
    for link in ["22/a", "22/b", "21/y", "22/z", "21/z"] {
        assert!(page.contains(&format!("\"/day/2026-11-{link}\"")), "{link}");
    }
}

#[test]
fn very_many_types_of_a_service_hide_no_other_service() {
    let server = Server::start();
    let types = (0..25_000).map(|number| {
        let types = format!("t{number}\u{1F}count");
        ["a".to_owned(), types, "/x".to_owned()]
    });
    put(&server, "2026-11-22", types.chain([row("b", "/x")]));
    put(
        &server,
        "2026-11-21",
        [row("a", "/x"), row("c", "/x")].into_iter(),
    );
    let answer = server.get("/api/v1/services").json();
    assert_eq!(names(&answer), ["a", "b", "c"]);
    assert_eq!(answer["complete"], false);
    let first = &answer["services"][0];
    assert_eq!(first["clocks"].as_array().unwrap().len(), 16);
    assert_eq!(first["days"], json!(["2026-11-22", "2026-11-21"]));
}

#[test]
fn services_beyond_the_bound_are_said_to_be_missing_and_the_page_stays_small() {
    let server = Server::start();
    let services = (0..1_100).flat_map(|number| {
        let name = format!("{number:04}{}", "ü".repeat(125));
        (0..30).map(move |entry| row(&name, &format!("{entry:02}{}", "\"".repeat(253))))
    });
    put(&server, "2026-11-22", services);
    let answer = server.get("/api/v1/services").json();
    assert_eq!(
        (names(&answer).len(), &answer["complete"]),
        (1_000, &json!(false))
    );
    let listed = |service: &Value| service["entries"].as_array().unwrap().len();
    let services = answer["services"].as_array().unwrap();
    assert!(services.iter().all(|service| listed(service) == 5));
    let page = server.get("/");
    assert!(page.body.len() < 5 << 20, "{} bytes", page.body.len());
    let text = page.text();
    assert!(text.contains("Services not listed: ") && text.contains("more than can be listed"));
}

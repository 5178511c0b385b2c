use flashlamp_profile::{
    EventCount, FrameKind, FrameSpec, LabelSetId, Limits, NewSample, Period, ProfileBuilder,
    ValueType, decode, losses, markers,
};
use html5gum::{StartTag, Token, Tokenizer};
use proptest::prelude::*;

use super::*;

const ID: &str = "0af7651916cd43dd8448eb211c80319c";

/// A request: `names` as one stack, half of the time on no thread, two samples lost.
fn request(names: &[String]) -> Profile {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::WALL]);
    builder.start(Timestamp::from_secs(1_795_342_530));
    builder.duration(Nanos::from_millis(21));
    builder.period(Period::from_nanos(1_000_000).unwrap());
    let frames: Vec<_> = names
        .iter()
        .map(|name| builder.frame(&FrameSpec::new(name).file(name)))
        .collect();
    let running = builder.stack_root_first(frames);
    let marker = FrameSpec::new(markers::NOT_ON_A_THREAD).kind(FrameKind::Marker);
    let marker = builder.frame(&marker);
    let waiting = Some(builder.stack(None, marker));
    for (stack, event_count, at) in [
        (running, EventCount::ONE, 0),
        (waiting, EventCount::ZERO, 10),
    ] {
        builder.sample(NewSample {
            stack,
            event_count,
            values: &[10_000_000],
            time: Some(Nanos::from_millis(at)),
            thread: None,
            labels: LabelSetId::EMPTY,
        });
    }
    builder.loss(
        losses::RING_FULL,
        Tally {
            samples: 2,
            events: 5,
        },
    );
    builder.build().unwrap()
}

fn plain_request() -> Profile {
    request(&["main".into(), "shop::checkout".into()])
}

fn profile_page(profile: &Profile) -> ProfilePage<'_> {
    ProfilePage {
        id: ID,
        name: "POST /checkout",
        service: "shop",
        entry: Some("/checkout"),
        clock: "wall",
        profile,
        downloads: &[Download {
            label: "folded",
            href: "/api/v1/profiles/1?format=folded",
        }],
    }
}

fn aggregate_page(profile: &Profile) -> AggregatePage<'_> {
    AggregatePage {
        service: "shop",
        bucket: Bucket::Day("2026-11-22"),
        previous: Some("2026-11-21"),
        next: None,
        hours: &["2026-11-22T09", "2026-11-22T10"],
        entries: &[Entry {
            name: "GET /a b",
            share: Some(0.75),
        }],
        entry: None,
        clocks: &["cpu", "wall"],
        clock: "cpu",
        direction: Direction::Forward,
        profile,
        downloads: &[],
    }
}

/// The document's tags, after checking that it has none that our pages do not use, no handler but
/// the graph's, and no address of another host.
fn tags(html: &str) -> Vec<StartTag<()>> {
    let known = "html head meta title link script body header main footer nav section div span p \
        h1 h2 a b small bdi code pre ul li dl dt dd time table thead tbody tr th td img iframe \
        figure figcaption form input output button svg g rect text defs lineargradient stop style";
    let mut tags = Vec::new();
    for token in Tokenizer::new(html).flatten() {
        let Token::StartTag(tag) = token else {
            continue;
        };
        let name = String::from_utf8_lossy(&tag.name).into_owned();
        assert!(
            known.split_whitespace().any(|known| known == name),
            "<{name}>"
        );
        for (key, value) in &tag.attributes {
            let (key, value) = (String::from_utf8_lossy(key), String::from_utf8_lossy(value));
            assert!(
                !key.starts_with("on") || value == crate::svg::ONLOAD,
                "{key}={value}"
            );
            assert!(key != "style", "inline style: {value}");
            let is_address = key == "href" || key == "src";
            assert!(
                !is_address || value.starts_with('/') && !value.starts_with("//"),
                "{value}"
            );
        }
        tags.push(tag);
    }
    tags
}

fn addresses(html: &str) -> Vec<String> {
    let href = |tag: &StartTag<()>| {
        let of = |key: &[u8]| {
            tag.attributes
                .get(key)
                .map(|value| String::from_utf8_lossy(value).into_owned())
        };
        of(b"href").or_else(|| of(b"src"))
    };
    tags(html).iter().filter_map(href).collect()
}

#[test]
fn a_request_page_shows_its_facts_and_its_graph() {
    let profile = plain_request();
    let html = profile::render(&profile_page(&profile), true).unwrap();
    for expected in [
        "<bdi>POST /checkout</bdi>",
        "2026-11-22 10:15:30.000 UTC",
        "21.00 ms",
        "1 ms",
        "not on a thread: <b>10.00 ms</b>",
        "shop::checkout (10.00 ms, 50.00%)",
        "href=\"/api/v1/profiles/1?format=folded\"",
        "role=\"img\" aria-label=\"Flame graph of this request\"",
    ] {
        assert!(html.contains(expected), "{expected} is missing in {html}");
    }
    let iframe = format!(
        "/speedscope/index.html#profileURL=%2Ffetch%2F{ID}&title=POST%20%2Fcheckout&view=time-ordered"
    );
    assert!(addresses(&html).contains(&iframe));
}

#[test]
fn without_speedscope_a_request_page_says_so_and_shows_the_rest() {
    let profile = plain_request();
    let html = profile::render(&profile_page(&profile), false).unwrap();
    assert!(!html.contains("<iframe"));
    assert!(html.contains("built without speedscope"));
    assert!(html.contains("shop::checkout (10.00 ms, 50.00%)"));
    assert!(addresses(&html).contains(&format!("/fetch/{ID}")));
}

#[test]
fn page_says_which_names_are_missing_and_what_to_do() {
    let folded = b"main;{async_fn#0};work 6\nmain;idle 2\n";
    let profile = decode::folded(folded, &Limits::default()).unwrap();
    let html = summary::counts(&profile).into_string();
    let note = "<p class=\"note\"><b>6</b> samples: async functions without their names: build \
                with debug = 1, not line-tables-only</p>";
    assert!(html.contains(note), "{html}");
    assert!(
        !summary::counts(&plain_request())
            .into_string()
            .contains("class=\"note\"")
    );
}

#[test]
fn every_sample_is_accounted_for() {
    let html = summary::counts(&plain_request())
        .into_string()
        .replace("><", ">\n<");
    insta::assert_snapshot!(html, @r#"
    <section class="counts" aria-label="Samples" data-taken="3" data-stored="1" data-lost="2" data-truncated="0" data-taken-events="6" data-stored-events="1" data-lost-events="5">
    <p class="equation">
    <span class="term">
    <b>3</b> taken</span> = <span class="term">
    <b>1</b> stored</span> + <span class="losses">
    <span class="term">
    <b>2</b> lost</span>
    </span>
    </p>
    <ul class="reasons">
    <li data-reason="ring_full" title="The sampled thread's buffer was full when the timer fired.">
    <bdi>ring full</bdi> <b>2</b>
    </li>
    </ul>
    <p class="periods">in periods: 6 = 1 + 5</p>
    </section>
    "#);
}

#[test]
fn a_request_without_samples_is_a_page() {
    let profile = ProfileBuilder::new().build().unwrap();
    let html = profile::render(&profile_page(&profile), true).unwrap();
    tags(&html);
    assert!(
        html.contains("No samples") && !html.contains("<iframe"),
        "{html}"
    );
}

#[test]
fn a_day_page_leads_to_its_neighbours_hours_entries_clocks_and_directions() {
    let profile = plain_request();
    let html = aggregate(&aggregate_page(&profile)).unwrap();
    let addresses = addresses(&html);
    for expected in [
        "/day/2026-11-21/shop?clock=cpu",
        "/hour/2026-11-22T10/shop?clock=cpu",
        "/day/2026-11-22/shop?entry=GET%20%2Fa%20b&clock=cpu",
        "/day/2026-11-22/shop?clock=wall",
        "/day/2026-11-22/shop?clock=cpu&direction=reversed",
    ] {
        assert!(
            addresses.contains(&expected.to_owned()),
            "{expected} is not in {addresses:?}"
        );
    }
    assert!(!html.contains("2026-11-23"));
    assert!(
        html.contains("shop::checkout (10 ms, 50.00%)"),
        "by the clock, not by events"
    );
}

#[test]
fn an_hour_page_leads_to_its_day_and_keeps_the_choice() {
    let profile = plain_request();
    let page = AggregatePage {
        bucket: Bucket::Hour("2026-11-22T10"),
        previous: Some("2026-11-22T09"),
        next: Some("2026-11-22T11"),
        entry: Some("GET /a b"),
        direction: Direction::Reversed,
        ..aggregate_page(&profile)
    };
    let html = aggregate(&page).unwrap();
    let addresses = addresses(&html);
    let query = "?entry=GET%20%2Fa%20b&clock=cpu&direction=reversed";
    for path in [
        "/day/2026-11-22/shop",
        "/hour/2026-11-22T09/shop",
        "/hour/2026-11-22T11/shop",
    ] {
        assert!(
            addresses.contains(&format!("{path}{query}")),
            "{path} is not in {addresses:?}"
        );
    }
    assert!(html.contains("2026-11-22 10:00–10:59"));
}

#[test]
fn a_day_without_samples_is_a_page_that_leads_on() {
    let profile = ProfileBuilder::new().build().unwrap();
    let html = aggregate(&aggregate_page(&profile)).unwrap();
    assert!(html.contains("No samples on this day"), "{html}");
    assert!(addresses(&html).contains(&"/day/2026-11-21/shop?clock=cpu".to_owned()));
}

#[test]
fn the_index_leads_to_everything_and_says_what_to_do_when_empty() {
    let html = index(&IndexPage::default());
    tags(&html);
    assert!(html.contains("curl -i -H 'X-Flashlamp: profile'"));
    assert!(html.contains("flashlamp::Agent::builder()"));
    let row = RequestRow {
        id: ID,
        name: "GET /",
        service: "shop",
        start: None,
        duration: Some(Nanos::from_millis(3)),
        stored: Tally {
            samples: 3,
            events: 3,
        },
        lost: Tally::default(),
    };
    let entries = [Entry {
        name: "/a",
        share: Some(f64::NAN),
    }];
    let service = Service {
        name: "shop",
        entries: &entries,
        entries_more: 1_234,
        days: &["2026-11-22", "2026-11-21"],
    };
    let page = IndexPage {
        services: &[service],
        services_more: 5_678,
        is_cut: true,
        latest: &[row],
    };
    let html = index(&page);
    for expected in [
        "Entry points not listed: 1,234",
        "Services not listed: 5,678",
        "more than can be",
    ] {
        assert!(html.contains(expected), "{expected} is not in {html}");
    }
    let whole = Service {
        entries_more: 0,
        ..service
    };
    let all = index(&IndexPage {
        services: &[whole],
        services_more: 0,
        is_cut: false,
        ..page
    });
    assert!(
        !all.contains("not listed") && !all.contains("more than"),
        "{all}"
    );
    let addresses = addresses(&html);
    for expected in [
        format!("/profile/{ID}"),
        "/day/2026-11-22/shop".to_owned(),
        "/day/2026-11-21/shop".to_owned(),
        "/day/2026-11-22/shop?entry=%2Fa".to_owned(),
    ] {
        assert!(
            addresses.contains(&expected),
            "{expected} is not in {addresses:?}"
        );
    }
}

/// What a page takes at most, whatever it is of.
const PAGE_BYTES_MAX: usize = 5_000_000;

/// A text of 255 bytes, of which each takes as many as it can in an address.
fn long_name(index: u64) -> String {
    format!("{index:05}{}", "\"".repeat(250))
}

#[test]
fn a_page_of_hostile_names_entries_and_reasons_stays_in_bounds() {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::CPU]);
    let name = "\u{202e}\"".repeat(8_000);
    for index in 0..2_000 {
        let name = format!("{index}{name}");
        let frame = builder.frame(&FrameSpec::new(&name).file(&name));
        let stack = Some(builder.stack(None, frame));
        builder.sample(NewSample {
            stack,
            event_count: EventCount::ONE,
            values: &[1_000],
            time: None,
            thread: None,
            labels: LabelSetId::EMPTY,
        });
    }
    for index in 0..1_000 {
        let tally = Tally {
            samples: 1 + index,
            events: 1 + index,
        };
        builder.loss(&long_name(index), tally);
    }
    let profile = builder.build().unwrap();
    let names: Vec<String> = (0..1_000).map(long_name).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let entries: Vec<Entry<'_>> = names
        .iter()
        .map(|name| Entry {
            name,
            share: Some(0.001),
        })
        .collect();
    let page = AggregatePage {
        service: names[0],
        entries: &entries,
        entry: Some(names[999]),
        clocks: &names,
        clock: names[998],
        ..aggregate_page(&profile)
    };
    let html = aggregate(&page).unwrap();
    assert!(html.len() < PAGE_BYTES_MAX, "{}", html.len());
    assert!(html.contains("and 899 smaller"), "entries");
    assert!(html.contains("980 smaller reasons"), "losses");
    assert_eq!(
        html.matches(r#"aria-current="page""#).count(),
        3,
        "what is chosen is there"
    );
    assert!(html.contains("lighter functions not listed"), "functions");
    let table = html.split("<section class=\"functions\">").nth(1).unwrap();
    assert!(table.len() < 800 << 10, "{}", table.len());

    let request = ProfilePage {
        name: &name,
        entry: Some(&name),
        service: &name,
        ..profile_page(&profile)
    };
    let html = super::profile(&request).unwrap();
    assert!(html.len() < PAGE_BYTES_MAX, "{}", html.len());
}

#[test]
fn a_huge_profile_gives_a_page_of_bounded_size() {
    use std::fmt::Write as _;
    let mut text = String::new();
    for index in 0..10_000_u32 {
        writeln!(text, "main;f{index};g{index} {}", 1 + index % 97).unwrap();
    }
    let profile = decode::folded(text.as_bytes(), &Limits::default()).unwrap();
    let html = aggregate(&aggregate_page(&profile)).unwrap();
    assert!(html.len() < 3 << 20, "{}", html.len());
}

#[test]
fn samples_without_an_entry_point_are_listed_however_many_entry_points_there_are() {
    let profile = request(&["main".to_owned()]);
    let names: Vec<String> = (0..300).map(|number| format!("GET /{number}")).collect();
    let entry = |name| Entry {
        name,
        share: Some(0.001),
    };
    let mut entries: Vec<Entry<'_>> = names.iter().map(|name| entry(name.as_str())).collect();
    entries.push(Entry {
        name: "(none)",
        share: Some(0.7),
    });
    let html = aggregate(&AggregatePage {
        entries: &entries,
        ..aggregate_page(&profile)
    })
    .unwrap();
    assert!(
        html.contains("entry=%28none%29") && html.contains(" smaller"),
        "{html}"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn no_name_gets_out_of_its_place(
        name in "[v-z]{5}(</script><script>x</script>|</title>|\"><img src=x onerror=y>|' onload='|\\]\\]>|<!--|&lt;|\u{202e}|\u{0}|\\PC){1,4}[v-z]{5}",
    ) {
        let profile = request(&[name.clone(), "main".into()]);
        let row = RequestRow {
            id: &name, name: &name, service: &name, start: None, duration: None,
            stored: Tally::default(), lost: Tally::default(),
        };
        let entries = [Entry { name: &name, share: Some(0.5) }];
        let service = Service {
            name: &name, entries: &entries, entries_more: 1, days: &[&name],
        };
        let request = ProfilePage {
            id: &name, name: &name, service: &name, entry: Some(&name), clock: &name,
            ..profile_page(&profile)
        };
        let day = AggregatePage {
            service: &name, bucket: Bucket::Hour(&name), previous: Some(&name), next: Some(&name),
            hours: &[&name], entries: &entries, entry: Some(&name), clocks: &[&name, "cpu"],
            clock: &name, ..aggregate_page(&profile)
        };
        let pages = [
            index(&IndexPage {
                services: &[service], services_more: 1, is_cut: true, latest: &[row],
            }),
            profile::render(&request, true).unwrap(),
            profile::render(&request, false).unwrap(),
            aggregate(&day).unwrap(),
            error(&ErrorPage { status: 404, code: &name, detail: &name }),
        ];
        let is_markup = name.contains(['<', '"', '\u{202e}', '\0']);
        for html in pages {
            let scripts = tags(&html).iter().filter(|tag| &*tag.name == b"script").count();
            let graphs = html.matches("onload=\"init(evt)\"").count();
            prop_assert_eq!(scripts, 1 + graphs);
            prop_assert!(!is_markup || !html.contains(&name), "{:?} is there raw", name);
            let is_deceptive = html.contains(['\0', '\u{202e}']);
            prop_assert!(!is_deceptive);
        }
    }
}

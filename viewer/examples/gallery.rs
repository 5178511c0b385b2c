//! Writes every page and graph, with made-up data, into a folder: for looking at them.
//!
//! ```text
//! cargo run -p flashlamp-viewer --example gallery -- FOLDER [FILE.folded]
//! cd FOLDER && python3 -m http.server
//! ```
//!
//! Files lie where the collector's routes are, so that links, scripts and the bundled speedscope
//! work. A plain file server sends no headers of ours: `policies.txt` holds the content security
//! policies of pages, of standalone graphs and of speedscope, one a line.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use flashlamp_profile::{
    EventCount, FrameKind, FrameSpec, Limits, Nanos, NewSample, Period, Profile, ProfileBuilder,
    StackId, Tally, Timestamp, ValueType, decode, encode, labels, losses, markers,
};
use flashlamp_viewer::page::{
    AggregatePage, Bucket, Direction, Download, Entry, ErrorPage, IndexPage, ProfilePage,
    RequestRow, Service,
};
use flashlamp_viewer::{assets, csp, page, svg};

type Result<T> = std::result::Result<T, Box<dyn Error>>;

const SERVER: &str = "main;tokio::runtime::context::runtime::enter_runtime;\
    tokio::runtime::scheduler::multi_thread::worker::run;\
    tokio::runtime::task::harness::Harness<T,S>::poll;\
    <axum::serve::WithGracefulShutdown<L,M,S,F> as core::future::into_future::IntoFuture>::into_future";

/// What the made-up shop does: a stack below the server's, and its weight.
const STACKS: &[(&str, u64)] = &[
    (
        "shop::checkout::handler;shop::checkout::hash_password;argon2::Argon2::fill_blocks",
        310,
    ),
    (
        "shop::checkout::handler;shop::checkout::hash_password;argon2::Argon2::fill_blocks;argon2::block::Block::compress",
        480,
    ),
    (
        "shop::checkout::handler;shop::orders::store;rusqlite::statement::Statement::execute;sqlite3_step;sqlite3VdbeExec",
        150,
    ),
    (
        "shop::checkout::handler;shop::orders::store;rusqlite::statement::Statement::execute;sqlite3_step;sqlite3VdbeExec;sqlite3BtreeInsert",
        95,
    ),
    (
        "shop::checkout::handler;shop::orders::store;rusqlite::statement::Statement::execute;sqlite3_step;sqlite3PagerCommitPhaseOne;fsync",
        120,
    ),
    (
        "shop::search::handler;shop::search::rank;<regex::Regex as core::clone::Clone>::clone",
        30,
    ),
    (
        "shop::search::handler;shop::search::rank;regex::Regex::find_at;regex_automata::dfa::search::find_fwd",
        260,
    ),
    (
        "shop::search::handler;shop::search::rank;alloc::vec::Vec<T,A>::reserve;alloc::raw_vec::finish_grow;realloc",
        44,
    ),
    (
        "shop::search::handler;serde_json::ser::to_vec;<serde_json::ser::Compound<W,F> as serde::ser::SerializeMap>::serialize_value",
        130,
    ),
    (
        "shop::search::handler;serde_json::ser::to_vec;serde_json::ser::format_escaped_str_contents",
        90,
    ),
    (
        "shop::report::handler;shop::report::render;minijinja::vm::Vm::eval;minijinja::vm::Vm::eval_impl;minijinja::value::ops::add",
        140,
    ),
    (
        "shop::report::handler;flate2::gz::write::GzEncoder<W>::finish;miniz_oxide::deflate::core::compress_inner;miniz_oxide::deflate::core::compress_lz",
        330,
    ),
    (
        "shop::report::handler;flate2::gz::write::GzEncoder<W>::finish;miniz_oxide::deflate::core::compress_inner;core::ptr::drop_in_place<[u8; 8]>",
        22,
    ),
    ("shop::price::handler;jit::discount_rule_7", 88),
    ("shop::price::handler;jit::discount_rule_7;jit::min", 41),
    (
        "<evil></script><script>alert('x')</script>;\u{202e}desrever;tab\there 42",
        25,
    ),
];

fn main() -> Result<()> {
    let out = PathBuf::from(env::args_os().nth(1).ok_or("give a folder")?);
    write_assets(&out)?;
    write_index(&out)?;
    write_profile(&out, "0af7651916cd43dd8448eb211c80319c", &request(400)?)?;
    write_profile(&out, "empty", &ProfileBuilder::new().build()?)?;
    write_aggregates(&out)?;
    let error = ErrorPage {
        status: 404,
        code: "unknown_profile",
        detail: "There is no profile with the id 0af7651916cd43dd. It may have been deleted by age.",
    };
    write(&out, "error.html", page::error(&error))?;
    let day = day()?;
    let options = svg::Options {
        title: "shop, 2026-11-22, all entry points".into(),
        layout: svg::Layout::Flame,
        ..svg::Options::new(&day)
    };
    write(&out, "flame.svg", svg::flame_graph(&day, &options)?)?;
    if let Some(path) = env::args_os().nth(2) {
        write_folded(&out, Path::new(&path))?;
    }
    let policies = [csp::page(), csp::svg(), csp::SPEEDSCOPE].join("\n");
    write(&out, "policies.txt", policies)
}

/// The page of a file of folded text, as `folded/index.html`.
fn write_folded(out: &Path, path: &Path) -> Result<()> {
    let profile = decode::folded(&fs::read(path)?, &Limits::default())?;
    let page = AggregatePage {
        service: "folded",
        bucket: Bucket::Day("2026-11-22"),
        previous: None,
        next: None,
        hours: &[],
        entries: &[],
        entry: None,
        clocks: &["cpu"],
        clock: "cpu",
        direction: Direction::Forward,
        profile: &profile,
        downloads: &[],
    };
    write(out, "folded/index.html", page::aggregate(&page)?)
}

fn write(out: &Path, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
    let path = out.join(path);
    fs::create_dir_all(path.parent().ok_or("no parent")?)?;
    Ok(fs::write(path, content)?)
}

fn write_assets(out: &Path) -> Result<()> {
    for name in ["style.css", "graph.js", "icon.svg"] {
        let asset = assets::asset(name).ok_or("no such asset")?;
        write(out, &format!("assets/{name}"), asset.bytes)?;
    }
    for path in assets::speedscope_paths() {
        let asset = assets::speedscope(path).ok_or("no such asset")?;
        write(out, &format!("speedscope/{path}"), asset.bytes)?;
    }
    Ok(())
}

fn write_index(out: &Path) -> Result<()> {
    let entry = |name, share| Entry {
        name,
        share: Some(share),
    };
    let shop = [
        entry("POST /checkout", 0.473),
        entry("GET /search", 0.227),
        entry("GET /report/{id}", 0.201),
        entry("GET /price", 0.055),
        entry("(none)", 0.044),
    ];
    let mailer = [Entry {
        name: "(none)",
        share: None,
    }];
    let services = [
        Service {
            name: "shop",
            entries: &shop,
            entries_more: 12,
            days: &["2026-11-22", "2026-11-21", "2026-11-20"],
        },
        Service {
            name: "mailer",
            entries: &mailer,
            entries_more: 0,
            days: &["2026-11-22"],
        },
    ];
    let row = |id, name, duration_ns, lost| RequestRow {
        id,
        name,
        service: "shop",
        start: Some(Timestamp::from_nanos(1_795_342_530_123_456_789)),
        duration: Some(Nanos::from_nanos(duration_ns)),
        stored: Tally {
            samples: duration_ns / 1_000_000,
            events: duration_ns / 1_000_000,
        },
        lost: Tally {
            samples: lost,
            events: lost,
        },
    };
    let latest = [
        row(
            "0af7651916cd43dd8448eb211c80319c",
            "POST /checkout",
            412_345_678,
            0,
        ),
        row("1", "GET /search?q=lamp", 38_400_000, 3),
        row("2", "GET /\"><img src=x onerror=alert(1)>", 1_900_000, 0),
    ];
    write(
        out,
        "index.html",
        page::index(&IndexPage {
            services: &services,
            latest: &latest,
            ..IndexPage::default()
        }),
    )?;
    write(out, "none/index.html", page::index(&IndexPage::default()))
}

fn write_profile(out: &Path, id: &str, profile: &Profile) -> Result<()> {
    let page = ProfilePage {
        id,
        name: "POST /checkout",
        service: "shop",
        entry: Some("POST /checkout"),
        clock: "wall",
        profile,
        downloads: &[Download {
            label: "speedscope",
            href: "/fetch/x",
        }],
    };
    write(
        out,
        &format!("profile/{id}/index.html"),
        page::profile(&page)?,
    )?;
    write(out, &format!("fetch/{id}"), encode::speedscope(profile))
}

fn write_aggregates(out: &Path) -> Result<()> {
    let hours: Vec<String> = (6..19)
        .map(|hour| format!("2026-11-22T{hour:02}"))
        .collect();
    let hours: Vec<&str> = hours.iter().map(String::as_str).collect();
    let entries = [
        Entry {
            name: "POST /checkout",
            share: Some(0.473),
        },
        Entry {
            name: "GET /search",
            share: Some(0.227),
        },
        Entry {
            name: "GET /report/{id}",
            share: Some(0.201),
        },
        Entry {
            name: "(none)",
            share: Some(0.099),
        },
    ];
    let (day, empty) = (day()?, ProfileBuilder::new().build()?);
    let downloads = ["folded", "pprof", "speedscope", "SVG", "JSON"];
    let downloads = downloads.map(|label| Download {
        label,
        href: "/api/v1/flamegraph",
    });
    let page = AggregatePage {
        service: "shop",
        bucket: Bucket::Day("2026-11-22"),
        previous: Some("2026-11-21"),
        next: None,
        hours: &hours,
        entries: &entries,
        entry: None,
        clocks: &["cpu", "wall"],
        clock: "cpu",
        direction: Direction::Forward,
        profile: &day,
        downloads: &downloads,
    };
    write(
        out,
        "day/2026-11-22/shop/index.html",
        page::aggregate(&page)?,
    )?;
    let reversed = AggregatePage {
        bucket: Bucket::Hour("2026-11-22T10"),
        previous: Some("2026-11-22T09"),
        next: Some("2026-11-22T11"),
        entry: Some("POST /checkout"),
        direction: Direction::Reversed,
        ..page
    };
    write(
        out,
        "hour/2026-11-22T10/shop/index.html",
        page::aggregate(&reversed)?,
    )?;
    let nothing = AggregatePage {
        profile: &empty,
        entry: Some("GET /search"),
        ..page
    };
    write(out, "day/empty/index.html", page::aggregate(&nothing)?)
}

fn stack(builder: &mut ProfileBuilder, path: &str) -> Option<StackId> {
    let kind = |name: &str| match name {
        markers::NOT_ON_A_THREAD | markers::TRUNCATED => FrameKind::Marker,
        _ if name.starts_with("jit::") => FrameKind::Jit,
        _ => FrameKind::Native,
    };
    let mut stack = None;
    for name in path.split(';') {
        let file = name
            .split_once("::")
            .map(|(package, _)| format!("{package}/src/lib.rs"));
        let spec = FrameSpec::new(name).kind(kind(name));
        let frame = match &file {
            Some(file) => builder.frame(&spec.file(file)),
            None => builder.frame(&spec),
        };
        stack = Some(builder.stack(stack, frame));
    }
    stack
}

fn day() -> Result<Profile> {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::CPU]);
    let period_ns = 10_000_000;
    builder.period(Period::from_nanos(period_ns).ok_or("zero")?);
    let (mut stacks, truncated) = (Vec::new(), [("[truncated];deep::recursion::descend", 17)]);
    for (path, weight) in STACKS {
        stacks.push((format!("{SERVER};{path}"), *weight));
    }
    stacks.extend(truncated.map(|(path, weight)| (path.to_owned(), weight)));
    for (path, weight) in stacks {
        let stack = stack(&mut builder, &path);
        let labels = builder.labels(&[(labels::ENTRY, "POST /checkout")]);
        let events = weight * 37;
        builder.sample(NewSample {
            stack,
            event_count: EventCount::new(events),
            values: &[events * period_ns],
            time: None,
            thread: None,
            labels,
        });
    }
    builder.loss(
        losses::RING_FULL,
        Tally {
            samples: 41,
            events: 66,
        },
    );
    builder.loss(
        losses::QUEUE_FULL,
        Tally {
            samples: 1200,
            events: 1200,
        },
    );
    Ok(builder.build()?)
}

fn request(samples: u64) -> Result<Profile> {
    let mut builder = ProfileBuilder::new();
    builder.value_types(&[ValueType::WALL]);
    builder.name("POST /checkout");
    builder.start(Timestamp::from_nanos(1_795_342_530_123_456_789));
    builder.duration(Nanos::from_millis(samples + 12));
    builder.period(Period::from_nanos(1_000_000).ok_or("zero")?);
    let thread = builder.thread(4711, "tokio-runtime-worker");
    for index in 0..samples {
        let waits = (180..230).contains(&index);
        let (path, events) = match usize::try_from(index * 7 / samples)? {
            _ if waits => (markers::NOT_ON_A_THREAD.to_owned(), 0),
            step => (format!("{SERVER};{}", STACKS[step % STACKS.len()].0), 1),
        };
        let stack = stack(&mut builder, &path);
        let labels = builder.labels(&[(labels::ENTRY, "POST /checkout")]);
        builder.sample(NewSample {
            stack,
            event_count: EventCount::new(events),
            values: &[1_000_000],
            time: Some(Nanos::from_millis(index)),
            thread: Some(thread),
            labels,
        });
    }
    builder.loss(
        losses::RING_FULL,
        Tally {
            samples: 2,
            events: 3,
        },
    );
    Ok(builder.build()?)
}

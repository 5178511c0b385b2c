//! Real profiles of other tools come in whole, and a synthetic production day comes out as it
//! went in, sample for sample.

use std::process::Command;

use anyhow::{Result, ensure};

use flashlamp_profile::{
    CallTree, Column, Limits, Nanos, Period, Profile, Timestamp, decode, encode,
};
use harness::clock::{self, HOUR};
use harness::collector::Collector;
use harness::{data, folded};

/// The decoded file of the test data, or a skipped test.
fn decoded(path: &str) -> Result<Option<Profile>> {
    let Some(path) = data::shared(path) else {
        return Ok(None);
    };
    Ok(Some(decode::any(
        &std::fs::read(path)?,
        &Limits::default(),
    )?))
}

/// The total of the tree's nodes of that name at any depth, outermost ones alone.
fn total_of(profile: &Profile, column: Column, name: &str) -> u64 {
    folded::total_with(&folded::sum(&encode::folded(profile, column)), name)
}

fn check_folded(path: &str, lines: usize, events: u64) -> Result<()> {
    let Some(file) = data::shared(path) else {
        return Ok(());
    };
    let text = std::fs::read_to_string(file)?;
    let profile = decode::any(text.as_bytes(), &Limits::default())?;
    let came_out = folded::sum(&encode::folded(&profile, Column::Events));
    folded::same(&came_out, &folded::sum(&text))?;
    assert_eq!(
        (came_out.len(), folded::total(&came_out)),
        (lines, events),
        "{path}"
    );
    assert_eq!(
        CallTree::new(&profile, Column::Events).root().total(),
        events,
        "{path}"
    );
    Ok(())
}

#[test]
fn folded_stacks_of_a_java_server_come_out_as_they_went_in() -> Result<()> {
    check_folded("data/stacks/java-vertx.folded.txt", 199, 286)
}

#[test]
fn folded_stacks_of_a_whole_machine_come_out_as_they_went_in() -> Result<()> {
    check_folded("data/stacks/linux-mixed.folded.txt", 710, 1_315)
}

#[test]
fn folded_results_of_perf_come_out_as_they_went_in() -> Result<()> {
    check_folded("data/perf-script/perf-java-stacks-01.folded.txt", 33, 45)?;
    check_folded(
        "data/perf-script/perf-rust-Yamakaky-dcpu.folded.txt",
        45,
        6_850_637,
    )
}

// The numbers of the pprof files below were read off with a decoder of twenty lines that knows
// nothing of Flashlamp.

#[test]
fn a_go_cpu_profile_keeps_its_samples_values_period_and_inlined_frames() -> Result<()> {
    let Some(profile) = decoded("data/pprof/go-cpu.pb.gz")? else {
        return Ok(());
    };
    assert_eq!(profile.samples().len(), 647);
    assert_eq!(profile.column_total(Column::Events), 756);
    assert_eq!(profile.column_total(Column::Value(0)), 7_560_000_000);
    assert_eq!(profile.period().map(Period::as_nanos), Some(10_000_000));
    assert_eq!(
        profile.duration().map(Nanos::as_nanos),
        Some(29_000_297_076)
    );
    assert_eq!(
        profile.start().map(Timestamp::as_nanos),
        Some(1_717_748_371_749_590_720)
    );
    let handle = "middleware.decoratedHandler.Handle";
    assert_eq!(total_of(&profile, Column::Value(0), handle), 2_160_000_000);
    Ok(())
}

#[test]
fn a_ruby_profile_keeps_its_samples_and_names() -> Result<()> {
    let Some(profile) = decoded("data/pprof/ruby.pprof")? else {
        return Ok(());
    };
    assert_eq!(profile.samples().len(), 1_662);
    assert_eq!(profile.column_total(Column::Events), 258_747);
    assert_eq!(
        total_of(
            &profile,
            Column::Events,
            "puma/thread_pool.rb:-1 - block in spawn_thread"
        ),
        258_221
    );
    assert_eq!(
        profile
            .samples()
            .filter_map(|s| s.stack())
            .map(|s| depth(&profile, s))
            .max(),
        Some(125)
    );
    Ok(())
}

fn depth(profile: &Profile, stack: flashlamp_profile::StackId) -> usize {
    profile.stack_leaf_first(stack).count()
}

#[test]
fn an_evented_speedscope_file_becomes_the_time_between_its_events() -> Result<()> {
    let path = "data/speedscope/0.0.1-simple.speedscope.json";
    let Some(profile) = decoded(path)? else {
        return Ok(());
    };
    let stacks = folded::sum(&encode::folded(&profile, Column::default_for(&profile)));
    let expected = [("a;b", 5), ("a;b;c", 5), ("a;b;d", 4)];
    assert_eq!(
        stacks,
        expected
            .map(|(stack, time)| (stack.to_owned(), time))
            .into()
    );
    Ok(())
}

#[test]
fn what_excimer_writes_keeps_every_nanosecond() -> Result<()> {
    let Some(profile) = decoded("data/excimer/golden.speedscope.json")? else {
        return Ok(());
    };
    let Some(golden) = data::shared("data/excimer/golden.folded.txt") else {
        return Ok(());
    };
    let golden = folded::sum(&std::fs::read_to_string(golden)?);
    let period_ns = 5_000_000;
    let stacks = folded::sum(&encode::folded(&profile, Column::default_for(&profile)));
    let expected = golden
        .into_iter()
        .map(|(stack, events)| (stack, events * period_ns))
        .collect();
    assert_eq!(stacks, expected);
    Ok(())
}

#[test]
fn every_real_profile_becomes_a_page_with_its_own_functions() -> Result<()> {
    let files = [
        (
            "data/stacks/java-vertx.folded.txt",
            "JavaThread::thread_main_inner",
        ),
        ("data/stacks/linux-mixed.folded.txt", "swapper"),
        ("data/perf-script/perf-java-stacks-01.folded.txt", "java"),
        (
            "data/perf-script/perf-rust-Yamakaky-dcpu.folded.txt",
            "emulator::main_ret",
        ),
        ("data/pprof/go-cpu.pb.gz", "decoratedHandler.Handle"),
        ("data/pprof/ruby.pprof", "handle_request"),
        ("data/speedscope/0.0.1-simple.speedscope.json", "simple.txt"),
        ("data/excimer/golden.speedscope.json", "busy"),
    ];
    let collector = Collector::start()?;
    for (file, name) in files {
        let Some(path) = data::shared(file) else {
            return Ok(());
        };
        let answer = collector.post(
            "/api/v1/profiles?service=compat&entry=real",
            &[],
            &std::fs::read(path)?,
        )?;
        ensure!(
            answer.status == 201,
            "{file}: {} {}",
            answer.status,
            answer.text()
        );
        let id = stored_id(&answer)?;
        let page = collector.text(&format!("/profile/{id}"))?;
        ensure!(
            page.contains("<svg"),
            "{file}: the page holds a flame graph"
        );
        ensure!(page.contains(name), "{file}: the page names {name}");
        let fetched = collector.text(&format!("/fetch/{id}"))?;
        let again = decode::any(fetched.as_bytes(), &Limits::default())?;
        ensure!(
            !again.is_empty(),
            "{file}: its speedscope JSON holds its samples"
        );
    }
    Ok(())
}

/// The id at the end of the URL that the collector answered.
fn stored_id(answer: &harness::http::Answer) -> Result<String> {
    let url = answer.json()?["url"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let id = url.rsplit('/').next().unwrap_or_default();
    ensure!(
        id.len() == 32,
        "the answer holds the profile's URL: {}",
        answer.text()
    );
    Ok(id.to_owned())
}

#[test]
fn a_synthetic_day_comes_out_as_it_went_in_sample_for_sample() -> Result<()> {
    let Some(make_day) = data::shared("tools/make-day") else {
        return Ok(());
    };
    let day = Command::new("python3")
        .arg(make_day)
        .args(["--samples", "20000", "--unique", "5000", "--seed", "7"])
        .output()?;
    ensure!(
        day.status.success(),
        "make-day: {}",
        String::from_utf8_lossy(&day.stderr)
    );
    let day = String::from_utf8(day.stdout)?;
    let lines: Vec<&str> = day.lines().collect();
    assert_eq!(lines.len(), 20_000);

    let collector = Collector::start()?;
    let this_hour = clock::unix_seconds() / HOUR * HOUR;
    let first_hour = this_hour - 10 * HOUR;
    for (window, lines) in (0..).zip(lines.chunks(500)) {
        let from = first_hour + window * 900;
        for (entry, body) in by_entry(lines) {
            let path = format!(
                "/api/v1/samples?service=day&entry={entry}&from={from}&until={}",
                from + 10
            );
            let key = format!("day-{window}-{entry}");
            let answer = collector.post(&path, &[("idempotency-key", &key)], body.as_bytes())?;
            ensure!(
                answer.status < 300,
                "{path}: {} {}",
                answer.status,
                answer.text()
            );
        }
    }

    let range = format!("from={first_hour}&until={this_hour}");
    let merged = |more: &str| -> Result<folded::Stacks> {
        let path = format!("/api/v1/flamegraph?service=day&{range}&format=folded{more}");
        Ok(folded::sum(&collector.text(&path)?))
    };
    let whole = folded::sum(&day);
    ensure!(
        merged("")? == whole,
        "all entry points together are the day"
    );
    for (entry, body) in by_entry(&lines) {
        folded::same(&merged(&format!("&entry={entry}"))?, &folded::sum(&body))?;
    }
    assert_eq!(
        collector.metric("flashlamp_samples_stored_total", "")?,
        20_000
    );
    Ok(())
}

/// The lines of each entry point, named by the script in their root frame.
fn by_entry(lines: &[&str]) -> std::collections::BTreeMap<String, String> {
    let mut entries = std::collections::BTreeMap::<String, String>::new();
    for line in lines {
        let root = line.split(';').next().unwrap_or_default();
        let script = root
            .trim_start_matches("/srv/app/")
            .trim_end_matches(".php");
        let body = entries.entry(script.to_owned()).or_default();
        body.push_str(line);
        body.push('\n');
    }
    entries
}

//! The one command of a newcomer: what it prints is true, and it leaves nothing behind.

use std::net::TcpListener;

use anyhow::{Context as _, Result, ensure};
use flashlamp_profile::{Column, Limits, decode, encode};
use harness::demo::Demo;
use harness::{folded, http, wait};
use nix::sys::signal::Signal;

/// The shop's functions that take most of an entry point's time, by a part of the entry's name.
const OWN_FUNCTIONS: [(&str, &str); 6] = [
    ("/products", "shop::catalogue::"),
    ("/orders", "shop::orders::"),
    ("/checkout", "shop::checkout::"),
    ("/login", "shop::accounts::"),
    ("/exports", "shop::exports::"),
    ("/reviews", "shop::reviews::"),
];

/// Gets a page once it answers 200 and holds all of the texts.
fn page(url: &str, texts: &[&str]) -> Result<String> {
    let mut last = String::new();
    let found = wait::until(&format!("{url} shows {texts:?}"), wait::SOON, || {
        let answer = http::fetch(url, &[("accept", "text/html")]).ok()?;
        last = format!("{} with {} bytes", answer.status, answer.body.len());
        let text = answer.text();
        (answer.status == 200 && texts.iter().all(|wanted| text.contains(wanted))).then_some(text)
    });
    found.context(last)
}

/// The URL and the header of a printed `curl` command.
fn toggle(command: &str) -> Result<(String, String, String)> {
    let header = command.split('\'').nth(1).context("no quoted header")?;
    let (name, value) = header.split_once(':').context("no header")?;
    let url = command.split_whitespace().last().context("no URL")?;
    ensure!(
        command.starts_with("curl ") && url.starts_with("http://127.0.0.1:"),
        "{command}"
    );
    Ok((
        url.to_owned(),
        name.trim().to_owned(),
        value.trim().to_owned(),
    ))
}

#[test]
fn the_demo_prints_links_that_hold_the_shops_own_functions() -> Result<()> {
    let mut demo = Demo::start(&[])?;
    let index = demo.printed("the index")?;
    page(&index, &["Flashlamp"])?;
    let request = demo.printed("one request's flame graph")?;
    page(&request, &["<svg", "shop::checkout::"])?;

    let command = demo.printed("profile a request yourself")?;
    let (url, name, value) = toggle(&command)?;
    let answer = http::fetch(&url, &[(&name, &value)])?;
    let link = answer
        .header("x-flashlamp-profile")
        .context("no X-Flashlamp-Profile")?
        .to_owned();
    page(&link, &["<svg", "shop::orders::"])?;
    let speedscope = http::get(&link.replace("/profile/", "/fetch/"))?;
    let profile = decode::speedscope(&speedscope.body, &Limits::default())?;
    let stacks = folded::sum(&encode::folded(&profile, Column::default_for(&profile)));
    ensure!(
        folded::total_with(&stacks, "shop::orders::") > 0,
        "{stacks:?}"
    );
    let metadata = http::get(&link.replace("/profile/", "/api/v1/profiles/"))?.json()?;
    for unit in ["samples", "events"] {
        let count = |what: &str| {
            metadata[what][unit]
                .as_u64()
                .with_context(|| metadata.to_string())
        };
        ensure!(
            count("taken")? == count("stored")? + count("lost")?,
            "{metadata}"
        );
        ensure!(count("stored")? > 0, "{metadata}");
    }

    let day = demo.printed("the day's flame graph")?;
    page(&day, &["<svg", "shop::"])?;
    page(
        &format!("{day}?clock=wall"),
        &["<svg", "shop::", "[blocked]"],
    )?;
    page(&index, &["/profile/", "/day/"])?;
    let collector = day.split("/day/").next().unwrap_or_default().to_owned();
    for (entry, function) in OWN_FUNCTIONS {
        let of_entry = wait::until(&format!("the entry {entry} is known"), wait::SOON, || {
            let services = http::get(&format!("{collector}/api/v1/services"))
                .ok()?
                .text();
            services
                .split('"')
                .find(|text| text.contains(entry))
                .map(str::to_owned)
        })?;
        let query = of_entry
            .replace(' ', "%20")
            .replace('{', "%7B")
            .replace('}', "%7D");
        page(&format!("{day}?entry={query}"), &["<svg", function])?;
    }

    let status = demo.interrupt()?;
    ensure!(status.success(), "{status}:\n{}", demo.process().output());
    let left = demo.process().descendants();
    ensure!(left.is_empty(), "it leaves nothing running: {left:?}");
    Ok(())
}

#[test]
fn a_demo_whose_time_is_short_says_what_did_not_become_true() -> Result<()> {
    // Too short for anything: in a second, the first window may have come.
    let mut demo = Demo::start(&["--for", "1ms"])?;
    let status = demo.ended(2 * wait::SOON)?;
    let output = demo.process().output();
    ensure!(status.success(), "{status}:\n{output}");
    let line = output
        .lines()
        .find(|line| line.contains("Not yet true after 1ms"));
    let line = line.with_context(|| output.clone())?;
    ensure!(
        line.contains("the day's flame graph") && line.contains("--for 10s"),
        "{line}"
    );
    let left = demo.process().descendants();
    ensure!(left.is_empty(), "it leaves nothing running: {left:?}");
    Ok(())
}

#[test]
fn a_demo_that_is_interrupted_or_killed_leaves_no_process() -> Result<()> {
    let mut interrupted = Demo::start(&[])?;
    interrupted.printed("the index")?;
    let status = interrupted.interrupt()?;
    ensure!(
        status.success(),
        "{status}:\n{}",
        interrupted.process().output()
    );
    ensure!(
        interrupted.process().descendants().is_empty(),
        "all children ended"
    );

    let mut killed = Demo::start(&[])?;
    killed.printed("the index")?;
    ensure!(
        !killed.process().descendants().is_empty(),
        "it runs children"
    );
    killed.process().signal(Signal::SIGKILL)?;
    killed.ended(wait::SOON)?;
    wait::until("the children of a killed demo end", wait::SOON, || {
        killed.process().descendants().is_empty().then_some(())
    })
}

fn busy_port(flag: &str, other: &str) -> Result<()> {
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?.to_string();
    let mut demo = Demo::with(&[flag, &address, other, "127.0.0.1:0"])?;
    let status = demo.ended(wait::SOON)?;
    let output = demo.process().output();
    ensure!(!status.success(), "a busy port is an error");
    let names_the_flag = output
        .split_whitespace()
        .any(|word| word.trim_matches(['`', ',']) == flag);
    ensure!(
        names_the_flag && output.contains(&address),
        "it names {flag} and the port:\n{output}"
    );
    Ok(())
}

#[test]
fn a_busy_port_is_an_error_that_names_the_flag_to_change() -> Result<()> {
    busy_port("--listen", "--shop-listen")?;
    busy_port("--shop-listen", "--listen")
}

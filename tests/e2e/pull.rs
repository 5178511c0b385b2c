//! `go tool pprof` fetches profiles from the agent's routes.

use std::hint::black_box;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use flashlamp::PprofService;
use harness::skip;

/// A trait, so that the function's name has angle brackets: pprof cuts them from C++ names.
trait Burn {
    fn burn(&self) -> u64;
}

struct Service;

impl Burn for Service {
    #[inline(never)]
    fn burn(&self) -> u64 {
        (0..100_000).fold(1_u64, |value, n| black_box(value.wrapping_mul(31) ^ n))
    }
}

const BUSY: &str = "<e2e::pull::Service as e2e::pull::Burn>::burn";

/// A service with a busy thread; both end with the test's process.
fn serve() -> Result<SocketAddr> {
    std::thread::spawn(|| {
        loop {
            black_box(Service.burn());
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    std::thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_io().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            let routes = PprofService::new().into_routes();
            axum::serve(listener, routes).await.unwrap();
        });
    });
    Ok(address)
}

/// What `go tool pprof` says; `None` where it is not installed.
fn pprof(arguments: &[&str]) -> Result<Option<Output>> {
    let folder = tempfile::tempdir()?;
    let output = Command::new("go")
        .args(["tool", "pprof", "-symbolize=remote"])
        .args(arguments)
        .env("HOME", folder.path())
        .env("PPROF_TMPDIR", folder.path())
        .env("GOTOOLCHAIN", "local")
        .env("NO_PROXY", "*")
        .output();
    match output {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            skip("go is not installed (Debian: golang-go)");
            Ok(None)
        }
        output => Ok(Some(output.context("run go tool pprof")?)),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Fetches a profile and checks that its table holds a function on top of the busy thread.
fn check_top(path: &str, kind: &str) -> Result<()> {
    let url = format!("http://{}{path}", serve()?);
    let Some(output) = pprof(&["-top", &url])? else {
        return Ok(());
    };
    let (table, errors) = (text(&output.stdout), text(&output.stderr));
    ensure!(output.status.success(), "{url}: {errors}");
    ensure!(table.contains(&format!("Type: {kind}\n")), "{table}");
    ensure!(table.contains("Duration: 1"), "{table}");
    let busy = table.lines().find(|line| line.ends_with(BUSY));
    ensure!(busy.is_some(), "not in the table: {table}\n{errors}");
    ensure!(
        table.starts_with("File: e2e-"),
        "not the program's: {table}"
    );
    // It asks for names only where a profile has none, and would say that it got no answer.
    ensure!(!errors.contains("symbol"), "{errors}");
    Ok(())
}

#[test]
fn go_tool_pprof_lists_the_busy_function() -> Result<()> {
    check_top("/debug/pprof/profile?seconds=1", "cpu")
}

#[test]
fn go_tool_pprof_reads_a_profile_of_the_wall_clock() -> Result<()> {
    check_top("/debug/pprof/wall?seconds=1", "wall")
}

#[test]
fn go_tool_pprof_shows_entry_points_and_fetches_by_its_own_options() -> Result<()> {
    let host = format!("http://{}", serve()?);
    // The address alone: the path is Go's own.
    let Some(output) = pprof(&["-seconds=1", "-tags", &host])? else {
        return Ok(());
    };
    let (tags, errors) = (text(&output.stdout), text(&output.stderr));
    ensure!(output.status.success(), "{errors}");
    ensure!(
        tags.contains("entry:") && tags.contains("(none)"),
        "{tags}\n{errors}"
    );
    Ok(())
}

#[test]
fn go_tool_pprof_tells_its_user_why_there_is_no_profile() -> Result<()> {
    let url = format!("http://{}/debug/pprof/profile?seconds=0", serve()?);
    let Some(output) = pprof(&["-top", &url])? else {
        return Ok(());
    };
    let errors = text(&output.stderr);
    ensure!(!output.status.success());
    ensure!(
        errors.contains("bad_seconds: seconds is a whole number"),
        "{errors}"
    );
    Ok(())
}

//! Says that a test was skipped, and why.

use std::fs::OpenOptions;
use std::io::Write as _;

/// Says on standard error that a test is skipped and `why`.
///
/// The line also goes to the file that `FLASHLAMP_SKIPPED` names, which `tests/run` sums up at
/// its end: a test runner shows nothing of a test that passed.
///
/// # Panics
/// Where `CI=true`: there a skipped test is a failure.
pub fn skip(why: &str) {
    let line = format!("SKIPPED: {why}\n");
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = std::env::var_os("FLASHLAMP_SKIPPED")
        && let Ok(mut file) = OpenOptions::new().create(true).append(true).open(file)
    {
        let _ = file.write_all(line.as_bytes());
    }
    assert!(
        std::env::var("CI").as_deref() != Ok("true"),
        "skipped where CI=true: {why}"
    );
}

//! The programs under test, built as a user builds them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// The root of the workspace.
///
/// # Panics
/// Never: this package lies in a folder of the workspace.
#[must_use]
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("the package lies in the workspace")
}

/// The folder that screenshots and other results are kept in: `target/e2e`, created if needed.
///
/// # Errors
/// When it cannot be created.
pub fn kept() -> Result<PathBuf> {
    let folder = match std::env::var_os("CARGO_TARGET_DIR") {
        Some(target) => workspace_root().join(target).join("e2e"),
        None => workspace_root().join("target/e2e"),
    };
    std::fs::create_dir_all(&folder).with_context(|| format!("create {}", folder.display()))?;
    Ok(folder)
}

/// The path of a program of the workspace in its release build, such as `flashlamp` or `demo`.
///
/// Taken from the folder that `FLASHLAMP_PROGRAMS` names, which `tests/run` sets after it has
/// built them. Without it this builds them if needed, which may take minutes.
///
/// # Errors
/// When the build fails or there is no such program.
pub fn release(name: &str) -> Result<PathBuf> {
    if let Some(folder) = std::env::var_os("FLASHLAMP_PROGRAMS") {
        let path = PathBuf::from(folder).join(name);
        ensure!(path.exists(), "{} is not there", path.display());
        return Ok(path);
    }
    static BUILT: OnceLock<BTreeMap<String, PathBuf>> = OnceLock::new();
    let built = match BUILT.get() {
        Some(built) => built,
        None => {
            let paths = build()?;
            BUILT.get_or_init(|| paths)
        }
    };
    built
        .get(name)
        .cloned()
        .with_context(|| format!("no program {name} among {:?}", built.keys()))
}

/// Builds the programs of the collector and the examples in one go, so that both are built
/// against the same dependencies, and lists them by name.
fn build() -> Result<BTreeMap<String, PathBuf>> {
    let output = Command::new(env!("CARGO"))
        .args([
            "build",
            "--release",
            "--bins",
            "--message-format=json-render-diagnostics",
        ])
        .args(["-p", "flashlamp-examples", "-p", "flashlamp-collector"])
        .current_dir(workspace_root())
        .stdin(Stdio::null())
        .output()
        .context("run cargo build")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "cargo build failed:\n{errors}");
    Ok(String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter_map(|message| {
            let name = message["target"]["name"].as_str()?.to_owned();
            Some((name, PathBuf::from(message["executable"].as_str()?)))
        })
        .collect())
}

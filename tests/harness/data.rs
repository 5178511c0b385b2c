//! Finds the real-world test data, which is not part of the project.

use std::path::PathBuf;

use crate::{programs, skip};

/// The path of a file or folder of the test data, such as `data/pprof/ruby.pprof`.
///
/// The data lies in the folder that `FLASHLAMP_TEST_DATA` names, by default `../shared`,
/// relative to the root of the workspace. Where the file is absent the test is skipped and
/// this gives `None`.
///
/// # Panics
/// Where the file is absent and `CI=true`.
#[must_use]
pub fn shared(path: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("FLASHLAMP_TEST_DATA").unwrap_or_else(|| "../shared".into());
    let file = programs::workspace_root().join(folder).join(path);
    if file.exists() {
        return Some(file);
    }
    skip(&format!(
        "{} is not there (FLASHLAMP_TEST_DATA names its folder)",
        file.display()
    ));
    None
}

//! Dependencies point one way: see the drawing in ARCHITECTURE.md.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use harness::programs::workspace_root;
use serde_json::Value;

/// What each package may depend on within the workspace, in whatever kind of dependency.
const MAY_DEPEND_ON: [(&str, &[&str]); 6] = [
    ("flashlamp-profile", &[]),
    ("flashlamp", &["flashlamp-profile"]),
    ("flashlamp-viewer", &["flashlamp-profile"]),
    (
        "flashlamp-collector",
        &["flashlamp-profile", "flashlamp-viewer"],
    ),
    (
        "flashlamp-examples",
        &[
            "flashlamp",
            "flashlamp-collector",
            "flashlamp-profile",
            "flashlamp-viewer",
        ],
    ),
    (
        "flashlamp-tests",
        &[
            "flashlamp",
            "flashlamp-collector",
            "flashlamp-examples",
            "flashlamp-profile",
            "flashlamp-viewer",
        ],
    ),
];

/// The packages of the workspace as cargo sees them.
pub(crate) fn packages() -> Vec<Value> {
    let output = Command::new(env!("CARGO"))
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .current_dir(workspace_root())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap();
    metadata["packages"].as_array().unwrap().clone()
}

#[test]
fn dependencies_within_the_workspace_point_one_way() {
    let may: BTreeMap<&str, &[&str]> = MAY_DEPEND_ON.into();
    let packages = packages();
    let names: BTreeSet<&str> = packages
        .iter()
        .map(|p| p["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        may.keys().copied().collect(),
        "every package has its place"
    );
    for package in &packages {
        let name = package["name"].as_str().unwrap();
        for dependency in package["dependencies"].as_array().unwrap() {
            let on = dependency["name"].as_str().unwrap();
            // A package's own tests may turn on a feature of it.
            let own = on == name && dependency["kind"] == "dev";
            assert!(
                !names.contains(on) || may[name].contains(&on) || own,
                "{name} must not depend on {on} ({})",
                dependency["kind"]
            );
        }
    }
}

#[test]
fn the_profile_crate_needs_no_clock_file_socket_or_runtime() {
    let packages = packages();
    let profile = packages
        .iter()
        .find(|p| p["name"] == "flashlamp-profile")
        .unwrap();
    for dependency in profile["dependencies"].as_array().unwrap() {
        let on = dependency["name"].as_str().unwrap();
        let refused = [
            "tokio", "libc", "nix", "ureq", "hyper", "axum", "rusqlite", "jiff",
        ];
        assert!(
            !dependency["kind"].is_null() || !refused.contains(&on),
            "flashlamp-profile must not depend on {on}"
        );
    }
}

//! Fetches speedscope from its npm package and writes the table of its files.
//!
//! Nothing here may fail the build for want of a network: without npm, or with npm but without
//! the package, a warning says so and the table is empty.
//!
//! - `FLASHLAMP_SPEEDSCOPE_DIR=DIR` takes an unpacked package (with `dist/release` in it) from a
//!   folder instead.
//! - `FLASHLAMP_SPEEDSCOPE=off` does without. Any change of the variable runs this again, as
//!   does a change of this file, and nothing else.

use std::error::Error;
use std::fmt::Write as _;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs};

use base64::Engine as _;
use sha2::{Digest as _, Sha512};

/// What to ask npm for.
const PACKAGE: &str = "speedscope@1.25.0";
/// The name that `npm pack` gives it.
const TARBALL: &str = "speedscope-1.25.0.tgz";
/// The sha512 of that version, as the registry states it ("integrity").
const SHA512_BASE64: &str =
    "cpf9HWTZf1ijLXBJrk87Ve/54tnYx6rlf0gUThvn3ook6h63hLXVOQiMf44PT+XoV503cPfvfiT5gP5vojp6Ag==";
/// Bounds on what is unpacked: the package has 20 files and 1.2 MB.
const FILE_COUNT_MAX: usize = 200;
const FILE_BYTES_MAX: u64 = 16 << 20;

type Result<T> = std::result::Result<T, Box<dyn Error>>;

/// Path below `/speedscope/` and content.
type Files = Vec<(String, Vec<u8>)>;

fn main() -> Result<()> {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed=FLASHLAMP_SPEEDSCOPE");
    println!("cargo:rerun-if-env-changed=FLASHLAMP_SPEEDSCOPE_DIR");
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?);
    let files = match find_files(&out) {
        Ok(files) => files,
        Err(reason) => {
            println!(
                "cargo:warning=flashlamp-viewer is built without speedscope: {reason}. The pages \
                 work without it. To have it, install npm (or set FLASHLAMP_SPEEDSCOPE_DIR to an \
                 unpacked {PACKAGE}) and set FLASHLAMP_SPEEDSCOPE=retry for one build."
            );
            Files::new()
        }
    };
    write_table(&out, files)
}

/// The files of speedscope, from the first place that is allowed to have them.
fn find_files(out: &Path) -> Result<Files> {
    if env::var("FLASHLAMP_SPEEDSCOPE").is_ok_and(|value| value == "off") {
        return Err("FLASHLAMP_SPEEDSCOPE=off".into());
    }
    if let Some(dir) = env::var_os("FLASHLAMP_SPEEDSCOPE_DIR").filter(|dir| !dir.is_empty()) {
        return read_folder(Path::new(&dir));
    }
    let tarball = out.join(TARBALL);
    if let Ok(bytes) = fs::read(&tarball)
        && check_hash(&bytes).is_ok()
    {
        return unpack(&bytes);
    }
    npm_pack(out)?;
    let bytes = fs::read(&tarball).map_err(|error| format!("npm left no {TARBALL}: {error}"))?;
    check_hash(&bytes)?;
    unpack(&bytes)
}

/// Lets npm, with the user's own configuration, put the tarball into `out`.
fn npm_pack(out: &Path) -> Result<()> {
    let npm = if cfg!(windows) { "npm.cmd" } else { "npm" };
    let output = Command::new(npm)
        .args([
            "pack",
            PACKAGE,
            "--silent",
            "--ignore-scripts",
            "--prefer-offline",
        ])
        .args([
            "--fetch-retries=1",
            "--fetch-retry-maxtimeout=2000",
            "--fetch-timeout=30000",
        ])
        .current_dir(out)
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("npm could not be run: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    let line = said
        .lines()
        .find(|line| !line.contains("warn"))
        .unwrap_or("no message");
    Err(format!("npm pack {PACKAGE} failed ({}): {line}", output.status).into())
}

fn check_hash(tarball: &[u8]) -> Result<()> {
    let hash = base64::engine::general_purpose::STANDARD.encode(Sha512::digest(tarball));
    if hash == SHA512_BASE64 {
        return Ok(());
    }
    Err(format!("{TARBALL} has the sha512 {hash}, which is not the pinned one").into())
}

/// Takes what is served out of the package's tarball.
fn unpack(tarball: &[u8]) -> Result<Files> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(tarball));
    let mut files = Files::new();
    for entry in archive.entries()? {
        let entry = entry?;
        let path = entry.path()?.to_string_lossy().into_owned();
        let Some(name) = path.strip_prefix("package/").and_then(served_name) else {
            continue;
        };
        let mut bytes = Vec::new();
        entry.take(FILE_BYTES_MAX).read_to_end(&mut bytes)?;
        files.push((name.to_owned(), bytes));
    }
    check_files(files)
}

/// Takes the same files out of an unpacked package.
fn read_folder(dir: &Path) -> Result<Files> {
    let release = dir.join("dist/release");
    println!("cargo:rerun-if-changed={}", release.display());
    let mut files = vec![("LICENSE".to_owned(), read(&dir.join("LICENSE"))?)];
    let entries =
        fs::read_dir(&release).map_err(|error| format!("{}: {error}", release.display()))?;
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_file() {
            files.push((
                entry.file_name().to_string_lossy().into_owned(),
                read(&entry.path())?,
            ));
        }
    }
    check_files(files)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| format!("{}: {error}", path.display()).into())
}

/// The name below `/speedscope/` of a file of the package, if it is served.
fn served_name(path: &str) -> Option<&str> {
    match path.strip_prefix("dist/release/") {
        Some(name) if !name.contains('/') => Some(name),
        Some(_) => None,
        None => (path == "LICENSE").then_some(path),
    }
}

fn check_files(mut files: Files) -> Result<Files> {
    files.sort();
    let plain = |name: &str| {
        name.bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
    };
    if files.len() > FILE_COUNT_MAX || !files.iter().all(|(name, _)| plain(name)) {
        return Err("the package is not laid out as expected".into());
    }
    if !files.iter().any(|(name, _)| name == "index.html") {
        return Err("the package has no dist/release/index.html".into());
    }
    Ok(files)
}

/// Writes the files below `out` and the table that includes them.
fn write_table(out: &Path, files: Files) -> Result<()> {
    let folder = out.join("speedscope");
    fs::create_dir_all(&folder)?;
    let mut table = String::from("static SPEEDSCOPE: &[(&str, &str, &[u8])] = &[\n");
    for (name, bytes) in files {
        fs::write(folder.join(&name), bytes)?;
        let content_type = content_type(&name);
        // Relative to the table, so that the target folder can be moved.
        writeln!(
            table,
            "    ({name:?}, {content_type:?}, include_bytes!(\"speedscope/{name}\")),"
        )?;
    }
    table.push_str("];\n");
    fs::write(out.join("speedscope.rs"), table)?;
    Ok(())
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, extension)| extension) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "json" => "application/json",
        "wasm" => "application/wasm",
        "woff2" => "font/woff2",
        "png" => "image/png",
        "ico" => "image/x-icon",
        _ => "text/plain; charset=utf-8",
    }
}

//! Static files, linked into the program: the style sheet, the small script of the pages, the
//! icon, and speedscope where the build could fetch it.

use std::fmt::Write as _;
use std::sync::LazyLock;

use sha2::{Digest as _, Sha256};

use crate::csp;

/// A file that never changes under its address: a year, as long as HTTP caches are asked to.
const CACHE_FOREVER: &str = "public, max-age=31536000, immutable";
/// A file whose address stays while its content may change with the next version.
const CACHE_CHECKED: &str = "no-cache";

/// A static file and how to serve it.
///
/// Serve it with `X-Content-Type-Options: nosniff` as well.
#[derive(Debug, Clone, Copy)]
pub struct Asset {
    /// The body.
    pub bytes: &'static [u8],
    /// The `Content-Type` header.
    pub content_type: &'static str,
    /// The `Cache-Control` header.
    pub cache_control: &'static str,
    /// The `Content-Security-Policy` header, where the file is a document of its own.
    pub csp: Option<&'static str>,
}

/// The files of `/assets/`.
const OWN: &[(&str, &str, &[u8])] = &[
    (
        "style.css",
        "text/css; charset=utf-8",
        include_bytes!("../assets/style.css"),
    ),
    (
        "graph.js",
        "text/javascript; charset=utf-8",
        include_bytes!("../assets/graph.js"),
    ),
    (
        "icon.svg",
        "image/svg+xml",
        include_bytes!("../assets/icon.svg"),
    ),
];

// (path below /speedscope/, content type, bytes): written by build.rs, sorted by path.
include!(concat!(env!("OUT_DIR"), "/speedscope.rs"));

/// The addresses of [`OWN`], each with the beginning of its hash, so that they may be cached.
static HREFS: LazyLock<Vec<(&'static str, String)>> = LazyLock::new(|| {
    let href = |(name, _, bytes): &(&'static str, &str, &[u8])| {
        let mut href = format!("/assets/{name}?v=");
        for byte in Sha256::digest(bytes).iter().take(6) {
            let _infallible = write!(href, "{byte:02x}");
        }
        (*name, href)
    };
    OWN.iter().map(href).collect()
});

/// A file of this crate, for the route `/assets/{name}`.
///
/// The pages link to it with a query that changes with its content, so it is cached for good.
#[must_use]
pub fn asset(name: &str) -> Option<Asset> {
    let (_, content_type, bytes) = OWN.iter().find(|(own, _, _)| *own == name)?;
    Some(Asset {
        bytes,
        content_type,
        cache_control: CACHE_FOREVER,
        csp: Some(csp::ASSET),
    })
}

/// The address of a file of [`asset`], with its version; [`None`] where there is no such file.
pub(crate) fn href(name: &str) -> Option<&'static str> {
    HREFS
        .iter()
        .find(|(own, _)| *own == name)
        .map(|(_, href)| href.as_str())
}

/// A file of the bundled speedscope, for the route `/speedscope/{path}`.
///
/// `path` has no leading slash; an empty path is `index.html`. [`None`] for an unknown file, and
/// for every file where [`speedscope_is_embedded`] is false.
#[must_use]
pub fn speedscope(path: &str) -> Option<Asset> {
    let path = if path.is_empty() { "index.html" } else { path };
    let (path, content_type, bytes) = SPEEDSCOPE.iter().find(|(own, _, _)| *own == path)?;
    // speedscope's build puts a hash into the name of every file but these.
    let hashed = path.contains('-') && !path.contains("schema") && !path.contains("LICENSE");
    let cache_control = if hashed { CACHE_FOREVER } else { CACHE_CHECKED };
    Some(Asset {
        bytes,
        content_type,
        cache_control,
        csp: Some(csp::SPEEDSCOPE),
    })
}

/// The paths that [`speedscope`] knows, sorted; none where it is not embedded.
pub fn speedscope_paths() -> impl ExactSizeIterator<Item = &'static str> {
    SPEEDSCOPE.iter().map(|(path, _, _)| *path)
}

/// Whether the build could fetch speedscope. The pages work without it, and say so.
#[must_use]
pub fn speedscope_is_embedded() -> bool {
    !SPEEDSCOPE.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_own_file_has_an_address_with_its_version() {
        for (name, _, _) in OWN {
            let href = href(name).unwrap();
            assert!(href.starts_with(&format!("/assets/{name}?v=")), "{href}");
            assert!(!asset(name).unwrap().bytes.is_empty());
        }
        assert!(asset("../Cargo.toml").is_none());
        assert!(asset("").is_none());
    }

    #[test]
    fn speedscope_is_whole_or_absent() {
        assert_eq!(speedscope("index.html").is_some(), speedscope_is_embedded());
        assert_eq!(speedscope("").is_some(), speedscope_is_embedded());
        assert!(speedscope("no-such-file").is_none());
        let Some(index) = speedscope("index.html") else {
            return;
        };
        let index = std::str::from_utf8(index.bytes).unwrap();
        for attribute in ["src=\"", "href=\""] {
            for rest in index.split(attribute).skip(1) {
                let path = rest.split('"').next().unwrap();
                assert!(speedscope(path).is_some(), "{path} is named by index.html");
            }
        }
        assert!(speedscope("LICENSE").is_some());
    }

    #[test]
    fn no_own_file_names_another_host() {
        for (name, _, bytes) in OWN {
            let text = std::str::from_utf8(bytes).unwrap();
            let text = text.replace("http://www.w3.org/2000/svg", "");
            assert!(!text.contains("http"), "{name}");
            assert!(!text.contains("url(//"), "{name}");
        }
    }
}

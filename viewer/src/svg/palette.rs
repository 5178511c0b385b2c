//! The colour of each frame.
//!
//! Hues are tints of the palette of Okabe and Ito ("Color Universal Design", 2008), which people
//! with any of the common colour deficiencies can tell apart, light enough for black text (a
//! contrast of 8:1 and more). A package keeps its hue in every graph; functions of one package
//! differ a little in lightness, so that neighbours are seen as two. Nothing is told by colour
//! alone: names, shares and marker names are text.

use flashlamp_profile::FrameKind;
use inferno::flamegraph::color::{Color, PaletteMap};

use super::Colors;
use super::prune::{END, MARKER, Pruned, SPACE};

/// What a search match is painted with: the one strong colour of a graph.
pub(super) const SEARCH: &str = "#ff4fd8";

/// Packages, by hash.
const HUES: [(u8, u8, u8); 7] = [
    (242, 188, 82),  // orange
    (134, 200, 240), // sky blue
    (98, 200, 168),  // bluish green
    (240, 228, 110), // yellow
    (122, 176, 222), // blue
    (240, 156, 104), // vermilion
    (224, 166, 200), // reddish purple
];
/// The standard library: there, but not what one looks for first.
const STANDARD: (u8, u8, u8) = (219, 211, 196);
/// Code with no package in its name: C libraries, the kernel, addresses.
const NATIVE: (u8, u8, u8) = (193, 202, 212);
/// What is not code.
const MARKED: (u8, u8, u8) = (224, 224, 224);

/// The colours of all names of a graph.
pub(super) fn palette(pruned: &Pruned, colors: Colors) -> PaletteMap {
    let mut map = PaletteMap::default();
    // inferno's name for the root.
    map.insert("", rgb(NATIVE));
    for (name, kind) in pruned.names() {
        if map.get(&name).is_none() {
            let color = color(&name, kind, colors);
            map.insert(name, color);
        }
    }
    map
}

fn color(name: &str, kind: FrameKind, colors: Colors) -> Color {
    let shown = name.trim_matches([MARKER, END]);
    let hash = fnv1a(shown);
    if kind == FrameKind::Marker {
        return rgb(MARKED);
    }
    match colors {
        Colors::Hot => Color {
            r: 205 + part(hash, 50),
            g: 60 + part(hash >> 8, 170),
            b: 55,
        },
        Colors::ByPackage => shaded(hue(shown), hash),
    }
}

fn hue(name: &str) -> (u8, u8, u8) {
    match package(name) {
        None => NATIVE,
        Some("std" | "core" | "alloc" | "test" | "proc_macro" | "runtime") => STANDARD,
        Some(package) => {
            let hues = u64::try_from(HUES.len()).unwrap_or(1);
            let place = usize::try_from(fnv1a(package) % hues).unwrap_or(0);
            HUES[place]
        }
    }
}

/// The package in a name, [`None`] where there is none:
///
/// - Rust and C++: `shop` of `shop::cart::total` and of `<shop::Cart as core::fmt::Debug>::fmt`;
/// - Go: `net/http` of `net/http.(*conn).serve`, `runtime` of `runtime.mallocgc`;
/// - Java: `io/netty` of `io/netty/channel/Channel:.read`, `java` of `java.util.HashMap.get`.
pub(super) fn package(name: &str) -> Option<&str> {
    match name {
        _ if name.contains("::") => path_package(name),
        // An address in an object file: `libc.so.6+0x891f4`.
        _ if name.contains("+0x") => None,
        _ => dotted_package(name),
    }
}

/// The first segment before a `::` that is not a qualifier or a type parameter.
fn path_package(name: &str) -> Option<&str> {
    let mut rest = name;
    loop {
        let start = rest.find(is_part)?;
        let from_start = &rest[start..];
        let end = from_start
            .find(|character| !is_part(character))
            .unwrap_or(from_start.len());
        let (word, after) = from_start.split_at(end);
        if after.starts_with("::") {
            return Some(word);
        }
        // Only what may stand before a path: `&mut `, `dyn `, `[`, `*const `, `T as `.
        let qualifier = matches!(word, "mut" | "dyn" | "const" | "impl" | "as")
            || (rest[..start].contains('<') && after.starts_with([SPACE, ' ']));
        if !qualifier && !rest[..start].contains(['<', '[', '(', '&', '*']) {
            return None;
        }
        rest = after;
    }
}

/// Two segments of a path with slashes (three where the first is a host), or the first segment
/// of a dotted name.
fn dotted_package(name: &str) -> Option<&str> {
    let end = if name.contains('/') {
        let segments = if name.split('/').next()?.contains('.') {
            3
        } else {
            2
        };
        let (mut end, mut left) = (0, segments);
        for segment in name.split('/').take(segments) {
            left -= 1;
            // The last one ends where its package's own names begin.
            let shown = if left == 0 {
                segment.split('.').next()?
            } else {
                segment
            };
            end += shown.len() + usize::from(left + 1 != segments);
        }
        end
    } else {
        let (package, rest) = name.split_once('.')?;
        // What compilers append to a C function: `memcpy.part.0`.
        let is_clone = ["part", "constprop", "isra", "cold", "llvm", "lto_priv"]
            .iter()
            .any(|suffix| rest.starts_with(suffix));
        if is_clone || !rest.starts_with(|character| is_part(character) || character == '(') {
            return None;
        }
        package.len()
    };
    let package = &name[..end];
    package.starts_with(char::is_alphabetic).then_some(package)
}

fn is_part(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// The colour a little darker or lighter, by hash.
fn shaded((r, g, b): (u8, u8, u8), hash: u64) -> Color {
    let step = part(hash >> 16, 15);
    let shade = |channel: u8| channel.saturating_add(7).saturating_sub(step);
    Color {
        r: shade(r),
        g: shade(g),
        b: shade(b),
    }
}

/// A number from 0 to `max` (exclusive) out of a hash.
fn part(hash: u64, max: u8) -> u8 {
    u8::try_from(hash % u64::from(max)).unwrap_or(0)
}

fn rgb((r, g, b): (u8, u8, u8)) -> Color {
    Color { r, g, b }
}

/// FNV-1a with a last mix: the same on every machine, unlike the hashes of the standard library.
fn fnv1a(text: &str) -> u64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in text.bytes() {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    hash ^ (hash >> 32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_are_the_first_segment_of_a_path() {
        let check = |name, expected| assert_eq!(package(name), expected, "{name}");
        check("shop::cart::total", Some("shop"));
        check("<shop::Cart as core::fmt::Debug>::fmt", Some("shop"));
        check("<&mut shop::Cart as core::fmt::Debug>::fmt", Some("shop"));
        check("<T as alloc::string::ToString>::to_string", Some("alloc"));
        check("<[u8] as shop::Hash>::hash", Some("shop"));
        check("core::ptr::drop_in_place<shop::Cart>", Some("core"));
        check("std::sync::Once", Some("std"));
        check("__libc_start_main", None);
        check("sqlite3VdbeExec", None);
        check("[truncated]", None);
        check("net/http.(*conn).serve", Some("net/http"));
        check(
            "github.com/jackc/pgx/v5.(*Conn).Query",
            Some("github.com/jackc/pgx"),
        );
        check("runtime.mallocgc", Some("runtime"));
        check("io/netty/channel/nio/NioEventLoop:.run", Some("io/netty"));
        check("java.util.HashMap.get", Some("java"));
        check("memcpy.part.0", None);
        check("/usr/lib/libc.so", None);
        check("a/b", Some("a/b"));
        check("...", None);
        check("libc.so.6+0x891f4", None);
        check("", None);
    }

    #[test]
    fn every_colour_is_light_enough_for_black_text() {
        let names = (0..500).map(|index| format!("p{index}::f"));
        for name in names.chain(["std::x".into(), "main".into()]) {
            let color = color(&name, FrameKind::Native, Colors::ByPackage);
            // A rough relative luminance; 0.3 gives black text a contrast of 7:1.
            let channel = |value: u8| (f64::from(value) / 255.0).powf(2.2);
            let luminance =
                0.2126 * channel(color.r) + 0.7152 * channel(color.g) + 0.0722 * channel(color.b);
            assert!(luminance > 0.35, "{name}: {luminance}");
        }
    }

    #[test]
    fn a_package_keeps_its_hue() {
        assert_eq!(hue("shop::a"), hue("shop::b::c"));
        assert_eq!(hue("std::a"), STANDARD);
        assert_eq!(hue("memcpy"), NATIVE);
    }
}

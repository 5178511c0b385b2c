//! Hostile text made visible.
//!
//! Escaping of markup is done where text is written (maud for HTML, quick-xml for SVG). What
//! escaping cannot do is keep a reader from being deceived: a name may hold control characters,
//! may reorder the text around it (U+202E), or hide in characters of no width. Those are replaced
//! by something that can be seen, before any escaping, in every name that is shown.

use std::borrow::Cow;
use std::fmt::Write as _;

/// The longest name that is shown, in characters; a longer one is cut and ends in an ellipsis.
///
/// It bounds pages and graphs. What programs read (JSON, folded text, pprof, speedscope) keeps
/// names whole.
pub const NAME_CHARS_MAX: usize = 400;

/// What is shown in the place of a name that is empty or blank.
pub const EMPTY_NAME: &str = "(empty name)";

/// The name with every deceptive character replaced and its length bounded.
///
/// - C0 controls and DEL become their pictures: `␀`, `␉`, `␡`.
/// - C1 controls, line and paragraph separators, bidirectional controls, zero-width and tag
///   characters, and noncharacters become their code: `⟨U+202E⟩`.
/// - What is longer than [`NAME_CHARS_MAX`] characters, after that, is cut and ends in `…`; an
///   empty or blank name is [`EMPTY_NAME`].
///
/// The result holds no character that XML 1.0 forbids. It is not escaped. Borrowed where nothing
/// had to change, which is nearly always; the cost is one pass.
#[must_use]
pub fn visible(name: &str) -> Cow<'_, str> {
    if name.trim().is_empty() && !name.chars().any(is_deceptive) {
        return Cow::Borrowed(EMPTY_NAME);
    }
    let plain = name.len() <= NAME_CHARS_MAX && !name.chars().any(is_deceptive);
    if plain {
        return Cow::Borrowed(name);
    }
    let mut out = String::with_capacity(name.len().min(4 * NAME_CHARS_MAX));
    let mut left = NAME_CHARS_MAX;
    for character in name.chars() {
        let before = out.len();
        push_visible(&mut out, character);
        let shown = out[before..].chars().count();
        if shown > left {
            out.truncate(before);
            out.push('…');
            break;
        }
        left -= shown;
    }
    Cow::Owned(out)
}

fn push_visible(out: &mut String, character: char) {
    if !is_deceptive(character) {
        out.push(character);
        return;
    }
    let code = u32::from(character);
    let picture = match code {
        0..0x20 => char::from_u32(0x2400 + code),
        0x7f => Some('␡'),
        _ => None,
    };
    match picture {
        Some(picture) => out.push(picture),
        None => {
            let _infallible = write!(out, "⟨U+{code:04X}⟩");
        }
    }
}

/// Whether a character hides, reorders, or is forbidden in XML.
fn is_deceptive(character: char) -> bool {
    matches!(
        character,
        '\0'..='\u{1f}'
            | '\u{7f}'..='\u{9f}'
            | '\u{ad}' // soft hyphen
            | '\u{34f}' // combining grapheme joiner
            | '\u{61c}' // Arabic letter mark
            | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}' // Hangul fillers
            | '\u{17b4}' | '\u{17b5}'
            | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' // zero width, left-to-right and right-to-left marks
            | '\u{2028}'..='\u{202e}' // line separators, embeddings and overrides
            | '\u{2060}'..='\u{206f}' // word joiner, invisible operators, isolates
            | '\u{fdd0}'..='\u{fdef}' // noncharacters
            | '\u{feff}' // byte order mark
            | '\u{fff0}'..='\u{fffb}' // annotations
            | '\u{e0000}'..='\u{e0fff}' // tags
    ) || u32::from(character) & 0xfffe == 0xfffe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deceptive_characters_are_shown() {
        let check = |name, expected: &str| assert_eq!(visible(name), expected);
        check("core::fmt::write", "core::fmt::write");
        check("<script>&\"'", "<script>&\"'");
        check("a\0b\tc\x1b[31m\x7f", "a␀b␉c␛[31m␡");
        check("a\u{85}b", "a⟨U+0085⟩b");
        check("user\u{202e}nimda", "user⟨U+202E⟩nimda");
        check("a\u{2066}b\u{2069}", "a⟨U+2066⟩b⟨U+2069⟩");
        check("zero\u{200b}width", "zero⟨U+200B⟩width");
        check("\u{ffff}\u{1fffe}", "⟨U+FFFF⟩⟨U+1FFFE⟩");
        check("größe 函数 🦀", "größe 函数 🦀");
        check("", EMPTY_NAME);
        check("  ", EMPTY_NAME);
        check("\n", "␊");
    }

    #[test]
    fn long_names_end_in_an_ellipsis() {
        let name = "x".repeat(NAME_CHARS_MAX);
        assert_eq!(visible(&name), name);
        let longer = format!("{name}y");
        assert_eq!(visible(&longer), format!("{name}…"));
        let wide = "ß".repeat(NAME_CHARS_MAX);
        assert_eq!(visible(&wide), wide, "characters, not bytes");
        let pictures = "\u{202e}".repeat(NAME_CHARS_MAX);
        assert_eq!(visible(&pictures).chars().count(), NAME_CHARS_MAX + 1);
    }
}

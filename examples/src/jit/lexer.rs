//! Text to tokens, each with the place where it begins.

use crate::syntax::{Position, SyntaxError, SyntaxErrorKind};

/// A word, a number or a sign of the language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A name or a keyword.
    Word(&'a str),
    /// A number that fits in an `i64`.
    Number(i64),
    /// One of [`SIGNS`].
    Sign(&'static str),
    /// The end of the text; the last token, always there.
    End,
}

/// The longer signs come first, so that `<=` is not read as `<` and `=`.
const SIGNS: [&str; 20] = [
    "<=", ">=", "==", "!=", "<", ">", "=", "+", "-", "*", "/", "%", "(", ")", "{", "}", ",", ";",
    "&", "|",
];

/// Reads all tokens of `text`; comments go from `#` to the end of the line.
///
/// # Errors
/// A character that begins no token, or a number that is too large.
pub(crate) fn tokens(text: &str) -> Result<Vec<(Token<'_>, Position)>, SyntaxError> {
    let mut tokens = Vec::new();
    let mut at = Position { line: 1, column: 1 };
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let len = match first {
            '\n' => {
                at = Position {
                    line: at.line + 1,
                    column: 0,
                };
                1
            }
            '#' => rest.find('\n').unwrap_or(rest.len()),
            _ if first.is_whitespace() => first.len_utf8(),
            _ => {
                let (token, len) = token(rest, first).map_err(|kind| SyntaxError { at, kind })?;
                tokens.push((token, at));
                len
            }
        };
        let (passed, remaining) = rest.split_at(len);
        at.column += passed.chars().count();
        rest = remaining;
    }
    tokens.push((Token::End, at));
    Ok(tokens)
}

/// The token at the start of `rest`, which begins with `first`, and its length in bytes.
fn token(rest: &str, first: char) -> Result<(Token<'_>, usize), SyntaxErrorKind> {
    let word_end = rest
        .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .unwrap_or(rest.len());
    if first.is_ascii_digit() {
        let digits = &rest[..word_end];
        let number = digits
            .parse()
            .map_err(|_error| SyntaxErrorKind::Number(digits.to_owned()))?;
        return Ok((Token::Number(number), word_end));
    }
    if first.is_ascii_alphabetic() || first == '_' {
        return Ok((Token::Word(&rest[..word_end]), word_end));
    }
    let sign = SIGNS.into_iter().find(|sign| rest.starts_with(sign));
    sign.map(|sign| (Token::Sign(sign), sign.len()))
        .ok_or(SyntaxErrorKind::Character(first))
}

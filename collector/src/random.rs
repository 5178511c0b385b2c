//! Random ids.

use std::fmt::Write as _;

use crate::store::keys::IdBytes;

/// 128 random bits from the system.
///
/// # Panics
/// If the system has no randomness, which Linux always has once it runs programs.
pub fn id() -> IdBytes {
    let mut id = [0; 16];
    getrandom::fill(&mut id).expect("the system has randomness after boot");
    id
}

/// The hexadecimal digits of an id or a hash.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}

/// Reads 32 hexadecimal digits, in lower case or upper.
pub fn parse_hex(text: &str) -> Option<IdBytes> {
    if text.len() != 32 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes)
}

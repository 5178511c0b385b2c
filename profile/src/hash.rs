//! How contents are hashed. Strangers choose names, and which ids stand beside each other: both
//! hashes are keyed, so that nobody can prepare contents that collide.
//!
//! Names go through the standard library's `SipHash`. Entries made of ids are hashed many times more
//! often, and have a fixed length: for those, multiply-shift is enough (M. Dietzfelbinger,
//! "Universal hashing and k-wise independent random variables via integer arithmetic without
//! primes", 1996). Its hash of the words `x` is the upper half of `b + a[0]x[0] + a[1]x[1] + …`
//! modulo 2^128, with random `a` and `b`. For any two entries that were chosen without knowledge
//! of these, all 2^128 pairs of hashes are equally likely: whatever bits a table uses, they
//! collide no more often than random numbers do. The hashes never leave the process, and no output
//! depends on them.

use std::hash::{BuildHasher as _, Hash, RandomState};
use std::sync::LazyLock;

/// The most words of an entry made of ids.
const WORDS_MAX: usize = 3;

/// What both hashes are keyed with, the same in all tables of a process: a hash that stands beside
/// its name is good in every table.
struct Keys {
    text: RandomState,
    /// `b` and every `a`.
    ids: [u128; WORDS_MAX + 1],
}

static KEYS: LazyLock<Keys> = LazyLock::new(|| {
    let random = RandomState::new();
    let word = |place: usize| u128::from(random.hash_one(place));
    Keys {
        text: RandomState::new(),
        ids: std::array::from_fn(|place| word(2 * place) << 64 | word(2 * place + 1)),
    }
});

/// The hash of a name, or of anything that holds names.
pub(crate) fn text(text: impl Hash) -> u64 {
    KEYS.text.hash_one(text)
}

/// The hash of an entry made of ids.
pub(crate) fn ids<const N: usize>(words: [u64; N]) -> u64 {
    const { assert!(N <= WORDS_MAX) };
    let [b, a @ ..] = &KEYS.ids;
    let products = a
        .iter()
        .zip(words)
        .map(|(a, word)| a.wrapping_mul(word.into()));
    let sum = products.fold(*b, u128::wrapping_add);
    (sum >> 64) as u64
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn entries_of_small_ids_have_hashes_of_their_own() {
        let pairs = (0..100).flat_map(|left| (0..100).map(move |right| [left, right]));
        let hashes: HashSet<u64> = pairs.map(ids).collect();
        assert_eq!(hashes.len(), 10_000);
        assert_eq!(ids([3, 5, 7]), ids([3, 5, 7]));
        assert_ne!(ids([3, 5, 7]), ids([3, 5, 8]));
    }
}

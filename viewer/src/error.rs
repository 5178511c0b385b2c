//! What can go wrong when a profile is drawn.

use flashlamp_profile::Column;

/// The reason why a graph or a page could not be made.
///
/// An empty profile is not an error, nor is a very deep or a very wide one: those are drawn.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RenderError {
    /// The options name a value column that the profile does not have.
    #[error("the profile has no column {column:?}: it has {value_type_count} value types")]
    NoSuchColumn {
        /// The column that was asked for.
        column: Column,
        /// How many value types the profile has.
        value_type_count: usize,
    },
    /// The drawing library refused its input, which is a fault of this crate.
    #[error("draw the flame graph")]
    Draw(#[source] std::io::Error),
}

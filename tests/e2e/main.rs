//! The whole product, run as a user runs it.

//! The agent in a service, against a tiny collector.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "a test reads the clock itself")]
#![expect(unsafe_code, reason = "changes handlers and masks of signals")]

mod export;
mod pull;
mod request_layer;
mod stub;

//! The agent in a service, against a tiny collector.
#![cfg(test)]
#![expect(clippy::disallowed_methods, reason = "a test reads the clock itself")]

mod export;
mod pull;
mod request_layer;
mod stub;

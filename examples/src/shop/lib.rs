//! A small web shop that does real work, so that a profile of it has something to show.
//!
//! Every entry point has a shape of its own, and each function that does the work is public and
//! documented, because its name is what a reader meets in the flame graph:
//!
//! | entry point | work | where |
//! |---|---|---|
//! | `GET /products?q=` | SQLite with JSON columns | [`catalogue::search`] |
//! | `GET /orders/{id}` | SQLite, a template | [`orders::statement`] |
//! | `POST /checkout` | JSON, a risk query, an upstream call that awaits | [`checkout::place`] |
//! | `POST /login` | Argon2 | [`accounts::log_in`] |
//! | `GET /exports/{month}` | JSON lines, gzip | [`exports::month`] |
//! | `POST /reviews` | regular expressions, text similarity | [`reviews::moderate`] |
//!
//! The data is the same on every start ([`seed`]) and lives in memory.

#![forbid(unsafe_code)]

pub mod accounts;
pub mod bank;
pub mod catalogue;
pub mod checkout;
pub mod database;
pub mod error;
pub mod exports;
pub mod http_client;
pub mod orders;
pub mod reviews;
pub mod routes;
pub mod seed;
pub mod service;

/// The service of the README, compiled as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
mod readme {}

//! The demo: a collector, a shop with the agent in it, and traffic, until Ctrl-C.
//!
//! The program that a person starts is the parent. It starts itself twice, as the collector and
//! as the shop, each in a process group of its own, so that Ctrl-C reaches the parent alone and
//! the parent stops them in order: the shop first, whose agent sends its last window, then the
//! collector. A child also ends when its parent is gone, however that ended: see [`lifeline`].

mod args;
mod child;
mod console;
mod lifeline;
mod links;
mod parent;
mod roles;
mod traffic;

use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Args, Role};

#[tokio::main]
async fn main() -> ExitCode {
    let args = Args::parse();
    let result = match args.role {
        None => Box::pin(parent::run(args.demo)).await,
        Some(Role::Collector(args)) => Box::pin(roles::collector(args)).await,
        Some(Role::Shop(args)) => Box::pin(roles::shop(args)).await,
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            console::error(&error);
            ExitCode::FAILURE
        }
    }
}

//! The whole product, run as a user runs it.

#[cfg(test)]
mod accuracy;
#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod browser;
#[cfg(test)]
mod compat;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod perf_jit;
#[cfg(test)]
mod pull;
#[cfg(test)]
mod round_trip;
#[cfg(test)]
mod shutdown;

//! The rules of the house that a machine can check, as ordinary tests.
//!
//! Each module is one rule and says why it is one. A rule that finds nothing to look at fails:
//! a file that moved must not switch its rule off.

#[cfg(test)]
mod documents;
#[cfg(test)]
mod headers;
#[cfg(test)]
mod imports;
#[cfg(test)]
mod layers;
#[cfg(test)]
mod names;
#[cfg(test)]
mod places;
#[cfg(test)]
mod signal_path;
#[cfg(test)]
mod size_report;
#[cfg(test)]
mod source;
#[cfg(test)]
mod unsafe_code;

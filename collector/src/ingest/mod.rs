//! Taking profiles in: admit, decode, and say what was stored.

use axum::body::Body;
use axum::http::HeaderMap;
use flashlamp_profile::Profile;

use crate::budget::Reservation;
use crate::error::ApiError;
use crate::state::AppState;

pub mod body;

use body::{Encoding, Format};

/// A body, read, bounded, decoded: nothing is stored yet.
#[derive(Debug)]
pub struct Admitted {
    /// What it holds.
    pub profile: Profile,
    /// The bytes it was decoded from, uncompressed.
    pub bytes: Vec<u8>,
    /// What it takes of the decode budget, until this is dropped.
    pub reservation: Reservation,
}

/// Reads and decodes the body of a request.
///
/// # Errors
/// Every code that API.md lists under bodies.
pub async fn admit(
    state: &AppState,
    headers: &HeaderMap,
    body: &mut Body,
) -> Result<Admitted, ApiError> {
    let (encoding, format) = (Encoding::of(headers)?, Format::of(headers));
    let mut reservation = state.budget.reserve();
    let wire = body::read(headers, body, &mut reservation, state.body_time_max).await?;
    let work = move || {
        let (profile, bytes) = body::decode(wire, encoding, format, &mut reservation)?;
        Ok(Admitted {
            profile,
            bytes,
            reservation,
        })
    };
    state.decode(work).await
}

//! From the bytes of a request to a profile, within bounds at every step.
//!
//! ```text
//!  wire bytes ──► Content-Encoding ──► gzip or zstd by content ──► speedscope, pprof, folded
//!   BODY_BYTES_MAX   (0 or 1 layer)        (0 or 1 layer)              profile::Limits
//! ```
//!
//! Every layer is inflated piece by piece against [`limits::INFLATED_BYTES_MAX`] and the global
//! [`Budget`](crate::budget::Budget), so a bomb costs what is allowed and no more.

use std::io::Read;
use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, header};
use flashlamp_profile::{DecodeError, Limits, Profile, decode};
use http_body_util::BodyExt as _;

use crate::budget::{Reservation, append};
use crate::error::{ApiError, Code, chain};
use crate::limits;
use crate::series;

/// How the wire bytes are compressed, by `Content-Encoding`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As they are.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

impl Encoding {
    /// Reads `Content-Encoding`. One encoding at most.
    ///
    /// # Errors
    /// `unsupported_encoding`.
    pub fn of(headers: &HeaderMap) -> Result<Self, ApiError> {
        let mut values = headers.get_all(header::CONTENT_ENCODING).iter();
        let value = values
            .next()
            .map_or("", |value| value.to_str().unwrap_or("?"));
        match value.trim().to_ascii_lowercase().as_str() {
            _ if values.next().is_some() => {}
            "" | "identity" => return Ok(Self::Identity),
            "gzip" | "x-gzip" => return Ok(Self::Gzip),
            "zstd" => return Ok(Self::Zstd),
            _ => {}
        }
        let detail = "Content-Encoding has to be one of identity, gzip and zstd";
        Err(ApiError::new(Code::UnsupportedEncoding, detail))
    }

    fn by_content(bytes: &[u8]) -> Self {
        match bytes {
            [0x1F, 0x8B, ..] => Self::Gzip,
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Self::Zstd,
            _ => Self::Identity,
        }
    }
}

/// What a body says that it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// To be found by content.
    Unstated,
    /// speedscope JSON.
    Speedscope,
    /// pprof protobuf.
    Pprof,
    /// Folded text.
    Folded,
}

impl Format {
    /// Reads `Content-Type`. What is not known is a format to be found by content.
    pub fn of(headers: &HeaderMap) -> Self {
        let value = headers
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok());
        let essence = value.unwrap_or("").split(';').next().unwrap_or("").trim();
        match essence.to_ascii_lowercase().as_str() {
            "application/json" => Self::Speedscope,
            "application/x-protobuf"
            | "application/protobuf"
            | "application/vnd.google.protobuf" => Self::Pprof,
            "text/plain" => Self::Folded,
            _ => Self::Unstated,
        }
    }
}

/// Reads the body as it was sent.
///
/// # Errors
/// `body_too_large`, `body_timeout`, `body_incomplete`, `overloaded`.
pub async fn read(
    headers: &HeaderMap,
    body: &mut Body,
    reservation: &mut Reservation,
    time_max: Duration,
) -> Result<Vec<u8>, ApiError> {
    let stated = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok());
    let stated: Option<u64> = stated.and_then(|length| length.parse().ok());
    if stated.is_some_and(|length| length > limits::BODY_BYTES_MAX) {
        return Err(too_large());
    }
    let read = read_frames(body, reservation);
    tokio::time::timeout(time_max, read)
        .await
        .unwrap_or_else(|_elapsed| {
            let detail = format!(
                "the body did not arrive within {} seconds",
                time_max.as_secs()
            );
            Err(ApiError::new(Code::BodyTimeout, detail))
        })
}

async fn read_frames(body: &mut Body, reservation: &mut Reservation) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            ApiError::new(
                Code::BodyIncomplete,
                format!("the body broke off: {}", chain(&error)),
            )
        })?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        let sum = (bytes.len() + data.len()) as u64;
        if sum > limits::BODY_BYTES_MAX {
            return Err(too_large());
        }
        append(&mut bytes, &data, |both| reservation.grow_to(both as u64))?;
    }
    Ok(bytes)
}

/// Reads on after a refusal and throws away what comes, for a while. A sender that finds its
/// connection closed in the middle of its body never sees why.
pub async fn discard(body: &mut Body) {
    let discard = async {
        let mut bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            bytes += frame.data_ref().map_or(0, |data| data.len() as u64);
            if bytes > limits::DISCARD_BYTES_MAX {
                break;
            }
        }
    };
    // Who is still not done by then has had its chance.
    let _elapsed = tokio::time::timeout(limits::DISCARD_TIME_MAX, discard).await;
}

fn too_large() -> ApiError {
    let detail = format!("the body is larger than {} bytes", limits::BODY_BYTES_MAX);
    ApiError::new(Code::BodyTooLarge, detail)
}

/// Inflates and decodes. Blocks for as long as the work takes.
///
/// Returns the profile and the bytes it was decoded from.
///
/// # Errors
/// Any code of [`DecodeError::CODES`], `bad_zstd`, `too_many_frames`, `too_many_losses`,
/// `overloaded`.
pub fn decode(
    wire: Vec<u8>,
    encoding: Encoding,
    format: Format,
    reservation: &mut Reservation,
) -> Result<(Profile, Vec<u8>), ApiError> {
    let outer = inflate(wire, encoding, reservation)?;
    let inner_encoding = Encoding::by_content(&outer);
    let bytes = inflate(outer, inner_encoding, reservation)?;
    if Encoding::by_content(&bytes) != Encoding::Identity {
        return Err(DecodeError::NestedCompression.into());
    }
    reservation.grow_to((bytes.len() as u64).saturating_mul(limits::DECODED_FACTOR))?;
    let limits = Limits {
        inflated_bytes_max: inflated_max(),
        ..Limits::default()
    };
    let profile = match format {
        Format::Unstated => decode::any(&bytes, &limits),
        Format::Speedscope => decode::speedscope(&bytes, &limits),
        Format::Pprof => decode::pprof(&bytes, &limits),
        Format::Folded => decode::folded(&bytes, &limits),
    }?;
    let nodes = profile.stack_node_count() as u64;
    reservation.grow_to(nodes.saturating_mul(limits::STACK_NODE_BYTES))?;
    check_frames(&profile)?;
    check_losses(&profile)?;
    series::check_types(profile.value_types()).map_err(|reason| DecodeError::Pprof { reason })?;
    Ok((profile, bytes))
}

/// Counts frames over all samples, once for each value as speedscope lists them.
fn check_frames(profile: &Profile) -> Result<(), ApiError> {
    let times = profile.value_types().len().max(1) as u64;
    let frames = profile.extent().samples.frames.saturating_mul(times);
    if frames <= limits::FRAMES_MAX {
        return Ok(());
    }
    let detail = format!("more than {} frames over all samples", limits::FRAMES_MAX);
    Err(ApiError::new(Code::TooManyFrames, detail))
}

/// Reasons for loss are few short words.
fn check_losses(profile: &Profile) -> Result<(), ApiError> {
    let (count, bytes) = (limits::BODY_LOSS_REASONS_MAX, limits::NAME_BYTES_MAX);
    let losses = profile.losses();
    if losses.len() <= count && losses.keys().all(|reason| reason.len() <= bytes) {
        return Ok(());
    }
    let detail = format!("more than {count} reasons for loss, or one longer than {bytes} bytes");
    Err(ApiError::new(Code::TooManyLosses, detail))
}

fn inflated_max() -> usize {
    usize::try_from(limits::INFLATED_BYTES_MAX).unwrap_or(usize::MAX)
}

fn inflate(
    bytes: Vec<u8>,
    encoding: Encoding,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, ApiError> {
    let bad_gzip = |error| ApiError::from(DecodeError::Gzip(error));
    let bad_zstd =
        |error: std::io::Error| ApiError::new(Code::BadZstd, format!("bad zstd data: {error}"));
    match encoding {
        Encoding::Identity => Ok(bytes),
        Encoding::Gzip => {
            let stream = decode::gzip_reader(&bytes);
            read_bounded(stream, bytes.len(), reservation, bad_gzip)
        }
        Encoding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(bytes.as_slice()).map_err(bad_zstd)?;
            decoder
                .window_log_max(limits::ZSTD_WINDOW_LOG_MAX)
                .map_err(bad_zstd)?;
            read_bounded(decoder, bytes.len(), reservation, bad_zstd)
        }
    }
}

/// Reads to the end of the stream, or to the first bound.
fn read_bounded(
    mut stream: impl Read,
    wire_bytes: usize,
    reservation: &mut Reservation,
    bad: impl Fn(std::io::Error) -> ApiError,
) -> Result<Vec<u8>, ApiError> {
    let mut out = Vec::new();
    let mut piece = vec![0; 64 << 10];
    loop {
        let count = stream.read(&mut piece).map_err(&bad)?;
        let Some(read) = piece.get(..count).filter(|read| !read.is_empty()) else {
            return Ok(out);
        };
        if out.len() + count > inflated_max() {
            return Err(DecodeError::InflatedTooLarge {
                limit: inflated_max(),
            }
            .into());
        }
        append(&mut out, read, |both| {
            reservation.grow_to((wire_bytes + both) as u64)
        })?;
    }
}

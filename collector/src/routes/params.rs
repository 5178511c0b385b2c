//! What parameters may look like, said once for all routes.

use axum::extract::FromRequestParts;
use axum::http::HeaderMap;
use axum::http::request::Parts;
use flashlamp_profile::Timestamp;
use flashlamp_viewer::text;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::error::{ApiError, Code};
use crate::limits;
use crate::profiles::ProfileId;
use crate::series::check_word;
use crate::time::{Hour, parse_instant};

/// The variable parts of an address, percent-decoded.
pub(super) struct Path<T>(pub(super) T);

impl<S, T> FromRequestParts<S> for Path<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Send,
{
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let read = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        read.map(|axum::extract::Path(path)| Self(path))
            .map_err(|rejection| ApiError::new(Code::BadParameter, rejection.body_text()))
    }
}

/// The query of an address that takes no parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Nothing {}

/// Whether a query is UTF-8 once its percent signs are decoded. What reads it would put U+FFFD in
/// the place of what is not, and so take different names for the same.
pub(super) fn is_utf8(query: &str) -> bool {
    let mut bytes = Vec::with_capacity(query.len());
    let mut rest = query.as_bytes();
    while let [first, tail @ ..] = rest {
        let decoded = match tail {
            [high, low, ..] if *first == b'%' => digit(*high).zip(digit(*low)),
            _ => None,
        };
        bytes.push(decoded.map_or(*first, |(high, low)| high << 4 | low));
        rest = tail.get(decoded.map_or(0, |_| 2)..).unwrap_or_default();
    }
    std::str::from_utf8(&bytes).is_ok()
}

fn digit(byte: u8) -> Option<u8> {
    let value = char::from(byte).to_digit(16)?;
    u8::try_from(value).ok()
}

/// A service's name. It stands in addresses and tells one owner's data from another's, so it has
/// to be one that an address can hold and that looks like no other.
pub(super) fn service(text: Option<String>) -> Result<String, ApiError> {
    let text = text.unwrap_or_default();
    let check = check_word(&text).and_then(|()| {
        if matches!(text.as_str(), "." | "..") {
            return Err("is a step in a path, which no address can hold".to_owned());
        }
        if text::visible(&text) != text {
            return Err("is blank, or holds characters that hide or reorder others".to_owned());
        }
        Ok(())
    });
    check.map(|()| text).map_err(|wrong| {
        ApiError::new(Code::BadService, format!("the parameter `service` {wrong}"))
    })
}

/// An entry point's name, where one is given.
pub(super) fn entry(text: Option<String>) -> Result<Option<String>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    check_word(&text)
        .map(|()| Some(text))
        .map_err(|wrong| ApiError::new(Code::BadEntry, format!("the parameter `entry` {wrong}")))
}

/// A text that is only shown, where one is given.
pub(super) fn shown(
    parameter: &str,
    text: Option<String>,
    bytes_max: usize,
) -> Result<Option<String>, ApiError> {
    match text {
        Some(text) if text.len() > bytes_max => {
            let detail = format!("the parameter `{parameter}` is longer than {bytes_max} bytes");
            Err(ApiError::new(Code::BadName, detail))
        }
        text => Ok(text.filter(|text| !text.is_empty())),
    }
}

/// A request profile's id.
pub(super) fn id(text: &str) -> Result<ProfileId, ApiError> {
    ProfileId::parse(text).ok_or_else(|| {
        ApiError::new(
            Code::BadId,
            "the id of a request profile is 32 hexadecimal digits",
        )
    })
}

/// An instant, where one is given.
pub(super) fn instant(parameter: &str, text: Option<&str>) -> Result<Option<Timestamp>, ApiError> {
    let Some(text) = text else { return Ok(None) };
    parse_instant(text).map(Some).ok_or_else(|| {
        let detail = format!(
            "the parameter `{parameter}` is neither UNIX seconds (1763784000.5) nor RFC 3339 \
             (2025-11-22T04:00:00.5Z, with a `+` written as %2B)"
        );
        ApiError::new(Code::BadTime, detail)
    })
}

/// The whole hours that a range of time touches; the last 24 hours where nothing is said.
pub(super) fn hours(
    from: Option<Timestamp>,
    until: Option<Timestamp>,
    now: Timestamp,
) -> Result<(Hour, Hour), ApiError> {
    let until_hour = match until {
        Some(until) if Hour::of(until).start() == until => Hour::of(until),
        Some(until) => Hour::of(until).plus(1),
        None => Hour::of(now).plus(1),
    };
    let from_hour = from.map_or_else(|| until_hour.minus(24), Hour::of);
    if from.zip(until).is_some_and(|(from, until)| until < from) || until_hour < from_hour {
        return Err(ApiError::new(Code::BadTimeRange, "until is before from"));
    }
    if until_hour.number() - from_hour.number() > limits::RANGE_DAYS_MAX * 24 {
        let detail = format!("a range is at most {} days long", limits::RANGE_DAYS_MAX);
        return Err(ApiError::new(Code::BadTimeRange, detail));
    }
    Ok((from_hour, until_hour.max(from_hour.plus(1))))
}

/// The idempotency key, where one is given. Two that differ would each name another window, so
/// only one may come.
pub(super) fn idempotency_key(headers: &HeaderMap) -> Result<Option<String>, ApiError> {
    let mut values = headers.get_all("idempotency-key").iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    let text = str::from_utf8(value.as_bytes()).unwrap_or("").trim();
    let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
    let fits = !text.is_empty() && text.len() <= limits::NAME_BYTES_MAX && is_printable;
    if !fits || values.next().is_some() {
        let detail = format!(
            "Idempotency-Key has to be one key, 1 to {} characters of printable ASCII",
            limits::NAME_BYTES_MAX
        );
        return Err(ApiError::new(Code::BadIdempotencyKey, detail));
    }
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_is_utf8_or_it_is_not() {
        for good in [
            "",
            "a=b",
            "a=%C3%BC&b=%e2%82%ac",
            "a=100%",
            "a=%zz%2",
            "a=ü",
            "%F0%9F%A6%80",
        ] {
            assert!(is_utf8(good), "{good}");
        }
        for bad in [
            "%FF",
            "a=%C3",
            "a=%C3&b=%BC",
            "a=%c0%80",
            "a=%ED%A0%80",
            "a=%C3ü",
        ] {
            assert!(!is_utf8(bad), "{bad}");
        }
    }
}

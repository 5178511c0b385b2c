//! Request profiles: what is known about one, kept apart from its samples.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use flashlamp_profile::{Column, Profile, Tally, Timestamp, markers};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tracing::warn;

use crate::aggregate::{RowError, is_readable, pack, unpack, unpacking_bytes};
use crate::allowance::{Allowance, AllowanceError};
use crate::error::{ApiError, chain};
use crate::limits;
use crate::random;
use crate::store::keys::{self, IdBytes};
use crate::store::{Batch, ReadError, Snapshot};

/// The newest version of the stored metadata, and the one that is written.
const VERSION: u32 = 1;

/// The version byte of a stored profile.
const BLOB_VERSION: u8 = 1;

/// A request profile's id: 128 bits, written as 32 hexadecimal digits. It is no credential.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProfileId(IdBytes);

impl ProfileId {
    /// A new one.
    pub fn random() -> Self {
        Self(random::id())
    }

    /// Reads 32 hexadecimal digits.
    pub fn parse(text: &str) -> Option<Self> {
        random::parse_hex(text).map(Self)
    }
}

impl std::fmt::Display for ProfileId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&random::hex(&self.0))
    }
}

/// Samples and event counts, as they stand in JSON.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// How many samples.
    pub samples: u64,
    /// How many periods they stand for.
    pub events: u64,
}

impl From<Tally> for Count {
    fn from(tally: Tally) -> Self {
        Self {
            samples: tally.samples,
            events: tally.events,
        }
    }
}

impl From<Count> for Tally {
    fn from(count: Count) -> Self {
        Self {
            samples: count.samples,
            events: count.events,
        }
    }
}

/// What is known about a request profile without unpacking it. Durations are in nanoseconds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meta {
    version: u32,
    /// 32 hexadecimal digits.
    pub id: String,
    /// The service.
    pub service: String,
    /// The entry point, where one is known.
    pub entry: Option<String>,
    /// What was profiled, as `GET /checkout`.
    pub name: String,
    /// The address that was requested, where the sender says.
    pub url: Option<String>,
    /// When it began, in nanoseconds since the epoch.
    pub time_ns: Option<u64>,
    /// When it was stored, in nanoseconds since the epoch.
    pub received_ns: u64,
    /// How long it took.
    pub duration_ns: Option<u64>,
    /// The nominal distance between samples.
    pub period_ns: Option<u64>,
    /// What was measured: `wall`, `cpu`, or `samples`.
    pub clock: String,
    /// What is in it.
    pub stored: Count,
    /// What was taken and is not in it, by reason.
    pub losses: BTreeMap<String, Count>,
    /// The samples whose callers were cut.
    pub truncated: Count,
    /// The part of the duration that no thread spent; `None` where that was not measured.
    pub not_on_a_thread_ns: Option<u64>,
    /// SHA-256 of the body as it came, uncompressed, in hexadecimal digits.
    pub body_sha256: String,
}

/// What the sender says about a profile beside its samples.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Told {
    /// The service.
    pub service: String,
    /// The entry point.
    pub entry: Option<String>,
    /// The name; the profile's own where there is none, cut to what a name may be.
    pub name: Option<String>,
    /// The address that was requested.
    pub url: Option<String>,
}

/// Why a stored request profile cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ProfileError {
    /// The store failed.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The metadata is damaged, or newer than this release.
    #[error("the metadata of a request profile cannot be read")]
    Meta(#[source] serde_json::Error),
    /// A later release wrote it.
    #[error("a request profile has version {found}, this release knows {VERSION}")]
    NewerVersion {
        /// Its version.
        found: u32,
    },
    /// The samples cannot be read.
    #[error(transparent)]
    Samples(#[from] RowError),
    /// The samples take too much memory, or nobody waits for them.
    #[error(transparent)]
    Allowance(#[from] AllowanceError),
}

impl Meta {
    /// Describes a profile.
    pub fn of(id: ProfileId, told: Told, profile: &Profile, body: &[u8], now: Timestamp) -> Self {
        let column = Column::default_for(profile);
        let value_type = column.value_type(profile);
        let wall_ns = (value_type.name == "wall" && value_type.unit == "nanoseconds")
            .then(|| profile.marker_total(markers::NOT_ON_A_THREAD, column));
        let name = told.name.unwrap_or_else(|| shortened(profile.name()));
        let losses = profile.losses().iter();
        let digest: [u8; 32] = Sha256::digest(body).into();
        Self {
            version: VERSION,
            id: id.to_string(),
            service: told.service,
            name: if name.is_empty() {
                told.entry.clone().unwrap_or_default()
            } else {
                name
            },
            entry: told.entry,
            url: told.url,
            time_ns: profile.start().map(Timestamp::as_nanos),
            received_ns: now.as_nanos(),
            duration_ns: profile.duration().map(flashlamp_profile::Nanos::as_nanos),
            period_ns: profile.period().map(flashlamp_profile::Period::as_nanos),
            clock: value_type.name.into_owned(),
            stored: profile.stored().into(),
            losses: losses
                .map(|(reason, tally)| (reason.clone(), (*tally).into()))
                .collect(),
            truncated: profile.truncated().into(),
            not_on_a_thread_ns: wall_ns,
            body_sha256: random::hex(&digest),
        }
    }

    /// What was lost, over all reasons.
    pub fn lost(&self) -> Tally {
        self.losses.values().copied().map(Tally::from).sum()
    }

    /// What was taken: stored and lost.
    pub fn taken(&self) -> Tally {
        Tally::from(self.stored) + self.lost()
    }

    /// Whether this was described from the same body and words, whenever that was.
    pub fn is_same_upload(&self, other: &Self) -> bool {
        let words = |meta: &Self| {
            (
                meta.service.clone(),
                meta.entry.clone(),
                meta.name.clone(),
                meta.url.clone(),
            )
        };
        self.body_sha256 == other.body_sha256 && words(self) == words(other)
    }
}

/// A profile's own name, which may be far longer than one for a list. Only the name is cut.
fn shortened(name: &str) -> String {
    if name.len() <= limits::NAME_BYTES_MAX {
        return name.to_owned();
    }
    let end = name.floor_char_boundary(limits::NAME_BYTES_MAX - '…'.len_utf8());
    format!("{}…", name.get(..end).unwrap_or_default())
}

/// The write that stores a request profile, all or nothing. It fails if the id is taken.
///
/// # Errors
/// `too_many_frames` where no answer could hold it.
///
/// # Panics
/// Never: numbers and text are always JSON.
pub fn batch(
    tenant: &str,
    id: ProfileId,
    meta: &Meta,
    profile: &Profile,
) -> Result<Batch, ApiError> {
    let packed = pack(profile);
    if !is_readable(&packed) {
        return Err(ApiError::unreadable());
    }
    let mut blob = vec![BLOB_VERSION];
    blob.extend(packed);
    let text = serde_json::to_vec(meta).expect("text and numbers are always JSON");
    let mut batch = Batch::new();
    batch.put_if_absent(keys::profile_meta(tenant, id.0), text);
    batch.put_if_absent(keys::profile_blob(tenant, id.0), blob);
    batch.put(
        keys::profile_by_time(tenant, meta.received_ns, id.0),
        vec![1],
    );
    Ok(batch)
}

/// Reads the stored form of the metadata.
///
/// # Errors
/// [`ProfileError::Meta`], [`ProfileError::NewerVersion`].
pub fn read_meta(bytes: &[u8]) -> Result<Meta, ProfileError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    let Versioned { version: found } = serde_json::from_slice(bytes).map_err(ProfileError::Meta)?;
    if found > VERSION {
        return Err(ProfileError::NewerVersion { found });
    }
    serde_json::from_slice(bytes).map_err(ProfileError::Meta)
}

/// The metadata of one request profile.
///
/// # Errors
/// As [`ProfileError`].
pub fn meta(
    snapshot: &dyn Snapshot,
    tenant: &str,
    id: ProfileId,
) -> Result<Option<Meta>, ProfileError> {
    let bytes = snapshot.get(&keys::profile_meta(tenant, id.0))?;
    bytes.map(|bytes| read_meta(&bytes)).transpose()
}

/// The samples of one request profile. `allowance` holds what they take.
///
/// # Errors
/// As [`ProfileError`].
pub fn samples(
    snapshot: &dyn Snapshot,
    tenant: &str,
    id: ProfileId,
    allowance: &mut Allowance,
) -> Result<Option<Profile>, ProfileError> {
    let Some(bytes) = snapshot.get(&keys::profile_blob(tenant, id.0))? else {
        return Ok(None);
    };
    match bytes.split_first() {
        Some((&BLOB_VERSION, packed)) => {
            allowance.set(bytes.len() + unpacking_bytes(packed)?)?;
            let profile = unpack(packed)?;
            allowance.set(profile.heap_bytes())?;
            Ok(Some(profile))
        }
        Some((&found, _)) => Err(ProfileError::NewerVersion {
            found: found.into(),
        }),
        None => Err(RowError::Damaged("it is empty").into()),
    }
}

/// Which request profiles a list holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Of this service only.
    pub service: Option<String>,
    /// Of this entry point only.
    pub entry: Option<String>,
}

impl Filter {
    fn admits(&self, meta: &Meta) -> bool {
        let service = self
            .service
            .as_ref()
            .is_none_or(|service| *service == meta.service);
        service
            && self
                .entry
                .as_ref()
                .is_none_or(|entry| Some(entry) == meta.entry.as_ref())
    }
}

/// The latest request profiles, newest first, at most `count` of them.
///
/// A filter looks at the latest [`limits::LIST_SCANNED_MAX`]. Touches no samples. `allowance` holds
/// what they take, with what is written of them, beside what it held.
///
/// # Errors
/// As [`ProfileError`].
pub fn latest(
    snapshot: &dyn Snapshot,
    tenant: &str,
    filter: &Filter,
    count: usize,
    allowance: &mut Allowance,
) -> Result<Vec<Meta>, ProfileError> {
    let mut ids = Vec::new();
    let unfiltered = *filter == Filter::default();
    let scanned_max = if unfiltered {
        count
    } else {
        limits::LIST_SCANNED_MAX
    };
    snapshot.scan_keys(&keys::profiles_by_time(tenant), &mut |key| {
        ids.extend(keys::read_profile_by_time(key).map(ProfileId));
        if ids.len() < scanned_max {
            ControlFlow::Continue(())
        } else {
            ControlFlow::Break(())
        }
    })?;
    let (base_bytes, mut bytes) = (allowance.held(), 0);
    let mut found = Vec::new();
    for id in ids {
        if found.len() >= count {
            break;
        }
        let Some(stored) = snapshot.get(&keys::profile_meta(tenant, id.0))? else {
            continue;
        };
        let listed_bytes = limits::LISTED_FACTOR * stored.len();
        allowance.set(base_bytes + bytes + listed_bytes)?;
        match read_meta(&stored) {
            Ok(meta) if filter.admits(&meta) => {
                bytes += listed_bytes;
                found.push(meta);
            }
            Ok(_) => {}
            // One row that cannot be read must not hide the others.
            Err(error) => warn!(error = %chain(&error), %id, "left out of the list"),
        }
    }
    Ok(found)
}

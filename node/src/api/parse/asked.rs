//! What lists, watches and reads ask for: page sizes, cursors, freshness, filters.
//!
//! Cursors are opaque to callers; a cursor of one list is refused by another.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use stellara_machine::ids::Index;
use stellara_proto::v1;

use super::{Invalid, refused};
use crate::gateway::Freshness;

/// Items of a page when the caller does not say.
const PAGE_SIZE_DEFAULT: u32 = 50;
/// Most items of a page.
pub const PAGE_SIZE_MAX: u32 = 500;
/// Most payments of a quote.
const QUOTED_MAX: u32 = 1_000_000;
/// Hours that savings are told of when the caller does not say.
const HOURS_DEFAULT: u32 = 24;
/// Most hours: 366 days.
const HOURS_MAX: u32 = 366 * 24;
/// Most payments of one message, and most payments a watch can name.
pub const ITEMS_MAX: usize = 1_000;

/// A page's size: 50 when 0, at most 500.
///
/// # Errors
/// `Invalid`.
pub fn page_size(page_size: u32) -> Result<usize, Invalid> {
    let size = match page_size {
        0 => PAGE_SIZE_DEFAULT,
        1..=PAGE_SIZE_MAX => page_size,
        _ => return Err(refused("page_size", &page_size.to_string(), "1 to 500")),
    };
    Ok(usize::try_from(size).expect("500 fits every usize"))
}

/// How many payments a quote is about: 1 when 0, at most a million.
///
/// # Errors
/// `Invalid`.
pub fn quoted(payments: u32) -> Result<usize, Invalid> {
    match payments {
        0..=QUOTED_MAX => Ok(usize::try_from(payments.max(1)).expect("a million fits every usize")),
        _ => Err(refused("payments", &payments.to_string(), "1 to 1000000")),
    }
}

/// A span of hours: 24 when 0, at most 366 days.
///
/// # Errors
/// `Invalid`.
pub fn hours(hours: u32) -> Result<u32, Invalid> {
    match hours {
        0 => Ok(HOURS_DEFAULT),
        1..=HOURS_MAX => Ok(hours),
        _ => Err(refused("hours", &hours.to_string(), "1 to 8784")),
    }
}

/// What a page's cursor is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// Payments.
    Payments,
    /// Batches.
    Batches,
    /// Samples of the network's fees.
    FeeSamples,
}

impl Listed {
    /// The first byte of its cursors.
    pub(in crate::api) const fn tag(self) -> u8 {
        match self {
            Self::Payments => 1,
            Self::Batches => 2,
            Self::FeeSamples => 3,
        }
    }
}

/// Where a page begins: after this identity; the empty cursor is the first page's.
///
/// # Errors
/// `Invalid`.
pub fn page_cursor(listed: Listed, text: &str) -> Result<u64, Invalid> {
    if text.is_empty() {
        return Ok(0);
    }
    let bytes = URL_SAFE_NO_PAD.decode(text).unwrap_or_default();
    match <[u8; 9]>::try_from(bytes.as_slice()) {
        Ok([tag, id @ ..]) if tag == listed.tag() => Ok(u64::from_be_bytes(id)),
        Ok(_) | Err(_) => Err(refused(
            "cursor",
            text,
            "the next_cursor of an earlier page of this list",
        )),
    }
}

/// A place in the feed: all entries before `index` were seen, and the first `seen` events of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The entry.
    pub index: Index,
    /// Events of it that were seen.
    pub seen: u32,
}

/// Where a watch begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WatchFrom {
    /// With what happens from now on.
    Now,
    /// After this place.
    Place(Place),
}

/// A watch's cursor: empty, `0`, or `<index>.<events seen>`.
///
/// # Errors
/// `Invalid`.
pub fn watch_cursor(text: &str) -> Result<WatchFrom, Invalid> {
    const EXPECTED: &str = "\"\" for now, \"0\" for the beginning, or the cursor of an event";
    if text.is_empty() {
        return Ok(WatchFrom::Now);
    }
    if text == "0" {
        return Ok(WatchFrom::Place(Place::default()));
    }
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    text.split_once('.')
        .filter(|(index, seen)| digits(index) && digits(seen))
        .and_then(|(index, seen)| Some((index.parse().ok()?, seen.parse().ok()?)))
        .map(|(index, seen)| {
            let index = Index(index);
            WatchFrom::Place(Place { index, seen })
        })
        .ok_or_else(|| refused("cursor", text, EXPECTED))
}

/// How fresh a read must be; linearizable unless asked otherwise.
///
/// # Errors
/// `Invalid` for a number without a name.
pub fn freshness(consistency: i32, staleness_max_ms: u64) -> Result<Freshness, Invalid> {
    match v1::Consistency::try_from(consistency) {
        Ok(v1::Consistency::Unspecified | v1::Consistency::Linearizable) => {
            Ok(Freshness::Linearizable)
        }
        Ok(v1::Consistency::Stale) => Ok(Freshness::Stale { staleness_max_ms }),
        Err(_) => Err(refused(
            "consistency",
            &consistency.to_string(),
            "CONSISTENCY_LINEARIZABLE or CONSISTENCY_STALE",
        )),
    }
}

/// The stage a list is filtered by; none when unset.
///
/// # Errors
/// `Invalid` for a number without a name.
pub fn stage_filter(stage: i32) -> Result<Option<v1::PaymentStage>, Invalid> {
    match v1::PaymentStage::try_from(stage) {
        Ok(v1::PaymentStage::Unspecified) => Ok(None),
        Ok(
            stage @ (v1::PaymentStage::Queued
            | v1::PaymentStage::Batched
            | v1::PaymentStage::Settled
            | v1::PaymentStage::Failed
            | v1::PaymentStage::Cancelled),
        ) => Ok(Some(stage)),
        Err(_) => Err(refused(
            "stage",
            &stage.to_string(),
            "the name of a payment stage",
        )),
    }
}

/// That a message holds 1 to 1,000 items.
///
/// # Errors
/// `Invalid`.
pub fn items(field: &'static str, count: usize) -> Result<(), Invalid> {
    if (1..=ITEMS_MAX).contains(&count) {
        Ok(())
    } else {
        Err(refused(field, &format!("{count} items"), "1 to 1000 items"))
    }
}

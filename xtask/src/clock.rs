//! The one place of this crate that meets real time.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A moment to measure from with `elapsed`.
#[expect(
    clippy::disallowed_methods,
    reason = "tasks measure real processes; no runtime interface is at hand"
)]
pub fn now() -> Instant {
    Instant::now()
}

/// A time in whole milliseconds.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// Today's date in UTC as `YYYY-MM-DD`, to compare with the dates in `deny.toml`.
#[expect(
    clippy::disallowed_methods,
    reason = "an exception expires on a date of the calendar"
)]
pub fn today() -> String {
    let since_epoch = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    date(since_epoch.as_secs() / 86_400)
}

/// The civil date of a day counted from 1970-01-01 (Howard Hinnant's `civil_from_days`).
fn date(days: u64) -> String {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_shifted + 2) / 5 + 1;
    let month = if month_shifted < 10 {
        month_shifted + 3
    } else {
        month_shifted - 9
    };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

#[cfg(test)]
mod tests {
    use super::date;

    #[test]
    fn days_become_dates() {
        for (days, expected) in [
            (0, "1970-01-01"),
            (11_016, "2000-02-29"),
            (11_017, "2000-03-01"),
            (19_723, "2024-01-01"),
            (20_634, "2026-06-30"),
        ] {
            assert_eq!(date(days), expected);
        }
    }
}

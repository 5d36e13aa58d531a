//! The executor's settings: local pace and patience. What decides about payments is in the replicated policy.

/// How the executor paces and waits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Time between look-ups of a transaction in flight, in milliseconds.
    pub poll_ms: u64,
    /// The usual time from ledger to ledger, in milliseconds.
    pub ledger_ms: u64,
    /// How far a transaction's time bound lies ahead, in seconds.
    pub time_bound_s: u64,
    /// How many ledgers a transaction's ledger bound lies ahead.
    pub bound_ledgers: u32,
    /// How much of its bounds a transaction must have left to be bumped again, in seconds.
    pub bump_room_s: u64,
    /// Ledgers after which an accepted transaction that is not in a ledger is offered again.
    pub resend_ledgers: u64,
    /// Times in a row that "try again later" is met by waiting, before a new bump is made.
    pub try_later_max: u32,
    /// Batches that settle at the same time.
    pub settlements_max: usize,
    /// Operations offered within one ledger's time, bumps included: past the free capacity they only raise the fee.
    pub operations_per_ledger_max: u32,
    /// Time for one call of the ledger, in milliseconds.
    pub request_timeout_ms: u64,
    /// First wait after a failure, in milliseconds; doubles with each.
    pub backoff_base_ms: u64,
    /// Longest wait, in milliseconds.
    pub backoff_max_ms: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            poll_ms: 1_000,
            ledger_ms: 5_000,
            time_bound_s: 60,
            bound_ledgers: 12,
            bump_room_s: 10,
            resend_ledgers: 4,
            try_later_max: 2,
            settlements_max: 64,
            operations_per_ledger_max: 900,
            request_timeout_ms: 30_000,
            backoff_base_ms: 500,
            backoff_max_ms: 30_000,
        }
    }
}

/// A setting is out of its bounds.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("settlement.{field} is {value}, expected {least} to {most}")]
pub struct SettingsError {
    /// Which.
    pub field: &'static str,
    /// Its value.
    pub value: u64,
    /// The least it may be.
    pub least: u64,
    /// The most it may be.
    pub most: u64,
}

impl Settings {
    /// Checks every bound.
    ///
    /// # Errors
    /// The first setting that is out of its bounds.
    pub fn validated(self) -> Result<Self, SettingsError> {
        let settlements = u64::try_from(self.settlements_max).unwrap_or(u64::MAX);
        let bounds = [
            ("poll_ms", self.poll_ms, 10, 60_000),
            ("ledger_ms", self.ledger_ms, 100, 60_000),
            ("time_bound_s", self.time_bound_s, 5, 3_600),
            ("bound_ledgers", u64::from(self.bound_ledgers), 2, 1_000),
            // Without room between them no transaction could ever be bumped again.
            (
                "bump_room_s",
                self.bump_room_s,
                1,
                self.time_bound_s.saturating_sub(1),
            ),
            ("resend_ledgers", self.resend_ledgers, 1, 100),
            ("try_later_max", u64::from(self.try_later_max), 1, 100),
            ("settlements_max", settlements, 1, 1_024),
            // A full batch and its bump must fit.
            (
                "operations_per_ledger_max",
                u64::from(self.operations_per_ledger_max),
                101,
                1_000_000,
            ),
            ("request_timeout_ms", self.request_timeout_ms, 100, 300_000),
            ("backoff_base_ms", self.backoff_base_ms, 10, 60_000),
            (
                "backoff_max_ms",
                self.backoff_max_ms,
                self.backoff_base_ms,
                600_000,
            ),
        ];
        for (field, value, least, most) in bounds {
            if value < least || value > most {
                return Err(SettingsError {
                    field,
                    value,
                    least,
                    most,
                });
            }
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_each_bound_is_named() {
        Settings::default().validated().unwrap();
        let check = |change: fn(&mut Settings), text: &str| {
            let mut settings = Settings::default();
            change(&mut settings);
            assert_eq!(settings.validated().unwrap_err().to_string(), text);
        };
        check(
            |settings| settings.poll_ms = 0,
            "settlement.poll_ms is 0, expected 10 to 60000",
        );
        check(
            |settings| settings.operations_per_ledger_max = 100,
            "settlement.operations_per_ledger_max is 100, expected 101 to 1000000",
        );
        check(
            |settings| settings.bump_room_s = 60,
            "settlement.bump_room_s is 60, expected 1 to 59",
        );
        check(
            |settings| settings.time_bound_s = 0,
            "settlement.time_bound_s is 0, expected 5 to 3600",
        );
    }
}

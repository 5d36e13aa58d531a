//! Bounds: every collection of the machine and every field it stores.

/// Commands in one log entry; an offset fits 16 bits.
pub const ENTRY_COMMANDS_MAX: usize = 8_192;
/// Bytes of an idempotency key.
pub const IDEMPOTENCY_KEY_BYTES_MAX: usize = 128;
/// Bytes of a payment's reference, free text of the caller.
pub const REFERENCE_BYTES_MAX: usize = 1_024;
/// Bytes of a text memo (Stellar protocol).
pub const MEMO_TEXT_BYTES_MAX: usize = 28;
/// The largest amount of one payment: 10^16 stroops, a billion units.
pub const AMOUNT_STROOPS_MAX: i64 = 10_000_000_000_000_000;
/// Payments waiting in all queues; past it a submission is refused with a retry time.
pub const QUEUED_PAYMENTS_MAX: usize = 4_000_000;
/// Distinct (treasury, memo, lane) groups with waiting payments.
pub const GROUPS_MAX: usize = 1_000_000;
/// Batches that are formed and not ended.
pub const LIVE_BATCHES_MAX: usize = 10_000;
/// Payments of one batch: a Stellar transaction holds at most 100 operations.
pub const BATCH_PAYMENTS_MAX: usize = 100;
/// Attempts of one batch.
pub const ATTEMPTS_MAX: u16 = 64;
/// Bytes of one signed envelope (100 operations and 20 signatures stay far below).
pub const ENVELOPE_BYTES_MAX: usize = 64 * 1_024;
/// Treasury, channel and fee accounts together.
pub const ACCOUNTS_MAX: usize = 10_000;
/// How long a key answers as before: 7 days, in milliseconds.
pub const IDEMPOTENCY_MS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// Bytes of a code of the ledger, as `op_no_destination`.
pub const CODE_BYTES_MAX: usize = 64;

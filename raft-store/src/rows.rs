//! The state's rows: their keys, and how changes become writes and writes become changes again.
//!
//! A first byte tells the kind of a row; the rest of a key sorts as its identity does.

use bincode::{BorrowDecode, Encode};
use prost::Message;
use stellara_machine::decision::{Change, Effect, EntryRecord, Payment, PaymentStatus};
use stellara_machine::fees::book::FeeHour;
use stellara_machine::fees::market::FeeSample;
use stellara_machine::ids::{
    AccountId, AttemptNo, BatchId, DeveloperId, Hash, IdempotencyKey, Index, PaymentId,
};
use stellara_machine::state::{State, StateMeta, Totals};
use stellara_machine::units::{LedgerSeq, UnixMs};
use stellara_proto::v1::{log, peer};

use crate::codec::{self, DecodeError};
use crate::engine::{Batch, Direction, Engine, EngineError, Scan, Space};
use crate::private;
use crate::types::{self, LogId, StoredMembership};

/// Rows read at a time while loading.
const LOAD_ROWS_MAX: usize = 4_096;

const META: &[u8] = b"m";
const POLICY: &[u8] = b"p";
const MARKET: &[u8] = b"f";
const HOUR: u8 = b'h';
const SAMPLE: u8 = b'g';
/// Samples of the network's fees are kept for so many ledgers: a week.
const SAMPLE_LEDGERS: u32 = 7 * 24 * 720;
/// Old samples are removed every so many ledgers.
const SAMPLES_REMOVED_EVERY: u32 = 1_024;
const QUEUE: u8 = b'q';
const BATCH: u8 = b'b';
const LIVE: u8 = b'l';
const EFFECT: u8 = b'e';
const ACCOUNT: u8 = b'a';
const STATUS: u8 = b's';
const PAYMENT: u8 = b'p';
const ATTEMPT: u8 = b't';

fn id_key(kind: u8, id: u64) -> Vec<u8> {
    let mut key = Vec::with_capacity(9);
    key.push(kind);
    key.extend_from_slice(&id.to_be_bytes());
    key
}

/// The key of a sample of the network's fees, in `Space::Rows`.
#[must_use]
pub fn fee_sample_key(ledger: LedgerSeq) -> Vec<u8> {
    id_key(SAMPLE, u64::from(ledger.0))
}

/// The key of an hour of the book of fees, in `Space::Rows`.
#[must_use]
pub fn fee_hour_key(hour: u32) -> Vec<u8> {
    id_key(HOUR, u64::from(hour))
}

/// The key of one of our accounts, in `Space::Rows`.
fn account_key(account: AccountId) -> Vec<u8> {
    let mut key = vec![ACCOUNT];
    key.extend_from_slice(&account.0);
    key
}

/// The key of a payment's body, in `Space::Payments`.
#[must_use]
pub fn payment_key(payment: PaymentId) -> Vec<u8> {
    id_key(PAYMENT, payment.0)
}

/// The key of a payment's progress, in `Space::Rows`.
#[must_use]
pub fn status_key(payment: PaymentId) -> Vec<u8> {
    id_key(STATUS, payment.0)
}

/// The key of a batch, live or ended, in `Space::Rows`.
#[must_use]
pub fn batch_key(batch: BatchId) -> Vec<u8> {
    id_key(BATCH, batch.0)
}

/// The key of an attempt's envelope, in `Space::Payments`.
#[must_use]
pub fn attempt_key(batch: BatchId, attempt: AttemptNo) -> Vec<u8> {
    let mut key = id_key(ATTEMPT, batch.0);
    key.extend_from_slice(&attempt.0.to_be_bytes());
    key
}

/// The key of an idempotency key's record, in `Space::Keys`.
#[must_use]
pub fn idempotency_key(developer: DeveloperId, key: &IdempotencyKey) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + key.0.len());
    bytes.extend_from_slice(&developer.0.to_be_bytes());
    bytes.extend_from_slice(key.0.as_bytes());
    bytes
}

/// The key of an entry's record, in `Space::Entries`.
#[must_use]
pub fn record_key(index: Index) -> Vec<u8> {
    index.0.to_be_bytes().to_vec()
}

/// The index in a record's key.
///
/// # Errors
/// `Corrupt` when it is not 8 bytes.
pub fn record_index(key: &[u8]) -> Result<Index, EngineError> {
    let bytes = <[u8; 8]>::try_from(key).map_err(|_| corrupt("record key", "not 8 bytes"))?;
    Ok(Index(u64::from_be_bytes(bytes)))
}

/// The identity at the end of a nine-byte key.
///
/// # Errors
/// `Corrupt` when the key has another length.
pub fn id_of(key: &[u8]) -> Result<u64, EngineError> {
    match key {
        [_, id @ ..] => <[u8; 8]>::try_from(id)
            .map(u64::from_be_bytes)
            .map_err(|_| corrupt("row key", "not 9 bytes")),
        [] => Err(corrupt("row key", "empty")),
    }
}

pub(crate) fn corrupt(what: &str, detail: impl ToString) -> EngineError {
    EngineError::Corrupt {
        path: format!("state {what}"),
        detail: detail.to_string(),
    }
}

pub(crate) fn decode<M: Message + Default, T>(
    what: &str,
    bytes: &[u8],
    convert: impl FnOnce(M) -> Result<T, DecodeError>,
) -> Result<T, EngineError> {
    M::decode(bytes)
        .map_err(DecodeError::from)
        .and_then(convert)
        .map_err(|error| corrupt(what, error))
}

fn effect_key(effect: Effect) -> Vec<u8> {
    match effect {
        Effect::SettleBatch(batch) => id_key(EFFECT, batch.0),
    }
}

/// Adds a change's writes to the batch.
pub(crate) fn write_change(batch: &mut Batch, change: Change) {
    match change {
        Change::PutPayment(payment) => {
            let key = payment_key(payment.id);
            let row = codec::payment_to_row(payment);
            batch.put(Space::Payments, key, row.encode_to_vec());
        }
        Change::PutStatus(payment, status) => batch.put(
            Space::Rows,
            status_key(payment),
            codec::status_to_row(&status).encode_to_vec(),
        ),
        Change::PutKey(developer, key, record) => batch.put(
            Space::Keys,
            idempotency_key(developer, &key),
            codec::key_to_row(&record).encode_to_vec(),
        ),
        Change::Enqueue(payment, queued) => batch.put(
            Space::Rows,
            id_key(QUEUE, payment.0),
            codec::queued_to_row(&queued).encode_to_vec(),
        ),
        Change::Dequeue(payment, _) => batch.delete(Space::Rows, id_key(QUEUE, payment.0)),
        Change::PutBatch(formed) => {
            batch.put(Space::Rows, id_key(LIVE, formed.id.0), []);
            batch.put(
                Space::Rows,
                batch_key(formed.id),
                codec::batch_to_row(&formed).encode_to_vec(),
            );
        }
        Change::EndBatch(ended) => {
            batch.delete(Space::Rows, id_key(LIVE, ended.id.0));
            batch.put(
                Space::Rows,
                batch_key(ended.id),
                codec::batch_to_row(&ended).encode_to_vec(),
            );
        }
        Change::PutAttempt(attempt, at) => {
            let key = attempt_key(attempt.batch, attempt.attempt);
            let row = codec::attempt_to_row(attempt, at);
            batch.put(Space::Payments, key, row.encode_to_vec());
        }
        Change::PutEffect(effect) => batch.put(Space::Rows, effect_key(effect), []),
        Change::RemoveEffect(effect) => batch.delete(Space::Rows, effect_key(effect)),
        Change::PutAccount(account) => batch.put(
            Space::Rows,
            account_key(account.account),
            codec::account_to_row(&account).encode_to_vec(),
        ),
        Change::PutPolicy(policy) => batch.put(
            Space::Rows,
            POLICY,
            codec::policy_to_proto(&policy).encode_to_vec(),
        ),
        Change::PutMarket(market) => batch.put(
            Space::Rows,
            MARKET,
            codec::market_to_row(&market).encode_to_vec(),
        ),
        Change::PutFeeSample(sample, at) => write_fee_sample(batch, &sample, at),
        Change::LeaveDeadLetters(_) => {}
        Change::PutFeeHour(hour) => batch.put(
            Space::Rows,
            fee_hour_key(hour.hour),
            codec::fee_hour_to_row(&hour).encode_to_vec(),
        ),
    }
}

fn write_fee_sample(batch: &mut Batch, sample: &FeeSample, at: UnixMs) {
    if sample.ledger.0.is_multiple_of(SAMPLES_REMOVED_EVERY) {
        let kept = LedgerSeq(sample.ledger.0.saturating_sub(SAMPLE_LEDGERS));
        let (from, to) = (fee_sample_key(LedgerSeq(0)), fee_sample_key(kept));
        batch.delete_range(Space::Rows, from, to);
    }
    batch.put(
        Space::Rows,
        fee_sample_key(sample.ledger),
        codec::fee_sample_to_row(sample, at).encode_to_vec(),
    );
}

/// Adds an entry's record to the batch.
pub(crate) fn write_record(batch: &mut Batch, record: &EntryRecord) {
    batch.put(
        Space::Entries,
        record_key(record.index),
        codec::record_to_row(record).encode_to_vec(),
    );
}

/// What the state's rows say of themselves.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    pub(crate) last: Option<LogId>,
    membership: StoredMembership,
    /// A `peer.Membership`, encoded once: the meta row of every entry holds it.
    encoded: Vec<u8>,
}

impl Applied {
    pub(crate) fn new(last: Option<LogId>, membership: StoredMembership) -> Self {
        let encoded = codec::membership_to_proto(membership.membership()).encode_to_vec();
        Self {
            last,
            membership,
            encoded,
        }
    }

    pub(crate) const fn membership(&self) -> &StoredMembership {
        &self.membership
    }
}

impl Default for Applied {
    fn default() -> Self {
        Self::new(None, StoredMembership::default())
    }
}

#[derive(Encode, BorrowDecode)]
struct MetaRecord<'a> {
    last: Option<(u64, u64)>,
    membership_at: Option<(u64, u64)>,
    /// A `peer.Membership`, encoded.
    membership: &'a [u8],
    now_ms: u64,
    index: u64,
    protocol_version: u32,
    chain: [u8; 32],
    counts: [u64; 8],
    fee_charged_stroops: i128,
}

fn pair(log_id: &LogId) -> (u64, u64) {
    (types::term_of(log_id), log_id.index)
}

/// Adds the meta row: written with every entry, so that rows and applied index never part.
pub(crate) fn write_meta(batch: &mut Batch, applied: &Applied, meta: &StateMeta) {
    let totals = &meta.totals;
    let record = MetaRecord {
        last: applied.last.as_ref().map(pair),
        membership_at: applied.membership.log_id().as_ref().map(pair),
        membership: &applied.encoded,
        now_ms: meta.now.0,
        index: meta.index.0,
        protocol_version: meta.protocol_version,
        chain: meta.chain.0,
        counts: [
            totals.submitted,
            totals.settled,
            totals.failed,
            totals.cancelled,
            totals.attempts,
            totals.batches_settled,
            totals.batches_rolled_back,
            totals.batches_abandoned,
        ],
        fee_charged_stroops: totals.fee_charged_stroops,
    };
    batch.put(Space::Rows, META, private::encode(&record));
}

fn load_meta(engine: &impl Engine) -> Result<(Applied, StateMeta), EngineError> {
    let Some(bytes) = engine.get(Space::Rows, META)? else {
        return Ok((Applied::default(), StateMeta::default()));
    };
    let record: MetaRecord<'_> = private::decode("state meta", &bytes)?;
    let log_id = |(term, index)| types::log_id(term, index);
    let membership = decode(
        "membership",
        record.membership,
        |message: peer::Membership| codec::membership_from_proto(message),
    )?;
    let membership = StoredMembership::new(record.membership_at.map(log_id), membership);
    let applied = Applied::new(record.last.map(log_id), membership);
    let [
        submitted,
        settled,
        failed,
        cancelled,
        attempts,
        batches_settled,
        batches_rolled_back,
        batches_abandoned,
    ] = record.counts;
    let meta = StateMeta {
        now: UnixMs(record.now_ms),
        index: Index(record.index),
        protocol_version: record.protocol_version,
        totals: Totals {
            submitted,
            settled,
            failed,
            cancelled,
            attempts,
            batches_settled,
            batches_rolled_back,
            batches_abandoned,
            fee_charged_stroops: record.fee_charged_stroops,
        },
        chain: Hash(record.chain),
    };
    Ok((applied, meta))
}

/// Rebuilds the decision state from its rows.
pub(crate) fn load(engine: &impl Engine) -> Result<(Applied, State), EngineError> {
    let (applied, meta) = load_meta(engine)?;
    let mut changes = Vec::new();
    if let Some(bytes) = engine.get(Space::Rows, POLICY)? {
        changes.push(Change::PutPolicy(decode(
            "policy",
            &bytes,
            codec::policy_from_proto,
        )?));
    }
    if let Some(bytes) = engine.get(Space::Rows, MARKET)? {
        changes.push(Change::PutMarket(decode(
            "market",
            &bytes,
            codec::market_from_row,
        )?));
    }
    let last_hour = engine.scan(&Scan {
        space: Space::Rows,
        from: fee_hour_key(0),
        to: vec![HOUR + 1],
        direction: Direction::Descending,
        rows_max: 1,
    })?;
    for (key, bytes) in &last_hour {
        changes.push(Change::PutFeeHour(Box::new(fee_hour(key, bytes)?)));
    }
    each(engine, ACCOUNT, |key, value| {
        let id = <[u8; 32]>::try_from(&key[1..])
            .map(AccountId)
            .map_err(|_| corrupt("account key", "not 33 bytes"))?;
        let account = decode("account", value, |row: log::AccountRow| {
            codec::account_from_row(id, &row)
        })?;
        changes.push(Change::PutAccount(account));
        Ok(())
    })?;
    each(engine, QUEUE, |key, value| {
        let queued = decode("queue place", value, codec::queued_from_row)?;
        changes.push(Change::Enqueue(PaymentId(id_of(key)?), queued));
        Ok(())
    })?;
    each(engine, LIVE, |key, _| {
        let id = BatchId(id_of(key)?);
        let bytes = engine
            .get(Space::Rows, &batch_key(id))?
            .ok_or_else(|| corrupt("live batch", format_args!("batch {} has no row", id.0)))?;
        let batch = decode("batch", &bytes, |row| codec::batch_from_row(id, row))?;
        changes.push(Change::PutBatch(batch));
        Ok(())
    })?;
    each(engine, EFFECT, |key, _| {
        let effect = Effect::SettleBatch(BatchId(id_of(key)?));
        changes.push(Change::PutEffect(effect));
        Ok(())
    })?;
    Ok((applied, State::rebuild(meta, changes.into_iter())))
}

/// The hour of the book of fees in a row.
///
/// # Errors
/// `Corrupt`.
pub(crate) fn fee_hour(key: &[u8], bytes: &[u8]) -> Result<FeeHour, EngineError> {
    let hour = u32::try_from(id_of(key)?).map_err(|error| corrupt("fee hour key", error))?;
    decode("fee hour", bytes, |row: log::FeeHourRow| {
        codec::fee_hour_from_row(hour, &row)
    })
}

fn each(
    engine: &impl Engine,
    kind: u8,
    mut take: impl FnMut(&[u8], &[u8]) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
    let mut from = vec![kind];
    loop {
        let rows = engine.scan(&Scan {
            space: Space::Rows,
            from,
            to: vec![kind + 1],
            direction: Direction::Ascending,
            rows_max: LOAD_ROWS_MAX,
        })?;
        for (key, value) in &rows {
            take(key, value)?;
        }
        match rows.into_iter().next_back() {
            Some((mut last, _)) => {
                last.push(0);
                from = last;
            }
            None => return Ok(()),
        }
    }
}

/// A payment and its progress in the order of two look-ups.
pub(crate) fn decode_payment(
    id: PaymentId,
    body: &[u8],
    status: Option<&[u8]>,
) -> Result<(Payment, Option<PaymentStatus>), EngineError> {
    let payment = decode("payment", body, |row| codec::payment_from_row(id, row))?;
    let status = status
        .map(|bytes| decode("status", bytes, codec::status_from_row))
        .transpose()?;
    Ok((payment, status))
}

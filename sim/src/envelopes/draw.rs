//! The batches of a seed. What is rare in payments is common here, and every shape comes around by its place, so that a
//! few hundred lines hold them all.

use stellara_machine::command::{AccountRole, GroupKey, PaymentBody};
use stellara_machine::decision::{Batch, BatchPayment, BatchStage, Payment, Trigger};
use stellara_machine::fees::bid::BidReason;
use stellara_machine::fees::charge::Charge;
use stellara_machine::fees::predict::Prediction;
use stellara_machine::ids::{
    AccountId, Asset, BatchId, Destination, DeveloperId, IdempotencyKey, Memo, PaymentId,
};
use stellara_machine::limits::{AMOUNT_STROOPS_MAX, BATCH_PAYMENTS_MAX, MEMO_TEXT_BYTES_MAX};
use stellara_machine::units::{AccountSequence, Lane, LedgerSeq, Stroops, UnixMs};
use stellara_node::executor::envelope::{Bounds, Bump, fee_of_bid};
use stellara_node::ports::signer::LocalSigner;
use stellara_node::ports::signer::keyring::Seed;

use crate::runtime::RandomStream;

const PASSPHRASES: [&str; 3] = [
    "Public Global Stellar Network ; September 2015",
    "Test SDF Network ; September 2015",
    "Standalone Network ; February 2017",
];

/// Names of streams under a seed.
const KEYS: u64 = 1;
const BATCHES: u64 = 2;

/// Letters of text memos: of one to four bytes in UTF-8.
const LETTERS: [char; 12] = [
    'a', 'Z', '7', ' ', '-', '"', '\\', 'é', 'ß', '№', '円', '🚀',
];
const CODE_LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/// What one envelope is made from.
#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) passphrase: &'static str,
    pub(super) batch: Batch,
    pub(super) payments: Vec<Payment>,
    pub(super) bounds: Bounds,
    pub(super) bump: Bump,
}

/// The accounts of a seed, and the stream that batches are drawn from.
#[derive(Debug)]
pub(super) struct Draws {
    ours: Vec<(AccountRole, Seed)>,
    signer: LocalSigner,
    others: Vec<AccountId>,
    stream: RandomStream,
    batches: u64,
    payments: u64,
}

impl Draws {
    pub(super) fn new(seed: u64) -> Self {
        let mut keys = RandomStream::derive(&[seed, KEYS]);
        let ours: Vec<(AccountRole, Seed)> = [
            (AccountRole::Treasury, 3),
            (AccountRole::Channel, 8),
            (AccountRole::Fee, 3),
        ]
        .into_iter()
        .flat_map(|(role, count)| std::iter::repeat_n(role, count))
        .map(|role| (role, Seed::from_bytes(bytes(&mut keys))))
        .collect();
        let signer = LocalSigner::from_seeds(ours.iter().map(|(role, seed)| (*role, seed)));
        Self {
            ours,
            signer,
            others: (0..40)
                .map(|_| Seed::from_bytes(bytes(&mut keys)).account())
                .collect(),
            stream: RandomStream::derive(&[seed, BATCHES]),
            batches: 0,
            payments: 0,
        }
    }

    pub(super) const fn signer(&self) -> &LocalSigner {
        &self.signer
    }

    /// What no line may hold.
    #[cfg(test)]
    pub(super) fn seeds(&self) -> impl Iterator<Item = &Seed> {
        self.ours.iter().map(|(_, seed)| seed)
    }

    fn account(&mut self, role: AccountRole) -> AccountId {
        let held: Vec<AccountId> = self
            .ours
            .iter()
            .filter(|(of, _)| *of == role)
            .map(|(_, seed)| seed.account())
            .collect();
        pick(&mut self.stream, &held)
    }

    /// The next batch and its first bump.
    pub(super) fn request(&mut self) -> Request {
        let nth = self.batches;
        self.batches += 1;
        let treasury = self.account(AccountRole::Treasury);
        let channel = match nth % 6 {
            4 => treasury,
            _ => self.account(AccountRole::Channel),
        };
        let memo = self.memo(nth);
        let count = self.count(nth);
        let payments: Vec<Payment> = (0..count)
            .map(|_| self.payment(treasury, memo.clone()))
            .collect();
        let group = GroupKey {
            treasury,
            memo,
            ..GroupKey::default()
        };
        let sequence = number(&mut self.stream, 1, i64::MAX);
        let bid = number(&mut self.stream, 1, 1_000_000);
        Request {
            passphrase: pick(&mut self.stream, &PASSPHRASES),
            batch: batch(nth, group, &payments, channel, AccountSequence(sequence)),
            bounds: Bounds {
                time_bound_s: self.stream.between(1, u64::MAX),
                ledger_bound: LedgerSeq(ledger(&mut self.stream)),
            },
            bump: Bump {
                fee_account: self.account(AccountRole::Fee),
                fee_max: total(bid, payments.len()),
            },
            payments,
        }
    }

    /// The later bumps of the same inner transaction: none to three, each of a higher total, sometimes of another payer.
    pub(super) fn bumps(&mut self, first: &Request) -> Vec<Request> {
        let mut request = first.clone();
        (0..self.stream.below(4))
            .map(|_| {
                let more = number(&mut self.stream, 1, 10_000_000_000_000_000);
                request.bump.fee_max = Stroops(request.bump.fee_max.0 + more);
                if self.stream.below(4) == 0 {
                    request.bump.fee_account = self.account(AccountRole::Fee);
                }
                request.clone()
            })
            .collect()
    }

    /// The ends of the range often, and anything between.
    fn count(&mut self, nth: u64) -> u64 {
        let most = u64::try_from(BATCH_PAYMENTS_MAX).expect("100 fits");
        match nth % 8 {
            0 => 1,
            3 => most,
            5 => self.stream.between(1, most),
            _ => self.stream.between(1, 12),
        }
    }

    fn memo(&mut self, nth: u64) -> Memo {
        match nth % 5 {
            0 => Memo::None,
            1 => Memo::Text(self.text()),
            2 => Memo::Id(match self.stream.below(3) {
                0 => self.stream.below(1_000_000),
                1 => u64::MAX,
                _ => self.stream.next_bits(),
            }),
            3 => Memo::Hash(bytes(&mut self.stream)),
            _ => Memo::Return(bytes(&mut self.stream)),
        }
    }

    /// Text of up to 28 bytes, often exactly so many.
    fn text(&mut self) -> String {
        let mut text = String::new();
        let most = match self.stream.below(3) {
            0 => MEMO_TEXT_BYTES_MAX,
            _ => usize::try_from(self.stream.below(29)).expect("28 fits"),
        };
        loop {
            let letter = pick(&mut self.stream, &LETTERS);
            if text.len() + letter.len_utf8() > most {
                break;
            }
            text.push(letter);
        }
        while text.len() < most {
            text.push('x');
        }
        text
    }

    fn payment(&mut self, treasury: AccountId, memo: Memo) -> Payment {
        self.payments += 1;
        let id = PaymentId(self.payments);
        let muxed_id = match self.stream.below(6) {
            0 => Some(self.stream.below(1_000)),
            1 => Some(self.stream.next_bits()),
            _ => None,
        };
        Payment {
            id,
            developer: DeveloperId(1),
            key: IdempotencyKey(format!("drawn-{}", id.0)),
            body: PaymentBody {
                treasury: Some(treasury),
                destination: Destination {
                    account: pick(&mut self.stream, &self.others),
                    muxed_id,
                },
                asset: self.asset(treasury),
                amount: Stroops(self.amount()),
                memo,
                ..PaymentBody::default()
            },
            accepted_at: UnixMs(0),
        }
    }

    fn asset(&mut self, treasury: AccountId) -> Asset {
        let issuer = match self.stream.below(8) {
            0 => treasury,
            _ => pick(&mut self.stream, &self.others),
        };
        match self.stream.below(4) {
            0 => Asset::Credit4 {
                code: code(&mut self.stream, 1),
                issuer,
            },
            1 => Asset::Credit12 {
                code: code(&mut self.stream, 5),
                issuer,
            },
            _ => Asset::Native,
        }
    }

    /// The ends of the range often: 1, and the most a payment may be, which is above 2^53.
    fn amount(&mut self) -> i64 {
        match self.stream.below(6) {
            0 => 1,
            1 => AMOUNT_STROOPS_MAX,
            2 => number(&mut self.stream, 1, AMOUNT_STROOPS_MAX),
            _ => number(&mut self.stream, 1, 100_000_000_000),
        }
    }
}

fn batch(
    nth: u64,
    group: GroupKey,
    payments: &[Payment],
    channel: AccountId,
    sequence: AccountSequence,
) -> Batch {
    Batch {
        id: BatchId(nth + 1),
        group,
        payments: payments
            .iter()
            .map(|payment| BatchPayment {
                payment: payment.id,
                queued_at: UnixMs(0),
                failures: 0,
            })
            .collect(),
        trigger: Trigger::Size,
        formed_at: UnixMs(0),
        channel,
        sequence,
        stage: BatchStage::Building,
        attempts: Vec::new(),
        failures: 0,
        not_before: UnixMs(0),
        fee_cap: Stroops(100_000),
        bid_reason: BidReason::Base,
        counts_as: Lane::Medium,
        prediction: Prediction::default(),
        charge: Charge::default(),
        fee_bid: Stroops(100),
        ending: None,
    }
}

fn total(bid: i64, payments: usize) -> Stroops {
    fee_of_bid(Stroops(bid), payments).expect("a million stroops a hundred times is in range")
}

/// A code of `least` letters to as many as fit, the full length half of the time.
fn code<const N: usize>(stream: &mut RandomStream, least: u64) -> [u8; N] {
    let most = u64::try_from(N).expect("4 and 12 fit");
    let length = match stream.below(2) {
        0 => most,
        _ => stream.between(least, most),
    };
    let mut code = [0; N];
    for (byte, _) in code.iter_mut().zip(0..length) {
        *byte = pick(stream, CODE_LETTERS);
    }
    code
}

fn ledger(stream: &mut RandomStream) -> u32 {
    u32::try_from(stream.between(1, u64::from(u32::MAX))).expect("it is at most u32's largest")
}

fn number(stream: &mut RandomStream, least: i64, most: i64) -> i64 {
    let bound = |number: i64| u64::try_from(number).expect("bounds are above zero");
    i64::try_from(stream.between(bound(least), bound(most))).expect("it is between two of its kind")
}

fn pick<T: Copy>(stream: &mut RandomStream, among: &[T]) -> T {
    let count = u64::try_from(among.len()).expect("a slice's length fits");
    among[usize::try_from(stream.below(count)).expect("it is below a slice's length")]
}

fn bytes(stream: &mut RandomStream) -> [u8; 32] {
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&stream.next_bits().to_le_bytes());
    }
    bytes
}

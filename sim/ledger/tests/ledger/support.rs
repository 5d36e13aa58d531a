//! A small world for the tests: a network with a treasury, an issuer, a fee account, channels
//! and recipients, and builders of signed envelopes.

use ed25519_dalek::{Signer, SigningKey};
use stellar_xdr::{
    AccountId, Asset, CreateAccountOp, DecoratedSignature, FeeBumpTransaction,
    FeeBumpTransactionEnvelope, FeeBumpTransactionExt, FeeBumpTransactionInnerTx,
    InnerTransactionResultResult, LedgerBounds, Limits, Memo, MuxedAccount, Operation,
    OperationBody, PaymentOp, Preconditions, PreconditionsV2, PublicKey, SequenceNumber, Signature,
    SignatureHint, TimeBounds, TimePoint, Transaction, TransactionEnvelope, TransactionExt,
    TransactionResult, TransactionResultResult, TransactionV1Envelope, Uint256, VecM, WriteXdr,
};
use stellara_ledger::{
    AccountSetup, Config, Network, Setup, SubmitAnswer, TEST_PASSPHRASE, TrustLineSetup, TxHash,
    operation_code, operation_results, parse_asset, transaction_code,
};

/// Unix ms at which every world starts.
pub const START_MS: u64 = 1_700_000_000_000;
/// 100,000 units of the native asset.
pub const RICH_STROOPS: i64 = 1_000_000_000_000;

pub const TREASURY: u8 = 1;
pub const FEE: u8 = 2;
pub const ISSUER: u8 = 3;
/// Channels are keys 10 to 19.
pub const CHANNEL: u8 = 10;
/// Recipients with a trust line are keys 30 to 39.
pub const RECIPIENT: u8 = 30;
/// A key without an account.
pub const NOBODY: u8 = 99;

pub fn key(seed: u8) -> SigningKey {
    SigningKey::from_bytes(&[seed; 32])
}

pub fn id(seed: u8) -> AccountId {
    AccountId(PublicKey::PublicKeyTypeEd25519(Uint256(
        key(seed).verifying_key().to_bytes(),
    )))
}

pub fn address(seed: u8) -> String {
    id(seed).to_string()
}

pub fn usdc_name() -> String {
    format!("USDC:{}", address(ISSUER))
}

pub fn usdc() -> Asset {
    parse_asset(&usdc_name()).expect("a well-formed asset")
}

pub fn network_id() -> [u8; 32] {
    use sha2::Digest as _;
    sha2::Sha256::digest(TEST_PASSPHRASE).into()
}

pub fn account(seed: u8, balance_stroops: i64) -> AccountSetup {
    AccountSetup {
        id: address(seed),
        balance_stroops,
        sequence: Some(100),
        trust_lines: Vec::new(),
        data: std::collections::BTreeMap::new(),
    }
}

pub fn line(balance_stroops: i64) -> TrustLineSetup {
    TrustLineSetup {
        asset: usdc_name(),
        balance_stroops,
        limit_stroops: i64::MAX,
        authorized: true,
    }
}

/// A transaction under construction.
#[derive(Clone)]
pub struct Tx {
    pub source: u8,
    pub sequence: i64,
    pub fee_stroops: u32,
    pub memo: Memo,
    pub conditions: PreconditionsV2,
    pub operations: Vec<Operation>,
    pub signers: Vec<u8>,
}

impl Tx {
    /// From a channel at sequence 101, fee 0, signed by the channel and the treasury.
    pub fn new(source: u8) -> Self {
        Self {
            source,
            sequence: 101,
            fee_stroops: 0,
            memo: Memo::None,
            conditions: PreconditionsV2::default(),
            operations: Vec::new(),
            signers: vec![source, TREASURY],
        }
    }

    /// A plain transaction of the treasury itself, at the lowest fee for one operation.
    pub fn plain() -> Self {
        Self {
            fee_stroops: 100,
            signers: vec![TREASURY],
            ..Self::new(TREASURY)
        }
    }

    pub fn fee(mut self, fee_stroops: u32) -> Self {
        self.fee_stroops = fee_stroops;
        self
    }

    pub fn sequence(mut self, sequence: i64) -> Self {
        self.sequence = sequence;
        self
    }

    pub fn signers(mut self, signers: &[u8]) -> Self {
        self.signers = signers.to_vec();
        self
    }

    pub fn time(mut self, min_s: u64, max_s: u64) -> Self {
        self.conditions.time_bounds = Some(TimeBounds {
            min_time: TimePoint(min_s),
            max_time: TimePoint(max_s),
        });
        self
    }

    pub fn ledgers(mut self, min_ledger: u32, max_ledger: u32) -> Self {
        self.conditions.ledger_bounds = Some(LedgerBounds {
            min_ledger,
            max_ledger,
        });
        self
    }

    pub fn operation(mut self, source: u8, body: OperationBody) -> Self {
        self.operations.push(Operation {
            source_account: Some(MuxedAccount::from(id(source))),
            body,
        });
        self
    }

    pub fn pay_from(self, source: u8, to: MuxedAccount, asset: Asset, amount: i64) -> Self {
        let body = OperationBody::Payment(PaymentOp {
            destination: to,
            asset,
            amount,
        });
        self.operation(source, body)
    }

    /// A payment of the treasury in the native asset.
    pub fn pay(self, to: u8, amount: i64) -> Self {
        self.pay_from(TREASURY, id(to).into(), Asset::Native, amount)
    }

    pub fn create(self, to: u8, starting_balance: i64) -> Self {
        let destination = id(to);
        let body = OperationBody::CreateAccount(CreateAccountOp {
            destination,
            starting_balance,
        });
        self.operation(TREASURY, body)
    }

    pub fn signed(&self) -> TransactionV1Envelope {
        let tx = Transaction {
            source_account: id(self.source).into(),
            fee: self.fee_stroops,
            seq_num: SequenceNumber(self.sequence),
            cond: Preconditions::V2(self.conditions.clone()),
            memo: self.memo.clone(),
            operations: VecM::try_from(self.operations.clone()).expect("at most 100"),
            ext: TransactionExt::V0,
        };
        let hash = tx.hash(network_id()).expect("bounded");
        let signatures = sign(hash, &self.signers);
        TransactionV1Envelope { tx, signatures }
    }

    pub fn envelope(&self) -> Vec<u8> {
        bytes(&TransactionEnvelope::Tx(self.signed()))
    }

    /// In a fee bump of the fee account.
    pub fn bumped(&self, fee_stroops: i64) -> Vec<u8> {
        self.bumped_by(FEE, fee_stroops, &[FEE])
    }

    pub fn bumped_by(&self, fee_source: u8, fee_stroops: i64, signers: &[u8]) -> Vec<u8> {
        let tx = FeeBumpTransaction {
            fee_source: id(fee_source).into(),
            fee: fee_stroops,
            inner_tx: FeeBumpTransactionInnerTx::Tx(self.signed()),
            ext: FeeBumpTransactionExt::V0,
        };
        let hash = tx.hash(network_id()).expect("bounded");
        let signatures = sign(hash, signers);
        bytes(&TransactionEnvelope::TxFeeBump(
            FeeBumpTransactionEnvelope { tx, signatures },
        ))
    }

    pub fn inner_hash(&self) -> TxHash {
        let hash = self.signed().tx.hash(network_id());
        TxHash(hash.expect("bounded"))
    }
}

pub fn bytes(envelope: &TransactionEnvelope) -> Vec<u8> {
    envelope.to_xdr(Limits::none()).expect("bounded")
}

fn sign(hash: [u8; 32], signers: &[u8]) -> VecM<DecoratedSignature, 20> {
    let mut signatures = Vec::new();
    for signer in signers {
        let key = key(*signer);
        let public = key.verifying_key().to_bytes();
        let mut hint = [0; 4];
        hint.copy_from_slice(&public[28..]);
        let raw = key.sign(&hash).to_bytes();
        signatures.push(DecoratedSignature {
            hint: SignatureHint(hint),
            signature: Signature(raw.to_vec().try_into().expect("64 bytes")),
        });
    }
    signatures.try_into().expect("at most 20")
}

/// A network and its time.
pub struct World {
    pub net: Network,
    pub now_ms: u64,
}

impl World {
    pub fn new() -> Self {
        Self::with(Config::default())
    }

    pub fn with(config: Config) -> Self {
        let start_ms = START_MS;
        let net = Network::new(Config { start_ms, ..config }).expect("a valid config");
        let mut world = Self {
            net,
            now_ms: START_MS,
        };
        let mut accounts = vec![
            AccountSetup {
                trust_lines: vec![line(RICH_STROOPS)],
                ..account(TREASURY, RICH_STROOPS)
            },
            account(FEE, RICH_STROOPS),
            account(ISSUER, RICH_STROOPS),
        ];
        for channel in CHANNEL..CHANNEL + 10 {
            accounts.push(account(channel, 50_000_000));
        }
        for recipient in RECIPIENT..RECIPIENT + 10 {
            accounts.push(AccountSetup {
                trust_lines: vec![line(0)],
                ..account(recipient, 100_000_000)
            });
        }
        world.set_up(accounts);
        world
    }

    pub fn set_up(&mut self, accounts: Vec<AccountSetup>) {
        let setup = Setup { accounts };
        self.net.set_up(&setup).expect("a valid set-up");
    }

    pub fn submit(&mut self, envelope: &[u8]) -> SubmitAnswer {
        let outcome = self.net.submit(self.now_ms, envelope);
        assert_eq!(outcome.fault, None);
        outcome.answer.expect("nothing was lost")
    }

    /// Submits and asserts that it is accepted.
    pub fn accept(&mut self, envelope: &[u8]) -> TxHash {
        let answer = self.submit(envelope);
        let SubmitAnswer::Pending { hash } = answer else {
            panic!("expected PENDING, got {}", told(&answer));
        };
        hash
    }

    /// The account's sequence as of now, whatever the ingestion lag.
    pub fn latest_sequence(&self, seed: u8) -> i64 {
        let wanted = id(seed);
        self.net
            .accounts()
            .find(|(id, _)| **id == wanted)
            .map_or(0, |(_, account)| account.sequence)
    }

    pub fn close(&mut self) {
        self.now_ms += self.net.config().close_ms;
        self.net.advance(self.now_ms);
    }

    pub fn balance(&self, seed: u8) -> i64 {
        self.net
            .account(&id(seed))
            .map_or(0, |account| account.balance_stroops)
    }

    pub fn units(&self, seed: u8) -> i64 {
        self.net.account(&id(seed)).map_or(0, |account| {
            account
                .trust_lines
                .get(&usdc())
                .map_or(0, |line| line.balance_stroops)
        })
    }

    /// Asserts what an applied transaction came to, as [`codes`] tells it.
    pub fn assert_applied(&self, hash: TxHash, expected: &str) {
        let record = self.net.transaction(&hash).expect("it is applied");
        assert_eq!(codes(&record.result), expected);
    }
}

/// A result as text: the outer code, the inner one if there is any, the operations' codes.
pub fn codes(result: &TransactionResult) -> String {
    let mut text = transaction_code(result).to_owned();
    if let TransactionResultResult::TxFeeBumpInnerFailed(pair) = &result.result {
        let inner = TransactionResult {
            result: as_outer(&pair.result.result),
            ..TransactionResult::default()
        };
        text.push_str(" > ");
        text.push_str(transaction_code(&inner));
    }
    let operations: Vec<&str> = operation_results(result)
        .iter()
        .map(operation_code)
        .collect();
    if !operations.is_empty() {
        text.push_str(&format!(" [{}]", operations.join(" ")));
    }
    text
}

fn as_outer(inner: &InnerTransactionResultResult) -> TransactionResultResult {
    use InnerTransactionResultResult as I;
    use TransactionResultResult as R;
    match inner {
        I::TxSuccess(all) => R::TxSuccess(all.clone()),
        I::TxFailed(all) => R::TxFailed(all.clone()),
        I::TxTooEarly => R::TxTooEarly,
        I::TxTooLate => R::TxTooLate,
        I::TxMissingOperation => R::TxMissingOperation,
        I::TxBadSeq => R::TxBadSeq,
        I::TxBadAuth => R::TxBadAuth,
        I::TxInsufficientBalance => R::TxInsufficientBalance,
        I::TxNoAccount => R::TxNoAccount,
        I::TxInsufficientFee => R::TxInsufficientFee,
        I::TxBadAuthExtra => R::TxBadAuthExtra,
        I::TxInternalError => R::TxInternalError,
        I::TxNotSupported => R::TxNotSupported,
        I::TxBadSponsorship => R::TxBadSponsorship,
        I::TxBadMinSeqAgeOrGap => R::TxBadMinSeqAgeOrGap,
        I::TxMalformed => R::TxMalformed,
        I::TxSorobanInvalid => R::TxSorobanInvalid,
        I::TxFrozenKeyAccessed => R::TxFrozenKeyAccessed,
    }
}

/// An answer as text.
pub fn told(answer: &SubmitAnswer) -> String {
    match answer {
        SubmitAnswer::Pending { .. } => "PENDING".to_owned(),
        SubmitAnswer::Duplicate { .. } => "DUPLICATE".to_owned(),
        SubmitAnswer::TryAgainLater { .. } => "TRY_AGAIN_LATER".to_owned(),
        SubmitAnswer::Error { result, .. } => {
            format!("{} fee {}", codes(result), result.fee_charged)
        }
        SubmitAnswer::Malformed { .. } => "MALFORMED".to_owned(),
    }
}

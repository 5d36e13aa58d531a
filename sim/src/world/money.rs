//! The accounts of a world, from its seed: treasury, fee account, channels, and those who receive.

use std::collections::BTreeMap;

use stellar_strkey::ed25519::PrivateKey;
use stellar_xdr::{AccountId as AccountIdXdr, PublicKey, Uint256};
use stellara_ledger::{AccountSetup, Intent, Setup};
use stellara_machine::command::{AccountRole, PaymentBody};
use stellara_machine::ids::{AccountId, Memo};
use stellara_node::ports::signer::LocalSigner;
use stellara_node::ports::signer::keyring::Seed;

use crate::runtime::RandomStream;

/// 10,000,000 units of the native asset.
const RICH_STROOPS: i64 = 100_000_000_000_000;

/// The keys of a world. No secret: they come from its seed.
#[derive(Clone, Debug)]
pub struct Funds {
    ours: Vec<(AccountRole, Seed)>,
    destinations: Vec<AccountId>,
}

/// A signing seed, as bytes or as text. Nothing shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Vec<u8>);

impl Secret {
    /// A secret of these bytes.
    #[must_use]
    pub const fn new(bytes: Vec<u8>) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}

fn seed_of(seed: u64, purpose: u64, nth: u8) -> Seed {
    let mut draws = RandomStream::derive(&[seed, purpose, u64::from(nth)]);
    let mut bytes = [0; 32];
    for chunk in bytes.chunks_mut(8) {
        chunk.copy_from_slice(&draws.next_bits().to_le_bytes());
    }
    Seed::from_bytes(bytes)
}

fn address(account: AccountId) -> String {
    AccountIdXdr(PublicKey::PublicKeyTypeEd25519(Uint256(account.0))).to_string()
}

impl Funds {
    pub(super) fn new(seed: u64, channels: u8, destinations: u8) -> Self {
        let channels = (0..channels).map(|nth| (AccountRole::Channel, seed_of(seed, 3, nth)));
        Self {
            ours: [
                (AccountRole::Treasury, seed_of(seed, 1, 0)),
                (AccountRole::Fee, seed_of(seed, 2, 0)),
            ]
            .into_iter()
            .chain(channels)
            .collect(),
            destinations: (0..destinations)
                .map(|nth| seed_of(seed, 4, nth).account())
                .collect(),
        }
    }

    /// Signs for the cluster's own accounts.
    #[must_use]
    pub fn signer(&self) -> LocalSigner {
        LocalSigner::from_seeds(self.ours.iter().map(|(role, seed)| (*role, seed)))
    }

    /// The account that pays the fees.
    #[must_use]
    pub fn fee_account(&self) -> Option<String> {
        self.first(AccountRole::Fee)
    }

    /// The account whose money moves.
    #[must_use]
    pub fn treasury(&self) -> Option<String> {
        self.first(AccountRole::Treasury)
    }

    fn first(&self, wanted: AccountRole) -> Option<String> {
        let mut ours = self.ours.iter();
        let found = ours.find(|(role, _)| *role == wanted);
        found.map(|(_, seed)| address(seed.account()))
    }

    /// What must be in no row and in no file.
    #[must_use]
    pub fn secrets(&self) -> Vec<Secret> {
        let each = self.ours.iter();
        each.flat_map(|(_, seed)| {
            let bytes = seed.signing_key().to_bytes();
            let text = PrivateKey(bytes).as_unredacted().to_string();
            [Secret(bytes.to_vec()), Secret(text.as_bytes().to_vec())]
        })
        .collect()
    }

    /// Those who receive; they are on the ledger.
    #[must_use]
    pub fn destinations(&self) -> &[AccountId] {
        &self.destinations
    }

    pub(super) fn setup(&self) -> Setup {
        let ours = self.ours.iter().map(|(_, seed)| seed.account());
        let all = ours.chain(self.destinations.iter().copied());
        Setup {
            accounts: all
                .map(|account| AccountSetup {
                    id: address(account),
                    balance_stroops: RICH_STROOPS,
                    sequence: None,
                    trust_lines: Vec::new(),
                    data: BTreeMap::new(),
                })
                .collect(),
        }
    }
}

/// What the ledger's checker is told of a native payment to an account; `None` for any other.
#[must_use]
pub fn payment_intent(reference: &str, body: &PaymentBody) -> Option<Intent> {
    let native = body.asset == stellara_machine::ids::Asset::Native;
    let plain = body.destination.muxed_id.is_none() && body.memo == Memo::None;
    (native && plain).then(|| Intent {
        reference: reference.to_owned(),
        destination: address(body.destination.account),
        asset: "native".to_owned(),
        amount_stroops: body.amount.0,
        memo: None,
    })
}

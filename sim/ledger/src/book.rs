//! The accounts and the fee pool, with the pre-images that undo a failed transaction and let a
//! lagging reader see an older ledger. Invariants: a rollback restores every account that the
//! transaction touched; at most `LAG_LEDGERS_MAX` ledgers of pre-images are kept.

use std::collections::{BTreeMap, VecDeque};

use stellar_xdr::AccountId;

use crate::account::Account;

/// The furthest that a reader can lag behind, in ledgers.
pub(crate) const LAG_LEDGERS_MAX: u32 = 120;

type Preimages = BTreeMap<AccountId, Option<Account>>;

/// All accounts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Book {
    accounts: BTreeMap<AccountId, Account>,
    fee_pool_stroops: i64,
    in_transaction: Option<Preimages>,
    in_ledger: Preimages,
    sealed: VecDeque<(u32, Preimages)>,
}

impl Book {
    pub(crate) fn get(&self, id: &AccountId) -> Option<&Account> {
        self.accounts.get(id)
    }

    /// The account as it was when `ledger` had closed.
    pub(crate) fn get_at(&self, id: &AccountId, ledger: u32) -> Option<&Account> {
        for (sequence, preimages) in &self.sealed {
            if *sequence > ledger
                && let Some(old) = preimages.get(id)
            {
                return old.as_ref();
            }
        }
        self.accounts.get(id)
    }

    /// The account, open for changes that the current transaction or ledger owns.
    pub(crate) fn edit(&mut self, id: &AccountId) -> Option<&mut Account> {
        let account = self.accounts.get_mut(id)?;
        let preimages = self.in_transaction.as_mut().unwrap_or(&mut self.in_ledger);
        preimages
            .entry(id.clone())
            .or_insert_with(|| Some(account.clone()));
        Some(account)
    }

    pub(crate) fn insert(&mut self, id: AccountId, account: Account) {
        let preimages = self.in_transaction.as_mut().unwrap_or(&mut self.in_ledger);
        let old = self.accounts.insert(id.clone(), account);
        preimages.entry(id).or_insert(old);
    }

    /// Writes an account as if it had always been so: set-up, outside the network's rules.
    pub(crate) fn set_up(&mut self, id: AccountId, account: Account) {
        self.in_ledger.remove(&id);
        for (_, preimages) in &mut self.sealed {
            preimages.remove(&id);
        }
        self.accounts.insert(id, account);
    }

    pub(crate) fn begin(&mut self) {
        self.in_transaction = Some(Preimages::new());
    }

    pub(crate) fn commit(&mut self) {
        for (id, old) in self.in_transaction.take().unwrap_or_default() {
            self.in_ledger.entry(id).or_insert(old);
        }
    }

    pub(crate) fn rollback(&mut self) {
        for (id, old) in self.in_transaction.take().unwrap_or_default() {
            match old {
                Some(account) => self.accounts.insert(id, account),
                None => self.accounts.remove(&id),
            };
        }
    }

    /// Ends a ledger: its pre-images become history, its accounts carry its sequence.
    pub(crate) fn seal(&mut self, ledger: u32) {
        let preimages = std::mem::take(&mut self.in_ledger);
        for id in preimages.keys() {
            if let Some(account) = self.accounts.get_mut(id) {
                account.last_modified_ledger = ledger;
            }
        }
        self.sealed.push_back((ledger, preimages));
        if self.sealed.len() > usize::try_from(LAG_LEDGERS_MAX).unwrap_or(usize::MAX) {
            self.sealed.pop_front();
        }
    }

    /// Moves up to `fee_stroops` from the account to the fee pool; answers what was moved.
    pub(crate) fn charge_fee(&mut self, id: &AccountId, fee_stroops: i64) -> i64 {
        let Some(account) = self.edit(id) else {
            return 0;
        };
        let charged = fee_stroops.min(account.balance_stroops);
        account.balance_stroops -= charged;
        self.fee_pool_stroops += charged;
        charged
    }

    pub(crate) fn fee_pool_stroops(&self) -> i64 {
        self.fee_pool_stroops
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (&AccountId, &Account)> {
        self.accounts.iter()
    }
}

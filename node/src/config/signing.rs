//! Who signs, as the configuration tells it: checked, and as the adapters take it.

use std::collections::BTreeMap;

use stellar_strkey::ed25519::PublicKey;
use stellara_machine::command::AccountRole;
use stellara_machine::ids::AccountId;

use super::check::value;
use super::{Config, ConfigError, SettlementSection, SignerKind, SignerSection};
use crate::ports::signer::remote::{self, RemoteSettings};

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    match config.signer.kind {
        SignerKind::Local => check_local(config),
        SignerKind::Remote => check_remote(config),
    }
}

fn check_local(config: &Config) -> Result<(), ConfigError> {
    let signer = &config.signer;
    let lists = [
        ("signer.treasuries", &signer.treasuries),
        ("signer.channels", &signer.channels),
        ("signer.fee_accounts", &signer.fee_accounts),
    ];
    let listed = lists.into_iter().find(|(_, list)| !list.is_empty());
    let given = [
        ("signer.url", signer.url.is_some()),
        ("signer.token_file", signer.token_file.is_some()),
    ];
    let given = given.into_iter().find(|(_, given)| *given);
    if let Some(key) = given.map(|(key, _)| key).or(listed.map(|(key, _)| key)) {
        return Err(value(key, "given", "none: signer.kind is local"));
    }
    let Some(settlement) = &config.settlement else {
        return Ok(());
    };
    if settlement.keyring.is_none() {
        return Err(value(
            "settlement.keyring",
            "absent",
            "the file of signing keys, as signer.kind is local",
        ));
    }
    if settlement.keyring_key_file.is_some() && settlement.keyring_passphrase_file.is_some() {
        return Err(value(
            "settlement.keyring_key_file",
            "given beside settlement.keyring_passphrase_file",
            "one of the two",
        ));
    }
    Ok(())
}

fn check_remote(config: &Config) -> Result<(), ConfigError> {
    let signer = &config.signer;
    let Some(settlement) = &config.settlement else {
        return Err(value(
            "signer.kind",
            "remote",
            "local, or a section [settlement]: a node without it signs nothing",
        ));
    };
    for (key, file) in [
        ("settlement.keyring", &settlement.keyring),
        (
            "settlement.keyring_passphrase_file",
            &settlement.keyring_passphrase_file,
        ),
        ("settlement.keyring_key_file", &settlement.keyring_key_file),
    ] {
        if file.is_some() {
            return Err(value(key, "given", "none: signer.kind is remote"));
        }
    }
    let Some(url) = &signer.url else {
        return Err(value(
            "signer.url",
            "absent",
            "the service's address, as signer.kind is remote",
        ));
    };
    if let Err(why) = remote::url_of(url) {
        // An address may hold a password: the words say what is wrong, and none of it.
        let expected = format!("an https address, or http on this machine: {why}");
        return Err(value("signer.url", "not usable", expected));
    }
    for (key, number, least, most) in [
        ("signer.timeout_ms", signer.timeout_ms, 100, 60_000),
        (
            "signer.tries_max",
            u64::from(signer.tries_max),
            1,
            u64::from(remote::TRIES_MAX),
        ),
    ] {
        if !(least..=most).contains(&number) {
            return Err(value(key, number, format_args!("{least} to {most}")));
        }
    }
    let accounts = accounts(signer)?;
    for (key, role) in [
        ("signer.treasuries", AccountRole::Treasury),
        ("signer.channels", AccountRole::Channel),
        ("signer.fee_accounts", AccountRole::Fee),
    ] {
        // Half a list settles nothing, and hides that the service could be asked.
        if !accounts.is_empty() && !accounts.values().any(|of| *of == role) {
            return Err(value(
                key,
                "empty",
                "an account, or all three lists empty to ask the service",
            ));
        }
    }
    Ok(())
}

/// The accounts that the configuration lists; none when the service is to be asked.
fn accounts(signer: &SignerSection) -> Result<BTreeMap<AccountId, AccountRole>, ConfigError> {
    let mut accounts = BTreeMap::new();
    for (key, list, role) in [
        (
            "signer.treasuries",
            &signer.treasuries,
            AccountRole::Treasury,
        ),
        ("signer.channels", &signer.channels, AccountRole::Channel),
        (
            "signer.fee_accounts",
            &signer.fee_accounts,
            AccountRole::Fee,
        ),
    ] {
        for text in list {
            let Ok(PublicKey(account)) = PublicKey::from_string(text) else {
                // What stands here by mistake may be a seed: it is not repeated.
                return Err(value(
                    key,
                    format_args!("a list with a text of {} characters", text.chars().count()),
                    "accounts G… of 56 characters, with a valid checksum",
                ));
            };
            if accounts.insert(AccountId(account), role).is_some() {
                return Err(value(key, text, "each account once, in one list"));
            }
        }
    }
    Ok(accounts)
}

impl SignerSection {
    /// The settings of a signer elsewhere; `None` when the keys are in this process.
    ///
    /// # Errors
    /// When a listed account is none, which a checked configuration never has.
    pub fn remote(
        &self,
        settlement: &SettlementSection,
    ) -> Result<Option<RemoteSettings>, ConfigError> {
        match self.kind {
            SignerKind::Local => Ok(None),
            SignerKind::Remote => Ok(Some(RemoteSettings {
                url: self.url.clone().unwrap_or_default(),
                token_file: self.token_file.clone(),
                call_timeout_ms: self.timeout_ms,
                tries_max: self.tries_max,
                network_passphrase: settlement.network_passphrase.clone(),
                accounts: accounts(self)?,
            })),
        }
    }
}

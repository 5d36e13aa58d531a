//! `stellara-node keyring`: the encrypted file of signing keys.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};
use stellara_machine::command::AccountRole;
use stellara_machine::ids::AccountId;
use stellara_node::config;
use stellara_node::ports::signer::keyring::{
    KdfCost, Keyring, Seed, read_key_file, read_passphrase,
};
use zeroize::Zeroizing;

use crate::CommandResult;

/// Subcommands of `keyring`.
#[derive(clap::Subcommand)]
pub enum Command {
    /// Make a keyring with new keys and print their accounts as JSON.
    Create(Create),
    /// Print a keyring's accounts as JSON.
    List(List),
}

/// Arguments of `keyring create`.
#[derive(clap::Args)]
pub struct Create {
    #[command(flatten)]
    file: File,
    /// Treasury keys: their money moves.
    #[arg(long, default_value_t = 1)]
    treasuries: u32,
    /// Channel keys: each lends its sequence number to one batch at a time.
    #[arg(long, default_value_t = 10)]
    channels: u32,
    /// Fee keys: they pay the fee bumps.
    #[arg(long = "fee-accounts", default_value_t = 1)]
    fee_accounts: u32,
    /// Derive the keys from this number instead of drawing them: for demos and tests only, anyone can derive them.
    #[arg(long)]
    insecure_seed: Option<u64>,
    /// Write the accounts to this file instead of standard output.
    #[arg(long)]
    accounts_out: Option<PathBuf>,
}

/// Arguments of `keyring list`.
#[derive(clap::Args)]
pub struct List {
    #[command(flatten)]
    file: File,
}

#[derive(clap::Args)]
struct File {
    /// The keyring file.
    #[arg(long)]
    file: PathBuf,
    /// The file of its passphrase; `STELLARA_KEYRING_PASSPHRASE` when absent.
    #[arg(long)]
    passphrase_file: Option<PathBuf>,
    /// A file of 32 random bytes that opens it instead of a passphrase.
    #[arg(long, conflicts_with = "passphrase_file")]
    key_file: Option<PathBuf>,
}

impl File {
    fn passphrase(&self) -> Result<Zeroizing<String>, String> {
        passphrase(self.passphrase_file.as_deref(), self.key_file.as_deref())
    }
}

/// What opens a keyring: its key file, its passphrase's file, or the passphrase from the environment.
pub fn passphrase(
    file: Option<&Path>,
    key_file: Option<&Path>,
) -> Result<Zeroizing<String>, String> {
    match (key_file, file) {
        (Some(path), _) => read_key_file(path).map_err(|error| error.to_string()),
        (None, Some(path)) => read_passphrase(path).map_err(|error| error.to_string()),
        (None, None) => config::keyring_passphrase()
            .map(Zeroizing::new)
            .ok_or_else(|| {
                "no passphrase: name its file, or set STELLARA_KEYRING_PASSPHRASE".to_owned()
            }),
    }
}

/// Makes or lists a keyring.
pub fn run(command: &Command) -> CommandResult {
    match command {
        Command::Create(args) => create(args),
        Command::List(args) => {
            let passphrase = args.file.passphrase()?;
            let keyring =
                Keyring::open(&args.file.file, &passphrase).map_err(|error| error.to_string())?;
            println!("{}", accounts_json(&keyring)?);
            Ok(())
        }
    }
}

fn create(args: &Create) -> CommandResult {
    let passphrase = args.file.passphrase()?;
    let mut keyring = Keyring::create(&args.file.file, &passphrase, KdfCost::default())
        .map_err(|error| error.to_string())?;
    for (role, count) in [
        (AccountRole::Treasury, args.treasuries),
        (AccountRole::Channel, args.channels),
        (AccountRole::Fee, args.fee_accounts),
    ] {
        for number in 0..count {
            let seed = match args.insecure_seed {
                None => Seed::generate().map_err(|error| error.to_string())?,
                Some(base) => derived(base, role, number),
            };
            keyring.add(role, seed).map_err(|error| error.to_string())?;
        }
    }
    keyring
        .save(&passphrase)
        .map_err(|error| error.to_string())?;
    let json = accounts_json(&keyring)?;
    match &args.accounts_out {
        None => println!("{json}"),
        Some(path) => std::fs::write(path, json)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?,
    }
    Ok(())
}

fn derived(base: u64, role: AccountRole, number: u32) -> Seed {
    let name = role_name(role);
    let digest = Sha256::digest(format!("stellara demo key {base} {name} {number}"));
    Seed::from_bytes(digest.into())
}

const fn role_name(role: AccountRole) -> &'static str {
    match role {
        AccountRole::Treasury => "treasury",
        AccountRole::Channel => "channel",
        AccountRole::Fee => "fee",
    }
}

#[derive(Default, Serialize)]
struct Accounts {
    treasuries: Vec<String>,
    channels: Vec<String>,
    fee_accounts: Vec<String>,
}

fn strkey(account: AccountId) -> String {
    stellar_strkey::ed25519::PublicKey(account.0)
        .to_string()
        .to_string()
}

fn accounts_json(keyring: &Keyring) -> Result<String, String> {
    let mut accounts = Accounts::default();
    for (account, role) in keyring.accounts() {
        match role {
            AccountRole::Treasury => accounts.treasuries.push(strkey(account)),
            AccountRole::Channel => accounts.channels.push(strkey(account)),
            AccountRole::Fee => accounts.fee_accounts.push(strkey(account)),
        }
    }
    serde_json::to_string_pretty(&accounts).map_err(|error| error.to_string())
}

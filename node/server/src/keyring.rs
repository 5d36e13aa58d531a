//! `stellara-node keyring`: the encrypted file of signing keys.

use std::path::{Path, PathBuf};

use serde::Serialize;
use sha2::{Digest, Sha256};
use stellara_machine::command::AccountRole;
use stellara_machine::ids::AccountId;
use stellara_node::config;
use stellara_node::ports::signer::keyring::{KdfCost, Keyring, Seed, read_passphrase};
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
}

/// The passphrase from its file, or from the environment.
pub fn passphrase(file: Option<&Path>) -> Result<Zeroizing<String>, String> {
    match file {
        Some(path) => read_passphrase(path).map_err(|error| error.to_string()),
        None => config::keyring_passphrase()
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
            let passphrase = passphrase(args.file.passphrase_file.as_deref())?;
            let keyring =
                Keyring::open(&args.file.file, &passphrase).map_err(|error| error.to_string())?;
            println!("{}", accounts_json(&keyring)?);
            Ok(())
        }
    }
}

fn create(args: &Create) -> CommandResult {
    let passphrase = passphrase(args.file.passphrase_file.as_deref())?;
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

//! The nodes of a cluster: their keys, certificates and settings, and their processes.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use super::accounts::Accounts;
use super::binaries::Binaries;
use super::error::ClusterError;
use super::fleet::Fleet;
use super::http;
use super::layout::{CLUSTER, Layout, REGIONS, Region};
use super::settings;
use crate::shell;

/// How long a node may take to be ready.
const READY_MS_MAX: u64 = 60_000;
/// Opens a keyring that lives as long as the cluster's folder and guards nothing of worth.
const PASSPHRASE: &str = "demo keyring on a simulated ledger\n";

/// Makes the keyring and answers its public accounts.
///
/// # Errors
/// When a file cannot be written or the command fails.
pub fn create_keyring(binaries: &Binaries, layout: &Layout) -> Result<Accounts, ClusterError> {
    let passphrase = layout.write("passphrase", PASSPHRASE)?;
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600))
        .map_err(|error| ClusterError::File(passphrase.clone(), error))?;
    let out = layout.file("accounts.json");
    let mut command = binaries.node();
    command
        .args(["keyring", "create", "--file"])
        .arg(layout.file("keyring.json"));
    command.arg("--passphrase-file").arg(passphrase);
    command.args([
        "--treasuries",
        "2",
        "--channels",
        "20",
        "--fee-accounts",
        "1",
        "--insecure-seed",
        "7",
    ]);
    command.arg("--accounts-out").arg(&out);
    shell::output(&mut command)?;
    let text = fs::read_to_string(&out).map_err(|error| ClusterError::File(out, error))?;
    Accounts::read(&text)
}

/// Makes the cluster's authority and a certificate for each node.
///
/// # Errors
/// When the command fails.
pub fn create_certificates(binaries: &Binaries, layout: &Layout) -> Result<(), ClusterError> {
    let mut command = binaries.node();
    command
        .args(["certs", "--cluster", CLUSTER, "--dir"])
        .arg(layout.file("certs"));
    for region in &REGIONS {
        command.args(["--node", &format!("{}:{}", region.node_id, region.name)]);
    }
    shell::output(&mut command)?;
    Ok(())
}

/// Starts every region's node and waits until all are ready.
///
/// # Errors
/// When one cannot be started, ends, or is not ready in time.
pub fn start_all(
    fleet: &mut Fleet,
    binaries: &Binaries,
    layout: &Layout,
) -> Result<(), ClusterError> {
    for region in &REGIONS {
        start(fleet, binaries, layout, region)?;
    }
    REGIONS
        .iter()
        .try_for_each(|region| await_ready(fleet, region))
}

/// Starts a node, for the first time or again.
///
/// # Errors
/// When its settings cannot be written or the program not started.
pub fn start(
    fleet: &mut Fleet,
    binaries: &Binaries,
    layout: &Layout,
    region: &Region,
) -> Result<(), ClusterError> {
    let name = format!("stellara-{}.toml", region.node_id);
    let config = layout.write(&name, &settings::text(layout, region))?;
    let mut command = binaries.node();
    command.args(["run", "--config"]).arg(config);
    let process = region.process();
    fleet.start(&process, &mut command, &layout.log(&process))
}

/// Waits until a node says that it is ready.
///
/// # Errors
/// When it ends or is not ready in time.
pub fn await_ready(fleet: &mut Fleet, region: &Region) -> Result<(), ClusterError> {
    let address = region.ops_address();
    fleet.until(&format!("{} is ready", region.name), READY_MS_MAX, || {
        let answer = http::get(&address, "/readyz").ok()?;
        (answer.status == 200).then_some(())
    })
}

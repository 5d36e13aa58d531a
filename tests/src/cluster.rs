//! A cluster under test: a ledger and three nodes, each a real process. Invariants: all clusters
//! of a machine run one after the other, so that timing is theirs; everything is ended when the
//! cluster is dropped, and its logs are printed if the test failed.

use std::fs::{self, File};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

use stellara_client::{Client, ClientError};
use tempfile::TempDir;
use toml::Table;

use crate::accounts::{Accounts, Meant};
use crate::binaries;
use crate::http;
use crate::ledger::Ledger;
use crate::process::{Process, run_well};
use crate::settings::{Addresses, REGIONS, Settings};
use crate::wait::until;

mod observe;

pub use observe::ClusterCheck;

/// The cluster's name.
pub const CLUSTER_ID: &str = "e2e";
/// How long a node may take to be ready, on a machine that is busy.
const READY_MS_MAX: u64 = 60_000;
/// How long a node may take to stop when asked to.
pub const STOP_MS_MAX: u64 = 10_000;
/// How often a cluster is started anew because somebody took one of its ports.
const PORT_CLASHES_MAX: usize = 3;
/// Guards keys that pay on a simulated ledger alone.
const PASSPHRASE: &str = "keys of a test on a simulated ledger\n";
/// Low, so that a small disk leaves room for a node to start.
const DISK_RESERVE_BYTES: i64 = 8 << 20;

/// What is special about a cluster.
#[derive(Debug, Clone)]
pub struct Options {
    /// Where each node listens.
    pub ips: [IpAddr; 3],
    /// Where the ledger does.
    pub ledger_ip: IpAddr,
    /// A node, from 0, that runs in this network namespace.
    pub namespace: Option<(usize, String)>,
    /// A node, from 0, whose data lies in this folder.
    pub data_dir: Option<(usize, PathBuf)>,
}

impl Default for Options {
    fn default() -> Self {
        let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
        Self {
            ips: [loopback; 3],
            ledger_ip: loopback,
            namespace: None,
            data_dir: None,
        }
    }
}

/// A running cluster.
pub struct Cluster {
    // Fields drop in this order: the nodes before the ledger, the folder after all, the turn last.
    nodes: [Option<Process>; 3],
    ledger: Ledger,
    accounts: Accounts,
    /// The payment that showed the cluster to be at work; every check counts it in.
    first: Meant,
    addresses: Vec<Addresses>,
    options: Options,
    dir: TempDir,
    _turn: File,
}

impl Cluster {
    /// Starts everything and waits until each node is ready.
    ///
    /// # Panics
    /// When something does not start, or not in time.
    pub async fn start(options: Options) -> Self {
        let mut cluster = Self::prepare(options).await;
        for _ in 0..PORT_CLASHES_MAX {
            for node in 0..REGIONS.len() {
                cluster.start_node(node);
            }
            if cluster.ready_or_clash().await {
                cluster.await_first_payment().await;
                return cluster;
            }
            cluster.nodes = [None, None, None];
            for node in 0..REGIONS.len() {
                fs::remove_dir_all(cluster.data_dir(node)).ok();
            }
            cluster.addresses = addresses(&cluster.options);
        }
        panic!("each of {PORT_CLASHES_MAX} sets of ports was taken by somebody else");
    }

    /// Everything but running nodes: the ledger, keys, certificates, ports.
    ///
    /// # Panics
    /// When something cannot be made.
    pub async fn prepare(options: Options) -> Self {
        let turn = turn();
        let dir = tempfile::tempdir().expect("a temporary folder");
        let accounts = create_keyring(dir.path()).await;
        create_certificates(&dir.path().join("certs"), CLUSTER_ID).await;
        let ledger = Ledger::start(dir.path(), options.ledger_ip, &accounts).await;
        Self {
            nodes: [None, None, None],
            ledger,
            accounts,
            first: Meant::next(),
            addresses: addresses(&options),
            options,
            dir,
            _turn: turn,
        }
    }

    /// The ledger.
    pub const fn ledger(&self) -> &Ledger {
        &self.ledger
    }

    /// The cluster's accounts on the ledger.
    pub const fn accounts(&self) -> &Accounts {
        &self.accounts
    }

    /// The payment that showed the cluster to be at work.
    pub const fn first(&self) -> &Meant {
        &self.first
    }

    /// The folder of everything.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Where a node listens.
    pub fn addresses(&self, node: usize) -> &Addresses {
        &self.addresses[node]
    }

    /// Where clients reach the nodes.
    pub fn endpoints(&self) -> Vec<String> {
        self.addresses.iter().map(Addresses::public_url).collect()
    }

    /// Where a node's data lies.
    pub fn data_dir(&self, node: usize) -> PathBuf {
        match &self.options.data_dir {
            Some((special, folder)) if *special == node => folder.clone(),
            Some(_) | None => self.dir.path().join(format!("data-{}", node + 1)),
        }
    }

    /// A client that knows every node.
    ///
    /// # Panics
    /// Never: the endpoints are well formed.
    pub fn client(&self) -> Client {
        let builder = Client::builder().endpoints(self.endpoints());
        builder.build().expect("the endpoints are well formed")
    }

    /// The settings of a node, as a table that a test may spoil.
    pub fn settings(&self, node: usize) -> Table {
        let settings = Settings {
            cluster_id: CLUSTER_ID,
            node_id: u64::try_from(node).expect("there are a few nodes") + 1,
            addresses: &self.addresses,
            data_dir: &self.data_dir(node),
            certs_dir: &self.dir.path().join("certs"),
            keys_dir: self.dir.path(),
            ledger_url: &self.ledger.url(),
            disk_reserve_bytes: DISK_RESERVE_BYTES,
        };
        settings.table()
    }

    /// `stellara-node run` with these settings, not started.
    ///
    /// # Panics
    /// When the settings cannot be written.
    pub fn command(&self, node: usize, settings: &Table) -> Command {
        let file = self.dir.path().join(format!("stellara-{}.toml", node + 1));
        fs::write(&file, settings.to_string()).expect("the cluster's folder can be written");
        let mut command = match &self.options.namespace {
            Some((special, name)) if *special == node => {
                let mut command = Command::new("ip");
                command.args(["netns", "exec", name]);
                command.arg(binaries::node_path());
                command
            }
            Some(_) | None => binaries::node(),
        };
        command.args(["run", "--config"]).arg(file);
        command
    }

    /// Whether a node was started and not ended.
    pub const fn runs(&self, node: usize) -> bool {
        self.nodes[node].is_some()
    }

    /// The process of a node that runs.
    ///
    /// # Panics
    /// When it does not run.
    pub fn process(&self, node: usize) -> &Process {
        self.nodes[node].as_ref().expect("the node runs")
    }

    /// That every node that was started still runs, and that no task of it panicked.
    ///
    /// # Panics
    /// When one does not, or did.
    pub fn assert_well(&mut self) {
        for process in self.nodes.iter_mut().flatten() {
            assert_eq!(process.ended(), None, "{}", process.log_tail());
            let log = process.log();
            assert!(!log.contains("panicked"), "{log}");
        }
    }

    /// Starts a node, for the first time or again, without waiting for it.
    ///
    /// # Panics
    /// When it runs already, or cannot be started.
    pub fn start_node(&mut self, node: usize) {
        assert!(self.nodes[node].is_none(), "node {} runs", node + 1);
        let mut command = self.command(node, &self.settings(node));
        let name = format!("node-{}", node + 1);
        let log = self.dir.path().join(format!("{name}.log"));
        self.nodes[node] = Some(Process::start(&name, &mut command, &log));
    }

    /// Starts a node again and waits until it is ready.
    ///
    /// # Panics
    /// When it runs already, or is not ready in time.
    pub async fn restart(&mut self, node: usize) {
        self.start_node(node);
        self.await_ready(node).await;
    }

    /// Ends a node as a power cut would.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill9(&mut self, node: usize) {
        self.take(node).kill9();
    }

    /// Asks a node to stop (SIGTERM) and waits until it has.
    ///
    /// # Panics
    /// When it does not run, or does not stop within ten seconds.
    pub async fn term(&mut self, node: usize) -> ExitStatus {
        self.take(node).term(STOP_MS_MAX).await
    }

    /// Removes the data of a node that does not run.
    ///
    /// # Panics
    /// When it runs, or the data cannot be removed.
    pub fn wipe(&mut self, node: usize) {
        assert!(self.nodes[node].is_none(), "node {} runs", node + 1);
        let folder = self.data_dir(node);
        fs::remove_dir_all(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    }

    /// What a node that runs printed so far.
    ///
    /// # Panics
    /// When it does not run.
    pub fn log(&self, node: usize) -> String {
        self.process(node).log()
    }

    /// Waits until a node says that it is ready.
    ///
    /// # Panics
    /// When it ends, or is not ready in time.
    pub async fn await_ready(&mut self, node: usize) {
        let address = self.addresses[node].ops.to_string();
        let process = self.nodes[node].as_mut().expect("the node runs");
        let what = format!("node {} is ready", node + 1);
        until(&what, READY_MS_MAX, || {
            let ended = process.ended();
            assert!(ended.is_none(), "{what}: it ended, {ended:?}");
            ready(&address)
        })
        .await;
    }

    /// A new cluster learns its accounts from its first leader, a moment after it is ready.
    async fn await_first_payment(&self) {
        let client = self.client();
        let request = self.first.request();
        until("the cluster knows its treasury", READY_MS_MAX, || async {
            match client.submit_payment(&request).await {
                Ok(accepted) => Some(accepted),
                Err(ClientError::TreasuryUnknown { .. }) => None,
                Err(error) => panic!("the first payment: {error}"),
            }
        })
        .await;
    }

    /// False when a node ended because one of its ports is taken.
    async fn ready_or_clash(&mut self) -> bool {
        let addresses: Vec<_> = self.addresses.iter().map(|a| a.ops.to_string()).collect();
        let nodes = &mut self.nodes;
        until("every node is ready", READY_MS_MAX, || {
            let clash = nodes.iter_mut().flatten().any(|process| {
                let ended = process.ended();
                let in_use = ended.is_some() && process.log().contains("in use");
                assert!(ended.is_none() || in_use, "a node ended, {ended:?}");
                in_use
            });
            let addresses = &addresses;
            async move {
                for address in addresses {
                    if !clash {
                        ready(address).await?;
                    }
                }
                Some(!clash)
            }
        })
        .await
    }

    fn take(&mut self, node: usize) -> Process {
        let process = self.nodes[node].take();
        process.unwrap_or_else(|| panic!("node {} does not run", node + 1))
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for (number, region) in (1..).zip(REGIONS) {
            let log = self.dir.path().join(format!("node-{number}.log"));
            let text = fs::read_to_string(log).unwrap_or_default();
            let from = text.char_indices().nth_back(40_000).map_or(0, |(at, _)| at);
            eprintln!("---- node {number} ({region})\n{}", &text[from..]);
        }
        eprintln!("---- ledger\n{}", self.ledger.log_tail());
    }
}

/// Waits for this machine's turn: held until the file is closed.
fn turn() -> File {
    let path = std::env::temp_dir().join("stellara-e2e.lock");
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path);
    let file = file.expect("the folder of temporary files can be written");
    file.lock().expect("a file can be locked");
    file
}

fn addresses(options: &Options) -> Vec<Addresses> {
    let mut addresses = Vec::new();
    for (node, ip) in options.ips.into_iter().enumerate() {
        let elsewhere = matches!(&options.namespace, Some((special, _)) if *special == node);
        addresses.push(if elsewhere {
            Addresses::usual(ip)
        } else {
            Addresses::free(ip)
        });
    }
    addresses
}

async fn ready(address: &str) -> Option<()> {
    let answer = http::get(address, "/readyz").await.ok()?;
    (answer.status == 200).then_some(())
}

async fn create_keyring(dir: &Path) -> Accounts {
    let passphrase = dir.join("passphrase");
    fs::write(&passphrase, PASSPHRASE).expect("the cluster's folder can be written");
    fs::set_permissions(&passphrase, fs::Permissions::from_mode(0o600)).expect("it is ours");
    let listed = dir.join("accounts.json");
    let mut command = binaries::node();
    command.args(["keyring", "create", "--file"]);
    command.arg(dir.join("keyring.json"));
    command.arg("--passphrase-file").arg(passphrase);
    command.args(["--treasuries", "1", "--channels", "20"]);
    command.args(["--fee-accounts", "1", "--insecure-seed", "7"]);
    command.arg("--accounts-out").arg(&listed);
    run_well(&mut command).await;
    Accounts::read(&listed)
}

/// Makes an authority and the nodes' certificates in a folder.
///
/// # Panics
/// When the command fails.
pub async fn create_certificates(dir: &Path, cluster_id: &str) {
    let mut command = binaries::node();
    command.args(["certs", "--cluster", cluster_id, "--dir"]);
    command.arg(dir);
    for (id, region) in (1..).zip(REGIONS) {
        command.args(["--node", &format!("{id}:{region}")]);
    }
    run_well(&mut command).await;
}

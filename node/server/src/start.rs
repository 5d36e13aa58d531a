//! Puts the real ports together: the order of starting, and of stopping.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use openraft_rt_tokio::TokioRuntime;
use stellara_node::api;
use stellara_node::api::readiness::Settlement;
use stellara_node::certs::CertPaths;
use stellara_node::config::{Config, SettlementSection, SignerSection};
use stellara_node::executor::{Outside, Settings};
use stellara_node::http::ops;
use stellara_node::ingress::IngressLimits;
use stellara_node::node::{Node, NodeOptions, Outer, Ports, Timers, network};
use stellara_node::ports::ledger::horizon::{Horizon, HorizonSettings};
use stellara_node::ports::peer_link::PeerIdentity;
use stellara_node::ports::signer::{ChosenSigner, LocalSigner, RemoteSigner};
use stellara_node::ports::{Clock, SystemClock, on_kept_threads};
use stellara_node::reads::Whoami;
use stellara_node::transport::quic::{QuicEndpoint, QuicLink, QuicOptions};
use stellara_node::transport::raft::RaftLinkOptions;
use stellara_rocks::{RocksConfig, RocksDisk};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::{disk_room, identity, keyring};

/// The ports of production.
pub struct Real;

impl Ports for Real {
    type Runtime = TokioRuntime;
    type Disk = RocksDisk;
    type Link = QuicLink<TokioRuntime>;
    type Ledger = Horizon;
    type Signer = ChosenSigner;
    type Clock = SystemClock;

    async fn blocking<T, F>(work: F) -> io::Result<T>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        on_kept_threads(work).await
    }
}

/// A running process's parts.
pub struct Running {
    node: Node<Real>,
    endpoint: Arc<QuicEndpoint<TokioRuntime>>,
    draining: CancellationToken,
    stop: watch::Sender<bool>,
    tasks: Vec<JoinHandle<()>>,
}

/// Starts everything, or nothing.
pub async fn start(config: Config) -> Result<Running, String> {
    identity::claim(&config)?;
    // The ports are taken first: a node that cannot listen should not join an election.
    let public = listen("listen.public", config.listen.public).await?;
    let ops_port = listen("listen.ops", config.listen.ops).await?;
    let data_dir = config.node.data_dir.clone();
    let disk = RocksDisk::open(&data_dir, rocks(&config)).map_err(|error| error.to_string())?;
    let endpoint = Arc::new(bind(&config)?);
    let settlement = config.settlement.as_ref();
    let settlement = settlement
        .map(|section| outside(section, &config.signer))
        .transpose()?;
    let signer = settlement.as_ref().map(|outside| outside.signer.clone());
    let settles = match settlement {
        Some(_) => Settlement::Configured,
        None => Settlement::Absent,
    };
    let outer = Outer::<Real> {
        disk,
        link: endpoint.link(),
        settlement,
        clock: SystemClock,
    };
    let (node, handler) = Node::start(options(&config), outer)
        .await
        .map_err(|error| error.to_string())?;
    endpoint.serve(Arc::clone(&handler));

    let (stop, stopped) = watch::channel(false);
    let draining = CancellationToken::new();
    let shown = ops::Ops {
        gateway: node.clone(),
        admin: node.clone(),
        metrics: ops::install_metrics().map_err(|error| error.to_string())?,
        settlement: settles,
        draining: draining.clone(),
    };
    let beating = until(stopped.clone());
    let reserve_bytes = config.limits.disk_reserve_bytes;
    let mut tasks = vec![
        tokio::spawn(async move { handler.beat(beating).await }),
        tokio::spawn(serve_public(public, node.clone(), settles, stopped.clone())),
        tokio::spawn(serve_ops(ops_port, shown, stopped)),
        tokio::spawn({
            let node = node.clone();
            async move { disk_room::watch(node, &data_dir, reserve_bytes).await }
        }),
    ];
    if let Some(ChosenSigner::Remote(signer)) = signer {
        tasks.push(tokio::spawn(signer.keep_listed()));
    }
    tracing::info!(
        node_id = config.node.id,
        region = %config.node.region,
        cluster_id = %config.cluster.id,
        peer = %config.listen.peer,
        public = %config.listen.public,
        ops = %config.listen.ops,
        "node started"
    );
    Ok(Running {
        node,
        endpoint,
        draining,
        stop,
        tasks,
    })
}

impl Running {
    /// Resolves when the node stopped itself, with the reason.
    pub async fn failed(&self) -> String {
        self.node.failed().await
    }

    /// Drains, hands leadership over, stops.
    pub async fn stop(self, drain_within: Duration) {
        self.draining.cancel();
        if !drain_within.is_zero() {
            self.node.drain(drain_within).await;
        }
        self.stop.send(true).ok();
        self.node.stop().await;
        self.endpoint.close().await;
        for task in self.tasks {
            task.abort();
            task.await.ok();
        }
        tracing::info!("node stopped");
    }
}

async fn serve_public(
    listener: TcpListener,
    node: Node<Real>,
    settlement: Settlement,
    stopped: watch::Receiver<bool>,
) {
    let options = api::ApiOptions {
        settlement,
        ..api::ApiOptions::default()
    };
    if let Err(error) = api::serve(listener, node, options, until(stopped)).await {
        tracing::error!(%error, "the public port ended");
    }
}

async fn serve_ops(
    listener: TcpListener,
    shown: ops::Ops<Node<Real>, Node<Real>>,
    stopped: watch::Receiver<bool>,
) {
    if let Err(error) = ops::serve(listener, shown, until(stopped)).await {
        tracing::error!(%error, "the ops port ended");
    }
}

async fn until(mut stopped: watch::Receiver<bool>) {
    stopped.wait_for(|stopped| *stopped).await.ok();
}

async fn listen(key: &str, address: std::net::SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("cannot listen on {key} {address}: {error}"))
}

fn bind(config: &Config) -> Result<QuicEndpoint<TokioRuntime>, String> {
    let identity = PeerIdentity {
        node_id: config.node.id,
        region: config.node.region.clone(),
        cluster_id: config.cluster.id.clone(),
    };
    let paths = CertPaths::in_folder(&config.tls.dir, config.node.id);
    QuicEndpoint::bind(
        QuicOptions::new(config.listen.peer),
        paths,
        identity,
        SystemClock.now(),
    )
    .map_err(|error| error.to_string())
}

/// The store gives up at a quarter of the reserve: the node turns read-only long before, and still writes what
/// following and handing over need.
fn rocks(config: &Config) -> RocksConfig {
    RocksConfig {
        reserve_bytes: config.limits.disk_reserve_bytes / 4,
    }
}

fn outside(
    section: &SettlementSection,
    signer: &SignerSection,
) -> Result<Outside<Horizon, ChosenSigner, SystemClock>, String> {
    let ledger = Horizon::new(&HorizonSettings {
        endpoints: section.horizon.clone(),
        request_timeout_ms: section.request_timeout_ms,
        latest_reuse_ms: (section.ledger_ms / 5).max(1),
        ..HorizonSettings::default()
    })
    .map_err(|error| error.to_string())?;
    Ok(Outside {
        ledger,
        signer: chosen_signer(section, signer)?,
        clock: SystemClock,
        network: network(&section.network_passphrase),
    })
}

fn chosen_signer(
    section: &SettlementSection,
    signer: &SignerSection,
) -> Result<ChosenSigner, String> {
    if let Some(settings) = signer.remote(section).map_err(|error| error.to_string())? {
        let remote = RemoteSigner::new(settings).map_err(|error| error.to_string())?;
        return Ok(ChosenSigner::Remote(remote));
    }
    let file = section.keyring.as_deref();
    let file = file.ok_or("settlement.keyring is absent, expected the file of signing keys")?;
    let passphrase = keyring::passphrase(
        section.keyring_passphrase_file.as_deref(),
        section.keyring_key_file.as_deref(),
    )?;
    let local = LocalSigner::open(file, &passphrase).map_err(|error| error.to_string())?;
    Ok(ChosenSigner::Local(local))
}

fn options(config: &Config) -> NodeOptions {
    let raft = &config.raft;
    let mut settlement = Settings::default();
    if let Some(section) = &config.settlement {
        settlement.poll_ms = section.poll_ms;
        settlement.ledger_ms = section.ledger_ms;
        settlement.time_bound_s = section.time_bound_s;
        settlement.request_timeout_ms = section.request_timeout_ms;
    }
    NodeOptions {
        whoami: Whoami {
            cluster_id: config.cluster.id.clone(),
            node_id: config.node.id,
            region: config.node.region.clone(),
        },
        members: config.members(),
        timers: Timers {
            heartbeat_ms: raft.heartbeat_ms,
            election_timeout_min_ms: raft.election_timeout_min_ms,
            election_timeout_max_ms: raft.election_timeout_max_ms,
        },
        snapshot_entries: raft.snapshot_entries,
        raft_link: RaftLinkOptions::default(),
        ingress: IngressLimits {
            commands_max: config.limits.commands_max,
            entries_in_flight_max: config.limits.entries_in_flight_max,
            answer_within: config.answer_within(),
            ..IngressLimits::default()
        },
        settlement,
    }
}

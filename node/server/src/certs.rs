//! `stellara-node certs`: a development authority and node certificates.

use std::path::PathBuf;

use stellara_node::certs::{AUTHORITY_KEY_FILE, Lifetime, create_authority, create_node};
use stellara_node::ports::peer_link::PeerIdentity;
use stellara_node::ports::{Clock, SystemClock};

use crate::CommandResult;

/// Arguments of `certs`.
#[derive(clap::Args)]
pub struct Args {
    /// The folder for `ca.pem`, `ca.key`, `node-N.pem` and `node-N.key`.
    #[arg(long, default_value = "certs")]
    dir: PathBuf,
    /// The cluster's name.
    #[arg(long)]
    cluster: String,
    /// A node, as `1:us-east-1`; give it once for each.
    #[arg(long = "node", required = true, value_parser = parse_node)]
    nodes: Vec<(u64, String)>,
}

fn parse_node(text: &str) -> Result<(u64, String), String> {
    let expected = || format!("{text:?} is no node, expected ID:REGION as 1:us-east-1");
    let (id, region) = text.split_once(':').ok_or_else(expected)?;
    let id = id.parse().map_err(|_| expected())?;
    if id == 0 || region.is_empty() {
        return Err(expected());
    }
    Ok((id, region.to_owned()))
}

/// Makes the authority, unless the folder has one, and the nodes' certificates.
pub fn run(args: &Args) -> CommandResult {
    let now = SystemClock.now();
    let lifetime = Lifetime::default();
    if !args.dir.join(AUTHORITY_KEY_FILE).exists() {
        create_authority(&args.dir, &args.cluster, lifetime, now)
            .map_err(|error| error.to_string())?;
        println!("authority of {} in {}", args.cluster, args.dir.display());
    }
    for (node_id, region) in &args.nodes {
        let identity = PeerIdentity {
            node_id: *node_id,
            region: region.clone(),
            cluster_id: args.cluster.clone(),
        };
        let paths =
            create_node(&args.dir, &identity, lifetime, now).map_err(|error| error.to_string())?;
        println!("{identity}: {}", paths.certificate.display());
    }
    Ok(())
}

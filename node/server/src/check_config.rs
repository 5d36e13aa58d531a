//! `stellara-node check-config`.

use std::path::PathBuf;

use stellara_node::config::{Config, SignerKind};

use crate::CommandResult;

/// Arguments of `check-config`.
#[derive(clap::Args)]
pub struct Args {
    /// The configuration file.
    #[arg(long, default_value = "stellara.toml")]
    config: PathBuf,
}

/// Checks and tells.
pub fn run(args: &Args) -> CommandResult {
    let config = Config::load(&args.config).map_err(|error| error.to_string())?;
    let signing = match (&config.settlement, config.signer.kind) {
        (None, _) => "it never settles".to_owned(),
        (Some(_), SignerKind::Local) => "it signs with its keyring".to_owned(),
        (Some(_), SignerKind::Remote) => {
            let url = config.signer.url.as_deref().unwrap_or_default();
            format!("{url} signs for it")
        }
    };
    println!(
        "{}: node {} of region {} in cluster {}, {} members; peers on {}, clients on {}, ops on {}; {signing}",
        args.config.display(),
        config.node.id,
        config.node.region,
        config.cluster.id,
        config.cluster.members.len(),
        config.listen.peer,
        config.listen.public,
        config.listen.ops,
    );
    Ok(())
}

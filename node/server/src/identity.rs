//! Whose data a folder holds: written at the first start, compared at every later one.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};
use stellara_node::config::Config;

const FILE: &str = "node.json";

#[derive(Debug, Deserialize, PartialEq, Eq, Serialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    cluster_id: String,
    node_id: u64,
}

/// Claims the folder for this node, or refuses it when it is another's.
pub fn claim(config: &Config) -> Result<(), String> {
    let folder = &config.node.data_dir;
    let own = Identity {
        cluster_id: config.cluster.id.clone(),
        node_id: config.node.id,
    };
    fs::create_dir_all(folder)
        .map_err(|error| format!("cannot make node.data_dir {}: {error}", folder.display()))?;
    let path = folder.join(FILE);
    if !path.exists() {
        return write(&path, &own);
    }
    let text = fs::read_to_string(&path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let found: Identity = serde_json::from_str(&text)
        .map_err(|error| format!("{} is not readable: {error}", path.display()))?;
    if found == own {
        return Ok(());
    }
    Err(format!(
        "node.data_dir {} holds the data of node {} of cluster {:?}, this is node {} of cluster {:?}",
        folder.display(),
        found.node_id,
        found.cluster_id,
        own.node_id,
        own.cluster_id,
    ))
}

fn write(path: &Path, identity: &Identity) -> Result<(), String> {
    let json = serde_json::to_string(identity).map_err(|error| error.to_string())?;
    let temporary = path.with_extension("new");
    fs::write(&temporary, json)
        .and_then(|()| fs::rename(&temporary, path))
        .map_err(|error| format!("cannot write {}: {error}", path.display()))
}

//! Where a cluster on this machine keeps its files, and the fixed names of its three regions.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::ClusterError;
use crate::workspace;

/// The cluster's name.
pub const CLUSTER: &str = "demo";
/// Where the ledger listens.
pub const LEDGER: &str = "127.0.0.1:8000";

/// A region and its node.
pub struct Region {
    /// The node's number, from 1.
    pub node_id: u64,
    /// The region's name.
    pub name: &'static str,
}

/// The default regions, in order of priority.
pub const REGIONS: [Region; 3] = [
    Region {
        node_id: 1,
        name: "us-east-1",
    },
    Region {
        node_id: 2,
        name: "eu-west-1",
    },
    Region {
        node_id: 3,
        name: "ap-southeast-1",
    },
];

impl Region {
    /// QUIC between nodes.
    pub fn peer_address(&self) -> String {
        self.address(7_400)
    }

    /// gRPC, REST and the portal.
    pub fn public_address(&self) -> String {
        self.address(7_420)
    }

    /// Metrics, health and administration.
    pub fn ops_address(&self) -> String {
        self.address(7_430)
    }

    /// What a client is given.
    pub fn public_url(&self) -> String {
        format!("http://{}", self.public_address())
    }

    /// The name of its process.
    pub fn process(&self) -> String {
        format!("node-{}", self.node_id)
    }

    /// More nodes on one machine add 1, 2, ...
    fn address(&self, first_port: u64) -> String {
        format!("127.0.0.1:{}", first_port + self.node_id - 1)
    }
}

/// All nodes, for a client.
pub fn endpoints() -> Vec<String> {
    REGIONS.iter().map(Region::public_url).collect()
}

/// The folder of one run.
pub struct Layout {
    dir: PathBuf,
}

impl Layout {
    /// Makes the folder: the one given must be new or empty; the usual one, in the build cache, is emptied.
    ///
    /// # Errors
    /// When the folder given holds something, or cannot be made.
    pub fn create(given: Option<&Path>, usual: &str) -> Result<Self, ClusterError> {
        let dir = match given {
            Some(dir) => dir.to_owned(),
            None => workspace::target_dir().join(usual),
        };
        let told = |error| ClusterError::File(dir.clone(), error);
        if dir.exists() {
            if given.is_some() && fs::read_dir(&dir).map_err(told)?.next().is_some() {
                return Err(ClusterError::NotEmpty(dir));
            }
            fs::remove_dir_all(&dir).map_err(told)?;
        }
        fs::create_dir_all(dir.join("logs")).map_err(told)?;
        // Nodes are told absolute paths: they may run in another folder.
        let dir = fs::canonicalize(&dir).map_err(told)?;
        Ok(Self { dir })
    }

    /// The folder itself.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// A process's log.
    pub fn log(&self, process: &str) -> PathBuf {
        self.dir.join("logs").join(format!("{process}.log"))
    }

    /// Writes a file and answers its path.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) -> Result<PathBuf, ClusterError> {
        let path = self.file(name);
        fs::write(&path, text).map_err(|error| ClusterError::File(path.clone(), error))?;
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::{ClusterError, Layout, REGIONS};

    #[test]
    fn a_folder_with_something_in_it_is_left_alone() {
        let dir = tempfile::tempdir().unwrap();
        Layout::create(Some(dir.path()), "demo").unwrap();
        let refused = Layout::create(Some(dir.path()), "demo").err();
        assert!(matches!(refused, Some(ClusterError::NotEmpty(_))));
        assert!(dir.path().join("logs").is_dir());
    }

    #[test]
    fn nodes_have_ports_of_their_own() {
        assert_eq!(REGIONS[0].peer_address(), "127.0.0.1:7400");
        assert_eq!(REGIONS[2].public_url(), "http://127.0.0.1:7422");
        assert_eq!(REGIONS[1].ops_address(), "127.0.0.1:7431");
    }
}

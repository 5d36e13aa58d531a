//! Whom a fault or an operation means: a node by its number, or by what it does at that moment.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use stellara_raft_store::types::NodeId;

/// Whom something befalls. Written as `leader`, `old-leader`, `follower-1`, `node-2`, or a region's name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Who leads in the highest term at that moment, or led last.
    Leader,
    /// Whom `leader` meant when it was last resolved.
    OldLeader,
    /// The nth other than the leader, from 1, in the order of their numbers.
    Follower(u8),
    /// Any node: a number is drawn for it when the plan is made.
    Any,
    /// This node.
    Node(NodeId),
    /// The node of this region.
    Region(String),
}

/// What is no target.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no node: expected leader, old-leader, follower-1, any, node-2 or a region as eu-west-1"
)]
pub struct NoTarget(pub String);

impl FromStr for Target {
    type Err = NoTarget;

    fn from_str(text: &str) -> Result<Self, NoTarget> {
        let no_target = || NoTarget(text.to_owned());
        match text {
            "leader" => return Ok(Self::Leader),
            "old-leader" => return Ok(Self::OldLeader),
            "any" => return Ok(Self::Any),
            _ => {}
        }
        if let Some(nth) = text.strip_prefix("follower-") {
            let nth = nth.parse().ok().filter(|nth| *nth > 0);
            return nth.map(Self::Follower).ok_or_else(no_target);
        }
        if let Some(number) = text.strip_prefix("node-") {
            let number = number.parse().ok().filter(|number| *number > 0);
            return number.map(Self::Node).ok_or_else(no_target);
        }
        let named = text
            .chars()
            .all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '-');
        if named && text.contains('-') {
            return Ok(Self::Region(text.to_owned()));
        }
        Err(no_target())
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Leader => f.write_str("leader"),
            Self::OldLeader => f.write_str("old-leader"),
            Self::Any => f.write_str("any"),
            Self::Follower(nth) => write!(f, "follower-{nth}"),
            Self::Node(node_id) => write!(f, "node-{node_id}"),
            Self::Region(region) => f.write_str(region),
        }
    }
}

impl Serialize for Target {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Target {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_read_as_it_is_written() {
        for text in [
            "leader",
            "old-leader",
            "any",
            "follower-2",
            "node-3",
            "eu-west-1",
        ] {
            let target: Target = text.parse().unwrap();
            assert_eq!(target.to_string(), text);
        }
        for text in ["", "node-0", "node-x", "follower-0", "Leader", "nobody"] {
            assert_eq!(text.parse::<Target>(), Err(NoTarget(text.to_owned())));
        }
    }
}

//! What the runtime knows of each node: clocks, randomness, whether it runs.
//!
//! A node is a tag on tasks. Its record outlives its crashes: clocks go on, and
//! the random streams do not start again.

use std::collections::BTreeMap;

use super::clock::{NodeClock, UnixMs};
use super::rng::{RandomStream, name_hash};
use super::tasks::TaskId;

/// Names a node, or another part of the world, whose tasks live and die together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeTag(pub u64);

impl NodeTag {
    /// The scenario itself: the future given to the runtime, and what it spawns.
    pub const DRIVER: NodeTag = NodeTag(0);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct NodeIndex(pub(super) u32);

impl NodeIndex {
    pub(super) const DRIVER: NodeIndex = NodeIndex(0);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Running {
    Yes,
    Paused,
}

pub(super) struct Node {
    pub(super) tag: NodeTag,
    /// Counts crashes: a task of an earlier incarnation is dead.
    pub(super) incarnation: u32,
    pub(super) running: Running,
    /// Tasks that became runnable while the node was paused.
    pub(super) held: Vec<TaskId>,
    pub(super) clock: NodeClock,
    pub(super) rng: RandomStream,
    streams: BTreeMap<u64, u64>,
}

/// All nodes, in the order in which they were first named.
pub(super) struct Nodes {
    seed: u64,
    wall_start: UnixMs,
    by_tag: BTreeMap<NodeTag, NodeIndex>,
    nodes: Vec<Node>,
}

impl Nodes {
    pub(super) fn new(seed: u64, wall_start: UnixMs) -> Self {
        let mut nodes = Nodes {
            seed,
            wall_start,
            by_tag: BTreeMap::new(),
            nodes: Vec::new(),
        };
        assert_eq!(nodes.index(NodeTag::DRIVER), NodeIndex::DRIVER);
        nodes
    }

    /// The place of a node, which exists from its first mention.
    pub(super) fn index(&mut self, tag: NodeTag) -> NodeIndex {
        if let Some(index) = self.by_tag.get(&tag) {
            return *index;
        }
        let index = NodeIndex(
            u32::try_from(self.nodes.len()).expect("fewer than 2^32 nodes fit in memory"),
        );
        self.nodes.push(Node {
            tag,
            incarnation: 0,
            running: Running::Yes,
            held: Vec::new(),
            clock: NodeClock::new(self.wall_start),
            rng: RandomStream::derive(&[self.seed, name_hash("node"), tag.0]),
            streams: BTreeMap::new(),
        });
        self.by_tag.insert(tag, index);
        index
    }

    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.nodes.len()).unwrap_or(u32::MAX)
    }

    pub(super) fn get(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0 as usize]
    }

    pub(super) fn get_mut(&mut self, index: NodeIndex) -> &mut Node {
        &mut self.nodes[index.0 as usize]
    }

    pub(super) fn tagged(&mut self, tag: NodeTag) -> &mut Node {
        let index = self.index(tag);
        self.get_mut(index)
    }

    pub(super) fn held(&self) -> usize {
        self.nodes.iter().map(|node| node.held.len()).sum()
    }

    /// The next stream of that node for that purpose. Asking again, as a node
    /// does that starts again, gives a new stream.
    pub(super) fn stream(&mut self, tag: NodeTag, purpose: &str) -> RandomStream {
        let seed = self.seed;
        let purpose = name_hash(purpose);
        let nth = self.tagged(tag).streams.entry(purpose).or_insert(0);
        let stream = RandomStream::derive(&[seed, name_hash("stream"), tag.0, purpose, *nth]);
        *nth += 1;
        stream
    }
}

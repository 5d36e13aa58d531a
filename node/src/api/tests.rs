//! The API over a state of one node.

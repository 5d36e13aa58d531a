//! HTTP beside the API: the ops port, for probes, metrics and operators.

pub mod gauges;
pub mod ops;

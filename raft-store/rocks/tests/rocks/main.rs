//! The engine over `RocksDB` on a real file system: contract, crashes, damage, full disks.

mod conformance;
mod crash;
mod damage;
mod full;
mod support;

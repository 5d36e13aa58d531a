//! The engine over `RocksDB` on a real file system: contract, crashes, damage, full disks.

#[cfg(test)]
mod conformance;
#[cfg(test)]
mod crash;
#[cfg(test)]
mod damage;
#[cfg(test)]
mod full;
#[cfg(test)]
mod support;

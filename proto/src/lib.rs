//! The contract: everything that crosses a process or a release.
//!
//! Messages and services are generated from `proto/stellara/v1`; the descriptor,
//! with its options, is embedded so that routes, validation and documentation
//! derive from the same source.

pub mod status;

/// The public API: payments, batches, cluster, and the options that describe them.
pub mod v1 {
    tonic::include_proto!("stellara.v1");

    /// What is replicated and stored.
    pub mod log {
        tonic::include_proto!("stellara.v1.log");
    }

    /// What nodes tell each other.
    pub mod peer {
        tonic::include_proto!("stellara.v1.peer");
    }
}

/// The encoded `google.protobuf.FileDescriptorSet` of the whole contract, options included.
pub const DESCRIPTOR: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptor.bin"));

/// The descriptor, decoded for reflection.
///
/// # Panics
/// Never: the bytes were encoded by this crate's own build.
#[must_use]
pub fn descriptor_pool() -> prost_reflect::DescriptorPool {
    prost_reflect::DescriptorPool::decode(DESCRIPTOR).expect("the build encoded it")
}

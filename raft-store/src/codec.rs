//! Between the machine's types and the protobuf of the log, the rows and the peers.
//!
//! Encoding cannot fail; decoding names what does not fit. Nothing here decides.

use std::collections::{BTreeMap, BTreeSet};

use stellara_machine::command::{AccountRole, GroupKey};
use stellara_machine::ids::{AccountId, Asset, Hash, Memo};
use stellara_machine::units::{Lane, Stroops};
use stellara_proto::v1::{log, peer};
use thiserror::Error;

use crate::types::{Membership, NodeInfo};

mod command;
mod fees;
mod policy;
mod reply;
mod row;

pub use command::{command_from_proto, command_to_proto, entry_from_bytes};
pub use fees::{
    fee_hour_from_row, fee_hour_to_row, fee_sample_from_row, fee_sample_to_row, market_from_row,
    market_to_row,
};
pub use policy::{policy_from_proto, policy_to_proto};
pub use reply::{rejection_to_proto, reply_from_proto, reply_to_proto};
pub use row::{
    account_from_row, account_to_row, attempt_from_row, attempt_to_row, batch_from_row,
    batch_to_row, key_from_row, key_to_row, payment_from_row, payment_to_row, queued_from_row,
    queued_to_row, record_to_row, stage_from_proto, status_from_row, status_to_row,
};

/// Bytes that do not make a value of ours.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Not protobuf of the expected message.
    #[error("not a protobuf message: {0}")]
    Protobuf(String),
    /// A field holds what it cannot.
    #[error("{field} is {value}, expected {expected}")]
    Field {
        /// The message's field.
        field: &'static str,
        /// What it holds.
        value: String,
        /// What it should.
        expected: &'static str,
    },
}

impl From<prost::DecodeError> for DecodeError {
    fn from(error: prost::DecodeError) -> Self {
        Self::Protobuf(error.to_string())
    }
}

fn field(field: &'static str, value: impl ToString, expected: &'static str) -> DecodeError {
    DecodeError::Field {
        field,
        value: value.to_string(),
        expected,
    }
}

fn missing(name: &'static str) -> DecodeError {
    field(name, "absent", "a value")
}

fn bytes_of<const N: usize>(name: &'static str, bytes: &[u8]) -> Result<[u8; N], DecodeError> {
    <[u8; N]>::try_from(bytes).map_err(|_| {
        field(
            name,
            format_args!("{} bytes", bytes.len()),
            if N == 32 {
                "32 bytes"
            } else {
                "the size of its form"
            },
        )
    })
}

fn account(name: &'static str, bytes: &[u8]) -> Result<AccountId, DecodeError> {
    bytes_of(name, bytes).map(AccountId)
}

fn hash(name: &'static str, bytes: &[u8]) -> Result<Hash, DecodeError> {
    bytes_of(name, bytes).map(Hash)
}

fn small(name: &'static str, number: u32) -> Result<u16, DecodeError> {
    u16::try_from(number).map_err(|_| field(name, number, "at most 65535"))
}

fn lane(number: u32) -> Result<Lane, DecodeError> {
    u8::try_from(number)
        .ok()
        .and_then(Lane::from_number)
        .ok_or_else(|| field("lane", number, "1 to 4"))
}

fn asset_to_proto(asset: &Asset) -> Option<log::Asset> {
    match asset {
        Asset::Native => None,
        Asset::Credit4 { code, issuer } => Some(log::Asset {
            code: code.to_vec(),
            issuer: issuer.0.to_vec(),
        }),
        Asset::Credit12 { code, issuer } => Some(log::Asset {
            code: code.to_vec(),
            issuer: issuer.0.to_vec(),
        }),
    }
}

fn asset_from_proto(asset: Option<log::Asset>) -> Result<Asset, DecodeError> {
    let Some(log::Asset { code, issuer }) = asset else {
        return Ok(Asset::Native);
    };
    let issuer = account("asset.issuer", &issuer)?;
    match code.len() {
        4 => Ok(Asset::Credit4 {
            code: bytes_of("asset.code", &code)?,
            issuer,
        }),
        12 => Ok(Asset::Credit12 {
            code: bytes_of("asset.code", &code)?,
            issuer,
        }),
        length => Err(field(
            "asset.code",
            format_args!("{length} bytes"),
            "4 or 12 bytes",
        )),
    }
}

/// A memo as the log keeps it; absent means none.
#[must_use]
pub fn memo_to_proto(memo: &Memo) -> Option<log::Memo> {
    let memo = match memo {
        Memo::None => return None,
        Memo::Text(text) => log::memo::Memo::Text(text.clone()),
        Memo::Id(id) => log::memo::Memo::Id(*id),
        Memo::Hash(hash) => log::memo::Memo::Hash(hash.to_vec()),
        Memo::Return(hash) => log::memo::Memo::ReturnHash(hash.to_vec()),
    };
    Some(log::Memo { memo: Some(memo) })
}

fn memo_from_proto(memo: Option<log::Memo>) -> Result<Memo, DecodeError> {
    Ok(match memo.and_then(|memo| memo.memo) {
        None => Memo::None,
        Some(log::memo::Memo::Text(text)) => Memo::Text(text),
        Some(log::memo::Memo::Id(id)) => Memo::Id(id),
        Some(log::memo::Memo::Hash(hash)) => Memo::Hash(bytes_of("memo.hash", &hash)?),
        Some(log::memo::Memo::ReturnHash(hash)) => {
            Memo::Return(bytes_of("memo.return_hash", &hash)?)
        }
    })
}

fn group_to_proto(group: &GroupKey) -> log::GroupKey {
    log::GroupKey {
        treasury: group.treasury.0.to_vec(),
        lane: u32::from(group.lane.number()),
        memo: memo_to_proto(&group.memo),
        fee_cap_stroops: group.fee_cap.map(|cap| cap.0),
    }
}

fn group_from_proto(group: Option<log::GroupKey>) -> Result<GroupKey, DecodeError> {
    let group = group.ok_or_else(|| missing("group"))?;
    Ok(GroupKey {
        treasury: account("group.treasury", &group.treasury)?,
        lane: lane(group.lane)?,
        memo: memo_from_proto(group.memo)?,
        fee_cap: group.fee_cap_stroops.map(Stroops),
    })
}

const fn role_to_proto(role: AccountRole) -> log::register_account::Role {
    match role {
        AccountRole::Treasury => log::register_account::Role::Treasury,
        AccountRole::Channel => log::register_account::Role::Channel,
        AccountRole::Fee => log::register_account::Role::Fee,
    }
}

fn role_from_proto(role: log::register_account::Role) -> Result<AccountRole, DecodeError> {
    match role {
        log::register_account::Role::Treasury => Ok(AccountRole::Treasury),
        log::register_account::Role::Channel => Ok(AccountRole::Channel),
        log::register_account::Role::Fee => Ok(AccountRole::Fee),
        log::register_account::Role::Unspecified => Err(missing("role")),
    }
}

/// A membership as peers and the log exchange it.
#[must_use]
pub fn membership_to_proto(membership: &Membership) -> peer::Membership {
    peer::Membership {
        configs: membership
            .get_joint_config()
            .iter()
            .map(|ids| peer::NodeSet {
                node_ids: ids.iter().copied().collect(),
            })
            .collect(),
        nodes: membership
            .nodes()
            .map(|(node_id, info)| peer::Node {
                node_id: *node_id,
                region: info.region.clone(),
                peer_address: info.peer_address.clone(),
                public_address: info.public_address.clone(),
            })
            .collect(),
    }
}

/// The membership a peer or the log told of.
///
/// # Errors
/// `DecodeError` when a voter is not among the nodes.
pub fn membership_from_proto(membership: peer::Membership) -> Result<Membership, DecodeError> {
    let configs = membership
        .configs
        .into_iter()
        .map(|set| set.node_ids.into_iter().collect::<BTreeSet<_>>())
        .collect();
    let nodes = membership
        .nodes
        .into_iter()
        .map(|node| {
            let info = NodeInfo {
                region: node.region,
                peer_address: node.peer_address,
                public_address: node.public_address,
            };
            (node.node_id, info)
        })
        .collect::<BTreeMap<_, _>>();
    Membership::new(configs, nodes)
        .map_err(|error| field("membership", error, "every voter among the nodes"))
}

//! What must hold between a configuration's values; each error names the rule and the number.
//!
//! The timing rules come from measurements of Raft over an ocean: `docs/operations/timing.md`.

use std::collections::BTreeSet;

use super::{Config, ConfigError, RaftSection, signing};

pub(super) fn value(key: &str, value: impl ToString, expected: impl ToString) -> ConfigError {
    ConfigError::Value {
        key: key.to_owned(),
        value: value.to_string(),
        expected: expected.to_string(),
    }
}

fn is_name(text: &str) -> bool {
    (1..=63).contains(&text.len())
        && text
            .bytes()
            .all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
}

const NAME_FORM: &str = "1 to 63 of a-z, 0-9 and -";

pub(super) fn check(config: &Config) -> Result<(), ConfigError> {
    check_members(config)?;
    check_timers(&config.raft)?;
    check_settlement(config)?;
    signing::check(config)?;
    let limits = &config.limits;
    for (key, number, least, most) in [
        ("limits.commands_max", limits.commands_max, 1, 1 << 20),
        (
            "limits.entries_in_flight_max",
            limits.entries_in_flight_max,
            1,
            1_024,
        ),
    ] {
        if !(least..=most).contains(&number) {
            return Err(value(key, number, format_args!("{least} to {most}")));
        }
    }
    if !(100..=60_000).contains(&limits.answer_within_ms) {
        return Err(value(
            "limits.answer_within_ms",
            limits.answer_within_ms,
            "100 to 60000",
        ));
    }
    Ok(())
}

fn check_members(config: &Config) -> Result<(), ConfigError> {
    if !is_name(&config.cluster.id) {
        return Err(value("cluster.id", &config.cluster.id, NAME_FORM));
    }
    let members = &config.cluster.members;
    if !(1..=9).contains(&members.len()) {
        return Err(value("cluster.members", members.len(), "1 to 9 members"));
    }
    let mut ids = BTreeSet::new();
    for member in members {
        if member.id == 0 || !ids.insert(member.id) {
            return Err(value(
                "cluster.members.id",
                member.id,
                "a number above 0 that no other member has",
            ));
        }
        if !is_name(&member.region) {
            return Err(value("cluster.members.region", &member.region, NAME_FORM));
        }
        let port = member.peer.rsplit_once(':').map(|(_, port)| port);
        if port.and_then(|port| port.parse::<u16>().ok()).is_none() {
            return Err(value("cluster.members.peer", &member.peer, "host:port"));
        }
        if !member.public.starts_with("http://") && !member.public.starts_with("https://") {
            return Err(value(
                "cluster.members.public",
                &member.public,
                "http://host:port",
            ));
        }
    }
    let own = members.iter().find(|member| member.id == config.node.id);
    let own = own.ok_or_else(|| {
        value(
            "node.id",
            config.node.id,
            "the id of one of cluster.members",
        )
    })?;
    if own.region != config.node.region {
        return Err(value(
            "node.region",
            &config.node.region,
            format_args!("{}, as in cluster.members", own.region),
        ));
    }
    Ok(())
}

fn check_timers(raft: &RaftSection) -> Result<(), ConfigError> {
    let RaftSection {
        heartbeat_ms,
        election_timeout_min_ms,
        election_timeout_max_ms,
        round_trip_max_ms,
        snapshot_entries,
    } = *raft;
    if !(10..=60_000).contains(&heartbeat_ms) {
        return Err(value("raft.heartbeat_ms", heartbeat_ms, "10 to 60000"));
    }
    if !(100..=10_000_000).contains(&snapshot_entries) {
        return Err(value(
            "raft.snapshot_entries",
            snapshot_entries,
            "100 to 10000000",
        ));
    }
    if election_timeout_min_ms <= round_trip_max_ms {
        return Err(value(
            "raft.election_timeout_min_ms",
            election_timeout_min_ms,
            format_args!(
                "more than raft.round_trip_max_ms, {round_trip_max_ms} (rule R1: it bounds the vote call)"
            ),
        ));
    }
    if heartbeat_ms < round_trip_max_ms {
        return Err(value(
            "raft.heartbeat_ms",
            heartbeat_ms,
            format_args!(
                "at least raft.round_trip_max_ms, {round_trip_max_ms} (rule R3: or an idle leader refuses writes)"
            ),
        ));
    }
    let lease_least = heartbeat_ms + heartbeat_ms / 5 + round_trip_max_ms;
    if election_timeout_max_ms < lease_least {
        return Err(value(
            "raft.election_timeout_max_ms",
            election_timeout_max_ms,
            format_args!(
                "at least {lease_least}: 1.2 heartbeats and a round trip (rule R4: the leader's lease)"
            ),
        ));
    }
    if election_timeout_max_ms <= election_timeout_min_ms {
        return Err(value(
            "raft.election_timeout_max_ms",
            election_timeout_max_ms,
            format_args!("more than raft.election_timeout_min_ms, {election_timeout_min_ms}"),
        ));
    }
    Ok(())
}

fn check_settlement(config: &Config) -> Result<(), ConfigError> {
    let Some(settlement) = &config.settlement else {
        return Ok(());
    };
    if settlement.horizon.is_empty() {
        return Err(value("settlement.horizon", "[]", "at least one address"));
    }
    if settlement.network_passphrase.is_empty() {
        return Err(value(
            "settlement.network_passphrase",
            "empty",
            "the network's passphrase, as \"Test SDF Network ; September 2015\"",
        ));
    }
    Ok(())
}

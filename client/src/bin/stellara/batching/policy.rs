//! `stellara batching policy`: get, set.
//!
//! A policy is set whole: `set` reads the one in force, changes what is named, and replaces it if nobody else did.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage};
use serde_json::Value;
use stellara_client::api::{GetPolicyRequest, LanePolicy, Policy, SetPolicyRequest};

use crate::args::Global;
use crate::failure::Failure;
use crate::output::{json, print_record, word};

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Show the policy in force
    Get,
    /// Change the policy, if nobody else does meanwhile
    Set(Set),
}

#[derive(Debug, Args)]
pub struct Set {
    /// A field and its new value, repeatable, as batchSizeMax=50 or low.feeCapStroops=200
    #[arg(value_name = "FIELD=VALUE", required_unless_present = "file")]
    changes: Vec<String>,
    /// The whole policy as JSON, as `get --output json` prints it
    #[arg(long, value_name = "PATH", conflicts_with = "changes")]
    file: Option<PathBuf>,
}

pub async fn run(global: &Global, command: PolicyCommand) -> Result<(), Failure> {
    let client = global.client()?;
    let policy = client.get_policy(&GetPolicyRequest::default()).await?;
    let policy = match command {
        PolicyCommand::Get => policy,
        PolicyCommand::Set(set) => {
            let (version_seen, wanted) = set.wanted(&policy)?;
            let request = SetPolicyRequest {
                version_seen,
                policy: Some(wanted),
            };
            client.set_policy(&request).await?
        }
    };
    print_record(global.output, "Policy", &policy, &fields(&policy))
}

impl Set {
    /// The version that is replaced, and the policy to replace it with.
    fn wanted(&self, now: &Policy) -> Result<(u64, Policy), Failure> {
        let Some(path) = &self.file else {
            let mut value = json("Policy", now)?;
            for change in &self.changes {
                apply(&mut value, change)?;
            }
            return Ok((now.version, from_json(value)?));
        };
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failure::Usage(format!("cannot read {}: {error}", path.display())))?;
        let value = serde_json::from_str(&text)
            .map_err(|error| Failure::Usage(format!("{} is not JSON: {error}", path.display())))?;
        let policy = from_json(value)?;
        // The file's own version was what its author saw.
        Ok((policy.version, policy))
    }
}

/// Sets one field of the policy's JSON. The kind of its value stays what it is.
fn apply(policy: &mut Value, change: &str) -> Result<(), Failure> {
    let usage = |why: String| Failure::Usage(format!("{change:?}: {why}"));
    let (path, text) = change
        .split_once('=')
        .ok_or_else(|| usage("expected FIELD=VALUE, as batchSizeMax=50".to_owned()))?;
    if path == "version" {
        return Err(usage("the version is not set by hand".to_owned()));
    }
    let known = known_fields(policy);
    let slot = path
        .split('.')
        .try_fold(policy, |value, name| value.get_mut(name))
        .filter(|slot| !slot.is_object())
        .ok_or_else(|| usage(format!("expected one of: {known}")))?;
    *slot = match slot {
        Value::Number(_) => text
            .parse::<u32>()
            .map(Value::from)
            .map_err(|_| usage("expected a whole number".to_owned()))?,
        Value::Bool(_) => text
            .parse::<bool>()
            .map(Value::from)
            .map_err(|_| usage("expected true or false".to_owned()))?,
        Value::Array(_) => serde_json::from_str(text)
            .map_err(|error| usage(format!("expected a JSON array: {error}")))?,
        // A priority may be written as people do.
        Value::String(old) if old.starts_with("PRIORITY_") => {
            let name = match text {
                "none" => "UNSPECIFIED".to_owned(),
                _ => text.trim_start_matches("PRIORITY_").to_uppercase(),
            };
            Value::from(format!("PRIORITY_{name}"))
        }
        Value::String(_) | Value::Null | Value::Object(_) => Value::from(text),
    };
    Ok(())
}

fn known_fields(policy: &Value) -> String {
    let mut names = Vec::new();
    for (name, value) in policy.as_object().into_iter().flatten() {
        match value.as_object() {
            Some(lane) => names.extend(lane.keys().map(|field| format!("{name}.{field}"))),
            None if name == "version" => {}
            None => names.push(name.clone()),
        }
    }
    names.join(", ")
}

fn from_json(value: Value) -> Result<Policy, Failure> {
    let pool: DescriptorPool = stellara_proto::descriptor_pool();
    let bad = |why: String| Failure::Usage(format!("this is no policy: {why}"));
    let descriptor = pool
        .get_message_by_name("stellara.v1.Policy")
        .ok_or_else(|| bad("the contract does not have it".to_owned()))?;
    let message =
        DynamicMessage::deserialize(descriptor, value).map_err(|error| bad(error.to_string()))?;
    Policy::decode(message.encode_to_vec().as_slice()).map_err(|error| bad(error.to_string()))
}

fn fields(policy: &Policy) -> Vec<(&'static str, String)> {
    let lane = |lane: Option<LanePolicy>| {
        let lane = lane.unwrap_or_default();
        let (deadline_ms, cap) = (lane.deadline_ms, lane.fee_cap_stroops);
        format!("settled within {deadline_ms} ms, bids at most {cap} stroops")
    };
    let tiers: Vec<String> = policy
        .discounts
        .iter()
        .map(|tier| {
            let percent = f64::from(tier.discount_permille) / 10.0;
            format!("{percent} % from {}", tier.from_payments)
        })
        .collect();
    let waits = match word(policy.defer_up_to().as_str_name(), "PRIORITY_").as_str() {
        "unspecified" => "nobody waits".to_owned(),
        lane => format!("up to {lane} waits"),
    };
    vec![
        ("version", policy.version.to_string()),
        (
            "batch size",
            format!(
                "{} to {}, {} in a surge",
                policy.batch_size_min, policy.batch_size_max, policy.surge_size_max
            ),
        ),
        ("batch timeout", format!("{} ms", policy.batch_timeout_ms)),
        (
            "immediate from",
            word(policy.immediate_from().as_str_name(), "PRIORITY_"),
        ),
        (
            "retries",
            format!(
                "{}, after {} to {} ms",
                policy.retries_max, policy.backoff_base_ms, policy.backoff_max_ms
            ),
        ),
        (
            "bid",
            format!(
                "{} to {} stroops an operation",
                policy.fee_base_stroops, policy.fee_cap_stroops
            ),
        ),
        ("low", lane(policy.low)),
        ("medium", lane(policy.medium)),
        ("high", lane(policy.high)),
        ("critical", lane(policy.critical)),
        ("in a surge", waits),
        ("discounts", tiers.join(", ")),
        (
            "charge below cost",
            if policy.below_cost_allowed {
                "stands"
            } else {
                "raised to the cost"
            }
            .to_owned(),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(change: &str) -> Result<Policy, String> {
        let policy = Policy {
            batch_size_max: 100,
            batch_timeout_ms: 5_000,
            low: Some(LanePolicy {
                deadline_ms: 1,
                fee_cap_stroops: 150,
            }),
            ..Policy::default()
        };
        let mut value = json("Policy", &policy).map_err(|error| error.to_string())?;
        apply(&mut value, change).map_err(|error| error.to_string())?;
        from_json(value).map_err(|error| error.to_string())
    }

    #[test]
    fn one_field_is_changed_and_the_rest_stays() {
        assert_eq!(check("batchSizeMax=50").unwrap().batch_size_max, 50);
        let low = check("low.feeCapStroops=200").unwrap().low.unwrap();
        assert_eq!((low.fee_cap_stroops, low.deadline_ms), (200, 1));
        assert_eq!(check("immediateFrom=critical").unwrap().immediate_from, 4);
        assert_eq!(check("deferUpTo=none").unwrap().defer_up_to, 0);
        assert!(check("belowCostAllowed=true").unwrap().below_cost_allowed);
        let tiers = check(r#"discounts=[{"fromPayments":5,"discountPermille":50}]"#).unwrap();
        assert_eq!(tiers.discounts[0].from_payments, 5);
    }

    #[test]
    fn what_is_no_field_or_no_value_says_what_is_expected() {
        let told = |change: &str, expected: &str| {
            let error = check(change).unwrap_err();
            assert!(error.contains(expected), "{change}: {error}");
        };
        told("batchSizeMax", "expected FIELD=VALUE");
        told("batch_size=3", "expected one of: ");
        told("low=3", "low.feeCapStroops");
        told("batchSizeMax=many", "expected a whole number");
        told("belowCostAllowed=1", "expected true or false");
        told("immediateFrom=urgent", "this is no policy");
        told("version=3", "not set by hand");
    }
}

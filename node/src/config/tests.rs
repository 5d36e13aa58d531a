//! Configurations that are taken, and the words for those that are not.

use super::*;

pub(super) const GOOD: &str = r#"
[node]
id = 1
region = "us-east-1"
data_dir = "/var/lib/stellara"

[cluster]
id = "demo"
members = [
    { id = 1, region = "us-east-1", peer = "127.0.0.1:7400", public = "http://127.0.0.1:7420" },
    { id = 2, region = "eu-west-1", peer = "127.0.0.1:7401", public = "http://127.0.0.1:7421" },
]

[listen]

[tls]
dir = "certs"
"#;

fn check(text: &str, variables: &[(&str, &str)], expected: Result<(), &str>) {
    let variables = variables
        .iter()
        .map(|(name, text)| ((*name).to_owned(), (*text).to_owned()));
    let parsed = Config::parse("stellara.toml", text, variables);
    match expected {
        Ok(()) => {
            parsed.unwrap();
        }
        Err(words) => {
            let error = parsed.unwrap_err().to_string();
            assert!(error.contains(words), "{error:?} does not say {words:?}");
        }
    }
}

#[test]
fn defaults_fill_what_is_not_said() {
    let config = Config::parse("stellara.toml", GOOD, std::iter::empty()).unwrap();
    assert_eq!(config.listen.public.port(), 7420);
    assert_eq!(config.members().len(), 2);
}

#[test]
fn bad_values_are_named() {
    check(GOOD, &[], Ok(()));
    check(&GOOD.replace("data_dir", "datadir"), &[], Err("datadir"));
    check(
        &GOOD.replace("id = 1\nregion", "id = 9\nregion"),
        &[],
        Err("node.id is 9"),
    );
    check(
        &GOOD.replace("id = \"demo\"", "id = \"De mo\""),
        &[],
        Err("cluster.id is De mo"),
    );
    check(
        &GOOD.replace("peer = \"127.0.0.1:7401\"", "peer = \"x\""),
        &[],
        Err("host:port"),
    );
    check(
        &format!("{GOOD}\n[raft]\nheartbeat_ms = 20\n"),
        &[],
        Err("rule R3"),
    );
    check(
        &format!("{GOOD}\n[raft]\nelection_timeout_min_ms = 90\n"),
        &[],
        Err("rule R1"),
    );
    check(
        &format!("{GOOD}\n[raft]\nelection_timeout_max_ms = 300\n"),
        &[],
        Err("rule R4"),
    );
}

#[test]
fn the_environment_lies_over_the_file() {
    let variable = (
        "STELLARA_LISTEN__PUBLIC".to_owned(),
        "127.0.0.1:9999".to_owned(),
    );
    let config = Config::parse("stellara.toml", GOOD, std::iter::once(variable)).unwrap();
    assert_eq!(config.listen.public.port(), 9999);
    check(
        GOOD,
        &[("STELLARA_NODE__ID", "nine")],
        Err("STELLARA_* variables"),
    );
    check(GOOD, &[("STELLARA_BOGUS__KEY", "1")], Err("bogus"));
    check(
        GOOD,
        &[("STELLARA_BOGUS", "1")],
        Err("STELLARA_SECTION__KEY"),
    );
}

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

const SETTLEMENT: &str = r#"
[settlement]
horizon = ["https://horizon.stellar.org"]
network_passphrase = "Public Global Stellar Network ; September 2015"
"#;

const TREASURY: &str = "GAAZI4TCR3TY5OJHCTJC2A4QSY6CJWJH5IAJTGKIN2ER7LBNVKOCCWN7";

#[test]
fn a_signer_is_either_here_or_elsewhere() {
    let check = |settlement: &str, signer: &str, expected| {
        let text = format!("{GOOD}{SETTLEMENT}{settlement}\n[signer]\n{signer}\n");
        check(&text, &[], expected);
    };
    let keyring = "keyring = \"keyring.json\"";
    let remote = "kind = \"remote\"\nurl = \"https://signer.example:8443/v1\"";
    check(keyring, "", Ok(()));
    check(keyring, "kind = \"local\"", Ok(()));
    check("", remote, Ok(()));
    check("", "", Err("settlement.keyring is absent"));
    check(keyring, remote, Err("settlement.keyring is given"));
    check(
        keyring,
        "url = \"https://signer.example\"",
        Err("signer.url is given, expected none: signer.kind is local"),
    );
    check("", "kind = \"remote\"", Err("signer.url is absent"));
    check("", "kind = \"hsm\"", Err("unknown variant `hsm`"));
    check(
        "",
        &format!("{remote}\nurls = 1"),
        Err("unknown field `urls`"),
    );
    check(
        "",
        &format!("{remote}\ntimeout_ms = 9"),
        Err("signer.timeout_ms is 9"),
    );
    check(
        "",
        &format!("{remote}\ntries_max = 0"),
        Err("signer.tries_max is 0"),
    );
    for (url, why) in [
        ("http://signer.example", "its host is another machine"),
        ("https://user:secret@signer.example", "it holds a user"),
        ("https://signer.example/?a=1", "it has a query"),
        ("ftp://signer.example", "its scheme is ftp"),
        ("signer", "relative URL"),
    ] {
        let signer = format!("kind = \"remote\"\nurl = \"{url}\"");
        check("", &signer, Err(why));
    }
    check(
        "",
        "kind = \"remote\"\nurl = \"http://127.0.0.1:8200\"",
        Ok(()),
    );
    let both = "keyring_passphrase_file = \"p\"\nkeyring_key_file = \"k\"";
    check(&format!("{keyring}\n{both}"), "", Err("one of the two"));
}

#[test]
fn listed_accounts_are_accounts_in_one_list() {
    let check = |lists: &str, expected| {
        let text = format!(
            "{GOOD}{SETTLEMENT}\n[signer]\nkind = \"remote\"\nurl = \"https://s.example\"\n{lists}\n"
        );
        check(&text, &[], expected);
    };
    check(
        &format!("treasuries = [\"{TREASURY}\"]"),
        Err("signer.channels is empty"),
    );
    check(
        &format!("treasuries = [\"{TREASURY}\"]\nchannels = [\"{TREASURY}\"]"),
        Err("each account once, in one list"),
    );
    check(
        "treasuries = [\"SECRET\"]",
        Err("signer.treasuries is a list with a text of 6 characters"),
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

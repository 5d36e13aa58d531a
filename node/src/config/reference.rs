//! Prints `docs/reference/configuration.md`: keys, types and words from the source of the structs themselves, the
//! defaults from a configuration that says no more than it must.

use std::fmt::Write as _;

use toml::{Table, Value};

use super::tests::GOOD;
use super::{Config, overrides};
use crate::golden;

const SOURCE: &str = include_str!("../config.rs");

/// Joined with a configuration that is good without settling: only what has no default.
const SETTLEMENT: &str = r#"
[settlement]
horizon = ["https://horizon.stellar.org"]
network_passphrase = "Public Global Stellar Network ; September 2015"
keyring = "keyring.json"
"#;

/// A key as its struct declares it.
struct Key {
    name: String,
    kind: String,
    words: String,
}

/// The sections in the order of the source: the header as written in the file, and its keys.
fn sections() -> Vec<(String, Vec<Key>)> {
    let mut sections: Vec<(String, Vec<Key>)> = Vec::new();
    let mut words: Vec<&str> = Vec::new();
    let mut header: Option<String> = None;
    for line in SOURCE.lines().map(str::trim) {
        if let Some(comment) = line.strip_prefix("/// ") {
            words.push(comment);
        } else if line.starts_with("pub struct") && line.ends_with('{') {
            let said = words.concat();
            let of_file = said
                .strip_prefix('`')
                .and_then(|said| said.strip_suffix('`'));
            header = of_file.map(str::to_owned);
            if let Some(header) = &header {
                sections.push((header.clone(), Vec::new()));
            }
            words.clear();
        } else if let Some((name, kind)) = field(line).filter(|_| header.is_some()) {
            let key = Key {
                name: name.to_owned(),
                kind: kind_of(kind).to_owned(),
                words: words.join(" "),
            };
            sections.last_mut().unwrap().1.push(key);
            words.clear();
        } else if line == "}" {
            header = None;
            words.clear();
        }
    }
    sections
}

fn field(line: &str) -> Option<(&str, &str)> {
    let declared = line.strip_prefix("pub ")?.strip_suffix(',')?;
    declared.split_once(": ")
}

fn kind_of(rust: &str) -> &str {
    match rust {
        "NodeId" | "u32" | "u64" | "usize" => "number",
        "String" | "Option<String>" => "text",
        "SignerKind" => "`local` or `remote`",
        "PathBuf" | "Option<PathBuf>" => "path",
        "SocketAddr" => "address:port",
        "Vec<String>" => "list of text",
        "Vec<MemberSection>" => "list of tables",
        other => panic!("the reference has no word for {other}"),
    }
}

fn parse(text: &str) -> Result<Config, super::ConfigError> {
    Config::parse("stellara.toml", text, std::iter::empty())
}

/// The default of a key as it would be written; `None` for one that must be given.
fn default_of(least: &Table, full: &Table, section: &str, key: &str) -> Option<String> {
    let in_section = |table: &Table| table.get(section)?.as_table()?.get(key).cloned();
    if in_section(least).is_some() {
        let mut without = least.clone();
        let table = without.get_mut(section).and_then(Value::as_table_mut);
        table.unwrap().remove(key);
        let error = parse(&without.to_string()).unwrap_err().to_string();
        // What depends on another key is missed by the check instead.
        let missing = error.contains(&format!("missing field `{key}`"));
        let absent = error.starts_with(&format!("{section}.{key} is absent"));
        assert!(missing || absent, "{error}");
        return None;
    }
    Some(in_section(full).map_or("none".to_owned(), |value| format!("`{value}`")))
}

#[test]
fn the_configuration_reference_is_true() {
    let least = GOOD.to_owned() + SETTLEMENT;
    let full = Table::try_from(parse(&least).unwrap()).unwrap();
    let least: Table = toml::from_str(&least).unwrap();
    let mut page = golden::head("Configuration");
    write!(
        page,
        "\nThe file is TOML. A variable `{}SECTION__KEY` lies over `section.key`; `{}` is the\n\
         keyring's passphrase when no file holds it. Unknown keys are refused. How the parts fit \
         together:\n[operations](../operations/configuration.md).\n",
        overrides::PREFIX,
        overrides::KEYRING_PASSPHRASE
    )
    .unwrap();
    let sections = sections();
    assert_eq!(
        sections.len(),
        full.len() + 1,
        "every section, and the members"
    );
    for (header, keys) in sections {
        write!(page, "\n## `{header}`\n\n").unwrap();
        let section = header.trim_matches(['[', ']']);
        let rows = keys.into_iter().map(|key| {
            // A member is written whole.
            let default = match section {
                "cluster.members" => None,
                _ => default_of(&least, &full, section, &key.name),
            };
            let default = default.unwrap_or_else(|| "must be given".to_owned());
            [format!("`{}`", key.name), key.kind, default, key.words]
        });
        page.push_str(&golden::table(["key", "type", "default", "what"], rows));
    }
    golden::check("configuration.md", &page);
}

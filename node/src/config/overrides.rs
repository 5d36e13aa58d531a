//! `STELLARA_SECTION__KEY` lays a value over the file's `section.key`.

use toml::{Table, Value};

use super::ConfigError;

pub(super) const PREFIX: &str = "STELLARA_";
/// Not an override: a secret, read where it is used.
pub(super) const KEYRING_PASSPHRASE: &str = "STELLARA_KEYRING_PASSPHRASE";
/// Read by the command line client.
const FOREIGN: [&str; 2] = ["STELLARA_ENDPOINTS", "STELLARA_API_KEY"];

/// Lays the variables over the table; a value is read as TOML where it can be, as text otherwise.
pub(super) fn lay_over(
    table: &mut Table,
    variables: impl Iterator<Item = (String, String)>,
) -> Result<(), ConfigError> {
    for (name, text) in variables {
        if name == KEYRING_PASSPHRASE || FOREIGN.contains(&name.as_str()) {
            continue;
        }
        let path = name.trim_start_matches(PREFIX).to_ascii_lowercase();
        let Some((section, key)) = path.split_once("__") else {
            return Err(ConfigError::Value {
                key: name,
                value: text,
                expected: "a name like STELLARA_SECTION__KEY".to_owned(),
            });
        };
        let section = table
            .entry(section)
            .or_insert_with(|| Value::Table(Table::new()));
        let Value::Table(section) = section else {
            return Err(ConfigError::Value {
                key: name,
                value: text,
                expected: "a section of the configuration".to_owned(),
            });
        };
        section.insert(key.to_owned(), value_of(text));
    }
    Ok(())
}

fn value_of(text: String) -> Value {
    let parsed = toml::from_str::<Table>(&format!("value = {text}"));
    match parsed.map(|mut table| table.remove("value")) {
        Ok(Some(value)) => value,
        Ok(None) | Err(_) => Value::String(text),
    }
}

//! The part of `deny.toml` that is checked without cargo-deny.

use std::collections::BTreeSet;

use toml::{Table, Value};

/// Rules over dependencies.
#[derive(Debug, Default)]
pub struct Policy {
    /// SPDX names.
    pub licences: BTreeSet<String>,
    /// Crates that must not appear, with the reason.
    pub banned: Vec<(String, String)>,
    /// Registries that crates may come from, as addresses.
    pub registries: BTreeSet<String>,
    /// Exceptions: what, and the reason with its date.
    pub exceptions: Vec<(String, String)>,
}

impl Policy {
    /// Reads the rules from the text of `deny.toml`; `Err` tells what is missing or malformed.
    pub fn read(text: &str) -> Result<Self, String> {
        let table: Table = text
            .parse()
            .map_err(|error| format!("deny.toml: {error}"))?;
        let mut policy = Self {
            licences: strings(&table, "licenses", "allow")?.into_iter().collect(),
            registries: strings(&table, "sources", "allow-registry")?
                .into_iter()
                .collect(),
            ..Self::default()
        };
        for entry in list(&table, "bans", "deny")? {
            policy.banned.push(reasoned(entry, "crate", "bans.deny")?);
        }
        for entry in list(&table, "advisories", "ignore")? {
            policy
                .exceptions
                .push(reasoned(entry, "id", "advisories.ignore")?);
        }
        for (_, why) in &policy.exceptions {
            until(why)?;
        }
        Ok(policy)
    }

    /// Exceptions whose date is before `today` (`YYYY-MM-DD`).
    pub fn expired(&self, today: &str) -> Vec<&str> {
        let is_past = |why: &str| until(why).is_ok_and(|date| date < today);
        self.exceptions
            .iter()
            .filter(|(_, why)| is_past(why))
            .map(|(what, _)| what.as_str())
            .collect()
    }
}

fn list<'a>(table: &'a Table, section: &str, key: &str) -> Result<&'a Vec<Value>, String> {
    table
        .get(section)
        .and_then(|section| section.get(key))
        .and_then(Value::as_array)
        .ok_or_else(|| format!("deny.toml: {section}.{key} must be a list"))
}

fn strings(table: &Table, section: &str, key: &str) -> Result<Vec<String>, String> {
    list(table, section, key)?
        .iter()
        .map(|value| value.as_str().map(str::to_owned))
        .collect::<Option<_>>()
        .ok_or_else(|| format!("deny.toml: {section}.{key} must hold strings"))
}

fn reasoned(entry: &Value, key: &str, list: &str) -> Result<(String, String), String> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    text(key)
        .zip(text("reason"))
        .ok_or_else(|| format!("deny.toml: an entry of {list} must have {key} and reason"))
}

/// The date at the end of a reason.
fn until(why: &str) -> Result<&str, String> {
    let is_date = |text: &&str| {
        text.len() == 10
            && text.bytes().enumerate().all(|(place, byte)| match place {
                4 | 7 => byte == b'-',
                _ => byte.is_ascii_digit(),
            })
    };
    why.rsplit_once("until ")
        .map(|(_, date)| date)
        .filter(is_date)
        .ok_or_else(|| format!("deny.toml: the reason {why:?} must end with \"until YYYY-MM-DD\""))
}

#[cfg(test)]
mod tests {
    use super::Policy;

    fn text(reason: &str) -> String {
        format!(
            "[licenses]\nallow = [\"MIT\"]\n[bans]\ndeny = [{{ crate = \"openssl\", reason = \"tls\" }}]\n\
             [sources]\nallow-registry = [\"https://r\"]\n[advisories]\nignore = [{{ id = \"R-1\", reason = \"{reason}\" }}]\n"
        )
    }

    #[test]
    fn an_exception_expires() {
        let policy = Policy::read(&text("kept apart; until 2030-01-31")).expect("it is complete");
        assert_eq!(policy.expired("2030-01-31"), [""; 0]);
        assert_eq!(policy.expired("2030-02-01"), ["R-1"]);
        assert_eq!(policy.banned, [("openssl".to_owned(), "tls".to_owned())]);
    }

    #[test]
    fn an_exception_without_a_date_is_refused() {
        let error = Policy::read(&text("kept apart")).expect_err("the date is missing");
        assert!(error.contains("until YYYY-MM-DD"), "{error}");
    }
}

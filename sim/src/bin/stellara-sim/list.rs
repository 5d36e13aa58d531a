//! `stellara-sim list`: the scenarios, what happens in each and what it keeps.

use clap::Args;
use serde_json::json;
use stellara_sim::scenario::{Scenario, catalogue};

use crate::failure::Failure;
use crate::output::{Output, print_json, print_rows};

/// Options of `stellara-sim list`.
#[derive(Args)]
pub struct ListArgs {
    /// Print the file of this scenario instead: a start for one of your own
    scenario: Option<String>,
    /// For whom the output is
    #[arg(long, value_enum, default_value_t)]
    output: Output,
}

/// Lists them.
pub fn run(args: ListArgs) -> Result<(), Failure> {
    if let Some(name) = &args.scenario {
        let scenario = Scenario::named(name)?;
        match args.output {
            Output::Json => print_json(&scenario)?,
            Output::Table => {
                let entry = catalogue().iter().find(|entry| entry.name == *name);
                match entry {
                    Some(entry) => print!("{}", entry.text),
                    None => print!("{}", scenario.to_toml()?),
                }
            }
        }
        return Ok(());
    }
    let mut scenarios = Vec::new();
    for entry in catalogue() {
        scenarios.push(Scenario::named(entry.name)?);
    }
    match args.output {
        Output::Json => {
            let all: Vec<_> = scenarios
                .iter()
                .map(|scenario| {
                    json!({
                        "name": scenario.name,
                        "about": scenario.about,
                        "keeps": scenario.keeps,
                        "seen_in": scenario.seen_in,
                    })
                })
                .collect();
            print_json(&all)?;
        }
        Output::Table => {
            let rows: Vec<_> = scenarios
                .into_iter()
                .map(|scenario| vec![scenario.name, scenario.about])
                .collect();
            print_rows(&["SCENARIO", "WHAT HAPPENS"], &rows)?;
        }
    }
    Ok(())
}

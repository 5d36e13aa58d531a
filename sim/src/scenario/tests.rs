//! Scenarios are read whole or refused with the place; plans come from their seed alone.

use super::*;

#[test]
fn every_scenario_of_the_catalogue_is_whole() {
    for entry in catalogue() {
        let scenario = Scenario::named(entry.name).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(scenario.name, entry.name);
        assert!(!scenario.about.is_empty() && !scenario.keeps.is_empty());
        let plan = scenario.plan(7);
        assert_eq!(plan, scenario.plan(7));
        assert!(!plan.operations.is_empty(), "{}", entry.name);
        let text = serde_json::to_string(&plan).unwrap();
        assert_eq!(
            serde_json::from_str::<crate::plan::Plan>(&text).unwrap(),
            plan
        );
    }
}

#[test]
fn every_file_is_in_the_catalogue() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        assert!(catalogue().iter().any(|entry| entry.name == name), "{name}");
    }
}

#[test]
fn a_plan_written_as_a_scenario_makes_the_same_plan() {
    for entry in catalogue() {
        let plan = Scenario::named(entry.name).unwrap().plan(11);
        let text = Scenario::of_plan(&plan).to_toml().unwrap();
        assert_eq!(Scenario::parse(entry.name, &text).unwrap().plan(11), plan);
    }
}

#[test]
fn a_fault_changes_no_operation() {
    let calm = Scenario::named("calm").unwrap();
    let mut troubled = calm.clone();
    troubled.hazards = Scenario::named("chaos").unwrap().hazards;
    assert_eq!(calm.plan(3).operations, troubled.plan(3).operations);
    assert!(troubled.plan(3).faults.len() > 5);
}

fn check(text: &str, expected: &str) {
    let head = "name = \"own\"\nabout = \"a\"\nfor_ms = 1000\n";
    let told = match Scenario::parse("own.toml", &format!("{head}{text}")) {
        Ok(scenario) => panic!("{scenario:?}"),
        Err(error) => error.to_string(),
    };
    assert!(told.contains(expected), "{told}");
}

#[test]
fn what_is_wrong_is_named() {
    check("colour = 1\n", "unknown field `colour`");
    check(
        "[[fault]]\nkind = \"crash\"\nnode = \"leader\"\n",
        "fault 1 needs either at_ms or every_ms",
    );
    check(
        "[[fault]]\nkind = \"crash\"\nat_ms = 1\nnode = \"node-9\"\n",
        "node-9, which is not of the topology",
    );
    check(
        "[[fault]]\nkind = \"crash\"\nat_ms = 1\nnode = \"Mars\"\n",
        "\"Mars\" is no node: expected leader",
    );
    check(
        "[[fault]]\nkind = \"crash\"\nat_ms = 1\nnode = \"leader\"\nbang = 1\n",
        "unknown field `bang`",
    );
    check(
        "[[fault]]\nkind = \"meteor\"\nat_ms = 1\n",
        "unknown variant `meteor`",
    );
    check(
        "[[fault]]\nkind = \"crash\"\nat_ms = [9, 1]\nnode = \"leader\"\n",
        "[9, 1], expected the smaller first",
    );
    check(
        "[topology]\nregions = []\n",
        "topology.regions is 0, expected 1 to 9",
    );
    check(
        "[topology.timers]\nheartbeat_ms = 9\nelection_timeout_min_ms = 9\nelection_timeout_max_ms = 9\n",
        "expected heartbeat_ms < election",
    );
    check(
        "[workload]\nclients = 0\n",
        "workload.clients is 0, expected 1 to 64",
    );
    let nowhere = Scenario::named("nowhere").unwrap_err().to_string();
    assert!(nowhere.contains("stellara-sim list"), "{nowhere}");
    let missing = Scenario::named("/nowhere/x.toml").unwrap_err().to_string();
    assert!(missing.starts_with("/nowhere/x.toml: "), "{missing}");
}

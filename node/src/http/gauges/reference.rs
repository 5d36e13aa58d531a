//! Prints `docs/reference/metrics.md` from what a scrape shows once every metric was touched.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures_util::FutureExt as _;
use openraft_rt_tokio::TokioRuntime;
use stellara_proto::v1::Totals;
use stellara_raft_store::types::NodeInfo;

use super::render;
use crate::api::meter;
use crate::gateway::{ClusterView, MemberView, Role, Suffrage};
use crate::golden;
use crate::http::ops;
use crate::ports::signer;

/// Everything that the node counts, as a scrape shows it.
fn counted() -> String {
    let recorder = ops::recorder().unwrap().build_recorder();
    metrics::with_local_recorder(&recorder, || {
        meter::describe();
        signer::meter::describe();
        let call = meter::call::<TokioRuntime, _>("GetPayment", async { Ok(()) });
        assert!(call.now_or_never().is_some(), "nothing to wait for");
        meter::too_large();
        meter::payments(1, 1);
        let why = String::new();
        let unsigned = Err(signer::SignError::Unavailable { why });
        signer::meter::call(&unsigned, Duration::ZERO);
    });
    recorder.handle().render()
}

fn state() -> String {
    let info = NodeInfo {
        region: "eu-west-1".to_owned(),
        peer_address: "10.0.2.1:7400".to_owned(),
        public_address: "http://10.0.2.1:7420".to_owned(),
    };
    let member = MemberView {
        node_id: 2,
        info,
        suffrage: Suffrage::Voter,
        matched_index: Some(1),
    };
    let cluster = ClusterView {
        cluster_id: "payments".to_owned(),
        node_id: 1,
        region: "us-east-1".to_owned(),
        role: Role::Leader,
        term: 1,
        leader_id: Some(1),
        last_log_index: 1,
        committed_index: 1,
        applied_index: 1,
        members: vec![member],
        read_only_reason: None,
        joining: None,
    };
    render(&cluster, &Totals::default())
}

/// A metric of a scrape.
#[derive(Default)]
struct Metric {
    kind: String,
    help: String,
    labels: BTreeSet<String>,
}

/// Reads the text format of Prometheus as far as it is used here.
fn metrics_of(scrape: &str) -> BTreeMap<String, Metric> {
    let mut metrics: BTreeMap<String, Metric> = BTreeMap::new();
    for line in scrape.lines().filter(|line| !line.is_empty()) {
        let words = line
            .strip_prefix("# ")
            .and_then(|words| words.split_once(' '));
        if let Some((what, words)) = words {
            let (name, words) = words.split_once(' ').unwrap();
            let metric = metrics.entry(name.to_owned()).or_default();
            match what {
                "TYPE" => metric.kind = words.to_owned(),
                "HELP" => metric.help = words.to_owned(),
                other => panic!("{other} in {line:?}"),
            }
            continue;
        }
        let (name, rest) = line.split_at(line.find(['{', ' ']).unwrap());
        let own = ["_bucket", "_sum", "_count"].iter();
        let base = own.filter_map(|ending| name.strip_suffix(ending));
        let name = base
            .clone()
            .find(|base| metrics.contains_key(*base))
            .unwrap_or(name);
        let metric = metrics
            .get_mut(name)
            .unwrap_or_else(|| panic!("no head for {line:?}"));
        let labels = rest.split_once('}').map_or("", |(labels, _)| labels);
        let labels = labels.trim_start_matches('{').split(',');
        let names = labels.filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
        metric.labels.extend(names);
    }
    metrics
}

fn table(scrape: &str) -> String {
    let rows = metrics_of(scrape).into_iter().map(|(name, metric)| {
        let Metric { kind, help, labels } = metric;
        assert!(
            !help.is_empty() && !kind.is_empty(),
            "{name} is not described"
        );
        let labels = labels.iter().map(|label| format!("`{label}`"));
        let labels = labels.collect::<Vec<_>>().join(", ");
        [format!("`{name}`"), kind, labels, help]
    });
    golden::table(["metric", "type", "labels", "what"], rows)
}

#[test]
fn the_metric_reference_is_true() {
    let mut page = golden::head("Metrics");
    page.push_str(
        "\n`GET /metrics` on the ops port (`listen.ops`), in the text format of Prometheus. \
         Labels come from fixed sets, so the\nnumber of series is bounded whatever callers send.\n\n\
         ## The node's state\n\nTaken at each scrape. What counts payments and batches is \
         replicated: the same on every node that has applied the\nsame entries.\n\n",
    );
    page.push_str(&table(&state()));
    page.push_str("\n## Calls of this node\n\nSince its process began.\n\n");
    page.push_str(&table(&counted()));
    golden::check("metrics.md", &page);
}

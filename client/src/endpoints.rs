//! Which endpoint to ask: the leader when it is known, then the home region, then the order in
//! which they were named or discovered; whoever failed lately comes last.
//!
//! Pure: no I/O, time is handed in. At most 64 endpoints, so that a set of them is one word.

use std::time::Duration;

use tokio::time::Instant;

/// How many endpoints are remembered; later discoveries are left out.
pub const ENDPOINTS_MAX: usize = 64;

/// How long the first failure puts an endpoint last; it doubles with each further one.
const REST_BASE: Duration = Duration::from_secs(1);
const REST_MAX: Duration = Duration::from_secs(16);

/// A place in the table, stable for the life of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndpointId(pub usize);

/// The endpoints that a round has been through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tried(u64);

impl Tried {
    /// Counts `id` as tried.
    pub const fn add(&mut self, id: EndpointId) {
        self.0 |= 1 << id.0;
    }

    /// Whether `id` was tried.
    #[must_use]
    pub const fn has(self, id: EndpointId) -> bool {
        self.0 & (1 << id.0) != 0
    }
}

#[derive(Debug, Clone)]
struct Entry {
    address: String,
    region: String,
    failures: u32,
    rests_until: Option<Instant>,
}

/// All endpoints a client knows and how they fared.
#[derive(Debug, Clone)]
pub struct EndpointTable {
    entries: Vec<Entry>,
    leader: Option<EndpointId>,
    home_region: Option<String>,
}

impl EndpointTable {
    /// A table of the configured addresses, in their order.
    #[must_use]
    pub fn new<A: AsRef<str>>(addresses: &[A], home_region: Option<String>) -> Self {
        let mut table = Self {
            entries: Vec::new(),
            leader: None,
            home_region,
        };
        for address in addresses {
            table.learn(address.as_ref(), "");
        }
        table
    }

    /// Remembers an address, or the region of a known one; `None` when the table is full.
    pub fn learn(&mut self, address: &str, region: &str) -> Option<EndpointId> {
        let id = self.find(address).or_else(|| {
            (self.entries.len() < ENDPOINTS_MAX).then(|| {
                self.entries.push(Entry {
                    address: normal(address).to_owned(),
                    region: String::new(),
                    failures: 0,
                    rests_until: None,
                });
                EndpointId(self.entries.len() - 1)
            })
        })?;
        if !region.is_empty() {
            region.clone_into(&mut self.entries[id.0].region);
        }
        Some(id)
    }

    /// The place of an address; a slash at its end does not matter.
    #[must_use]
    pub fn find(&self, address: &str) -> Option<EndpointId> {
        let address = normal(address);
        self.entries
            .iter()
            .position(|entry| entry.address == address)
            .map(EndpointId)
    }

    /// The address at a place.
    #[must_use]
    pub fn address(&self, id: EndpointId) -> &str {
        &self.entries[id.0].address
    }

    /// All addresses, in the order of the table.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.entries.iter().map(|entry| entry.address.as_str())
    }

    /// The leader is at `id`: ask it first from now on.
    pub const fn lead(&mut self, id: EndpointId) {
        self.leader = Some(id);
    }

    /// An attempt at `id` found no working node: it comes last for a while.
    pub fn failed(&mut self, id: EndpointId, now: Instant) {
        let entry = &mut self.entries[id.0];
        let rest = REST_BASE
            .saturating_mul(1_u32 << entry.failures.min(8))
            .min(REST_MAX);
        entry.failures = entry.failures.saturating_add(1);
        entry.rests_until = Some(now + rest);
        if self.leader == Some(id) {
            self.leader = None;
        }
    }

    /// `id` answered: whatever it did before is forgotten.
    pub fn worked(&mut self, id: EndpointId) {
        let entry = &mut self.entries[id.0];
        entry.failures = 0;
        entry.rests_until = None;
    }

    /// The best endpoint not yet tried; those that rest come last, the soonest rested first.
    #[must_use]
    pub fn choose(&self, now: Instant, tried: Tried) -> Option<EndpointId> {
        (0..self.entries.len())
            .map(EndpointId)
            .filter(|id| !tried.has(*id))
            .min_by_key(|id| {
                let entry = &self.entries[id.0];
                let rests = entry.rests_until.filter(|until| *until > now);
                let stranger = self
                    .home_region
                    .as_ref()
                    .is_some_and(|home| *home != entry.region);
                (rests, self.leader != Some(*id), stranger)
            })
    }
}

fn normal(address: &str) -> &str {
    address.trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order in which an exhausted round goes through the table.
    fn order(table: &EndpointTable, now: Instant) -> Vec<&str> {
        let mut tried = Tried::default();
        let mut seen = Vec::new();
        while let Some(id) = table.choose(now, tried) {
            tried.add(id);
            seen.push(table.address(id));
        }
        seen
    }

    fn abc() -> EndpointTable {
        EndpointTable::new(&["a", "b", "c"], None)
    }

    #[test]
    fn the_configured_order_holds_until_something_is_known() {
        assert_eq!(order(&abc(), Instant::now()), ["a", "b", "c"]);
    }

    #[test]
    fn the_leader_comes_first_and_loses_that_by_failing() {
        let now = Instant::now();
        let mut table = abc();
        table.lead(EndpointId(2));
        assert_eq!(order(&table, now), ["c", "a", "b"]);
        table.failed(EndpointId(2), now);
        assert_eq!(order(&table, now), ["a", "b", "c"]);
        table.worked(EndpointId(2));
        assert_eq!(order(&table, now), ["a", "b", "c"]);
    }

    #[test]
    fn failures_put_an_endpoint_last_for_longer_each_time() {
        let now = Instant::now();
        let mut table = abc();
        table.failed(EndpointId(0), now);
        table.failed(EndpointId(0), now);
        table.failed(EndpointId(1), now);
        assert_eq!(order(&table, now), ["c", "b", "a"]);
        let later = now + Duration::from_millis(1_500);
        assert_eq!(order(&table, later), ["b", "c", "a"]);
        let much_later = now + REST_MAX;
        assert_eq!(order(&table, much_later), ["a", "b", "c"]);
    }

    #[test]
    fn the_home_region_is_preferred() {
        let mut table = EndpointTable::new(&["a"], Some("eu-west-1".into()));
        table.learn("a", "us-east-1");
        table.learn("b", "eu-west-1");
        assert_eq!(order(&table, Instant::now()), ["b", "a"]);
    }

    #[test]
    fn an_address_is_learnt_once_and_the_table_is_bounded() {
        let mut table = abc();
        assert_eq!(table.learn("b/", "eu-west-1"), Some(EndpointId(1)));
        for n in 0..2 * ENDPOINTS_MAX {
            table.learn(&format!("x{n}"), "");
        }
        assert_eq!(table.addresses().count(), ENDPOINTS_MAX);
        assert_eq!(order(&table, Instant::now()).len(), ENDPOINTS_MAX);
    }
}

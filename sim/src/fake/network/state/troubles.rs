//! What goes wrong on the paths, and its end: each trouble is held until it is released.

use std::collections::BTreeSet;
use std::sync::Arc;

use stellara_raft_store::types::NodeId;

use super::{
    Ailment, EventKind, Hold, Lossy, NETWORK_TAG, Rank, SharedState, Stall, State, Way, event, now,
    sleep, spawn_on,
};

const CUT: EventKind = EventKind::new("cut");
const HEAL: EventKind = EventKind::new("heal");
const HELD: EventKind = EventKind::new("network-hold");
const RELEASED: EventKind = EventKind::new("network-release");
const IDLE: &str = "idle for too long";

impl SharedState {
    /// Something is wrong until `release`.
    pub(in crate::fake::network) fn hold(self: &Arc<Self>, ailment: Ailment) -> Hold {
        let hold = {
            let mut state = self.state();
            state.held += 1;
            let hold = Hold(state.held);
            state.holds.insert(hold, ailment);
            hold
        };
        event(HELD, hold.0, 0, || format!("{ailment:?}"));
        match ailment {
            Ailment::Cut { from, to } => self.cut(Way { from, to }, hold),
            Ailment::Clog { from, to } => {
                let way = Way { from, to };
                let stall = self.state().path(way).0.clog(hold, now());
                self.begin_stall(way, stall);
            }
            Ailment::Slow {
                from,
                to,
                add_permille,
                bytes_per_s,
            } => {
                let mut state = self.state();
                let (path, _) = state.path(Way { from, to });
                path.slow_down(hold, add_permille, bytes_per_s);
            }
            Ailment::Loss { .. } | Ailment::Duplicate { .. } => self.state().sum_up(),
            Ailment::Bursts(bursts) => {
                let mut state = self.state();
                for way in state.all_ways() {
                    state.path(way).0.begin_bursts(hold, bursts, now());
                }
            }
        }
        hold
    }

    /// It is over. Nothing happens when it was already.
    pub(in crate::fake::network) fn release(&self, hold: Hold) {
        let Some(ailment) = self.state().holds.remove(&hold) else {
            return;
        };
        event(RELEASED, hold.0, 0, || format!("{ailment:?}"));
        match ailment {
            Ailment::Cut { from, to } | Ailment::Clog { from, to } => {
                self.free(Way { from, to }, hold);
            }
            Ailment::Slow { from, to, .. } => self.speed_up(Way { from, to }, hold),
            Ailment::Loss { .. } | Ailment::Duplicate { .. } => self.state().sum_up(),
            Ailment::Bursts(_) => {
                for path in self.state().paths.values_mut() {
                    path.end_bursts(hold);
                }
            }
        }
    }

    /// How many packets are lost at random from now on, beside what is held.
    pub(in crate::fake::network) fn set_loss_ppm(&self, loss_ppm: u32) {
        let mut state = self.state();
        state.weather.options.loss_ppm = loss_ppm;
        state.sum_up();
    }

    /// Nothing passes any more; the connection breaks when this lasts for the idle time.
    pub(in crate::fake::network) fn cut(self: &Arc<Self>, way: Way, hold: Hold) {
        let stall = self.state().path(way).0.cut(hold, now());
        self.begin_stall(way, stall);
    }

    fn begin_stall(self: &Arc<Self>, way: Way, stall: Option<Stall>) {
        let Some(stall) = stall else {
            return;
        };
        event(CUT, way.from, way.to, String::new);
        let number = self.connection_number(way);
        let shared = Arc::clone(self);
        drop(spawn_on(NETWORK_TAG, async move {
            sleep(shared.idle).await;
            if shared.stalled_since(way) == Some(stall.since) {
                shared.disconnect(way, number, IDLE);
            }
        }));
    }

    /// One hold on a way ends. With the last of them everything passes again: what was lost is sent again after a
    /// probe, what was held arrives.
    pub(in crate::fake::network) fn free(&self, way: Way, hold: Hold) {
        let again = {
            let mut state = self.state();
            let Some(stall) = state.path(way).0.free(hold) else {
                return;
            };
            let span = match stall.lossy {
                Lossy::Yes => {
                    let again = state.transit(way, Rank::FIRST, 0);
                    let (path, weather) = state.path(way);
                    again + path.probe(now(), &weather.options)
                }
                Lossy::No => std::time::Duration::ZERO,
            };
            (stall.since, now() + span)
        };
        event(HEAL, way.from, way.to, String::new);
        for pipe in self.pipes(way) {
            if pipe.way == way {
                pipe.resume(again.0, again.1);
            }
        }
    }

    /// What queued on the way while it was slow comes soon.
    fn speed_up(&self, way: Way, hold: Hold) {
        let by = {
            let mut state = self.state();
            state.path(way).0.speed_up(hold, now());
            now() + state.transit(way, Rank::FIRST, 0)
        };
        for pipe in self.pipes(way) {
            if pipe.way == way {
                pipe.hasten(by);
            }
        }
    }

    /// A process is not scheduled: its peers find out after the idle time.
    pub(in crate::fake::network) fn freeze(self: &Arc<Self>, node_id: NodeId) {
        let since = now();
        self.state().still.insert(node_id, since);
        for (way, number) in self.others(node_id) {
            let shared = Arc::clone(self);
            drop(spawn_on(NETWORK_TAG, async move {
                sleep(shared.idle).await;
                let still = shared.state().still.get(&node_id) == Some(&since);
                if still {
                    shared.disconnect(way, Some(number), IDLE);
                }
            }));
        }
    }

    /// It is scheduled again, or gone.
    pub(in crate::fake::network) fn thaw(&self, node_id: NodeId) {
        self.state().still.remove(&node_id);
    }
}

impl State {
    /// All ways between nodes that have been heard of.
    fn all_ways(&self) -> BTreeSet<Way> {
        let ids: Vec<NodeId> = self.servers.keys().copied().collect();
        let from_each = ids.iter().flat_map(|from| {
            let others = ids.iter().filter(move |to| *to != from);
            others.map(move |to| Way {
                from: *from,
                to: *to,
            })
        });
        let ways = self.weather.options.latency.ways();
        let told = ways.map(|(from, to)| Way { from, to });
        let known = self.paths.keys().copied();
        from_each.chain(told).chain(known).collect()
    }

    fn sum_up(&mut self) {
        let options = &self.weather.options;
        let (mut loss_ppm, mut duplicate_ppm) = (options.loss_ppm, options.duplicate_ppm);
        for ailment in self.holds.values() {
            match ailment {
                Ailment::Loss { loss_ppm: more } => loss_ppm = loss_ppm.saturating_add(*more),
                Ailment::Duplicate {
                    duplicate_ppm: more,
                } => duplicate_ppm = duplicate_ppm.saturating_add(*more),
                Ailment::Cut { .. }
                | Ailment::Clog { .. }
                | Ailment::Slow { .. }
                | Ailment::Bursts(_) => {}
            }
        }
        self.weather.loss_ppm = loss_ppm;
        self.weather.duplicate_ppm = duplicate_ppm;
    }
}

//! The feed of stages: read from the records of the entries, so every node tells the same events at the same cursors.
//!
//! A cursor is an entry and how many of its events were seen. Events are never skipped and never told twice,
//! whichever node a caller resumes on. A slow caller holds back its own task only.

use std::collections::BTreeSet;
use std::time::Duration;

use futures_util::{Stream, StreamExt as _};
use openraft_rt::{AsyncRuntime, Instant as _};
use stellara_machine::ids::{BatchId, Index, PaymentId};
use stellara_proto::v1;
use stellara_proto::v1::log;
use stellara_proto::v1::payment_event::Event;
use stellara_raft_store::codec::stage_from_proto;
use stellara_raft_store::view::View;
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::errors::ApiError;
use super::parse::{Place, WatchFrom};
use super::{format, parse, reads};
use crate::gateway::{Freshness, Gateway};

/// Entries read at a time.
const RECORDS_MAX: usize = 32;
/// Events that wait for the caller to take them.
const EVENTS_WAITING_MAX: usize = 256;
/// How long after an entry its record is looked for again: state shows an entry a moment before its rows do.
const LOOK_AGAIN_AFTER: Duration = Duration::from_millis(20);
/// How long nothing is sent before the caller hears how far the feed is.
const PROGRESS_AFTER: Duration = Duration::from_secs(10);

/// What a caller's own state takes: anything the node has.
const ANYTHING: Freshness = Freshness::Stale {
    staleness_max_ms: 0,
};

/// Opens the feed where the request says.
pub(super) async fn open<G: Gateway>(
    gateway: &G,
    request: v1::WatchPaymentsRequest,
    stop: CancellationToken,
) -> Result<impl Stream<Item = Result<v1::PaymentEvent, Status>> + Send + use<G>, ApiError> {
    let from = parse::watch_cursor(&request.cursor)?;
    let watched = watched(&request.payment_ids)?;
    let place = match from {
        WatchFrom::Place(place) => place,
        // What was acknowledged before the call is not told, so the present must be the group's.
        WatchFrom::Now => {
            let view = gateway.read(Freshness::Linearizable).await?;
            after(view.applied_index())
        }
    };
    let (events, receiver) = mpsc::channel(EVENTS_WAITING_MAX);
    let (ended, end) = oneshot::channel();
    let feed = Feed {
        gateway: gateway.clone(),
        place,
        looked: Index(0),
        watched,
        events,
        quiet_since: Now::<G>::now(),
    };
    // The task's owner is the receiver: it ends once the caller goes or the node stops.
    drop(G::Runtime::spawn(async move {
        let closed = feed.events.clone();
        let why = tokio::select! {
            biased;
            () = closed.closed() => return,
            () = stop.cancelled() => ApiError::stopping(),
            why = feed.run() => why,
        };
        // It is told after the events that wait, so it has a way of its own.
        let _ = ended.send(why);
    }));
    let end = futures_util::stream::once(async move {
        Err(end.await.unwrap_or_else(|_| ApiError::stopping()).into())
    });
    Ok(ReceiverStream::new(receiver).map(Ok).chain(end))
}

fn watched(ids: &[String]) -> Result<Option<BTreeSet<PaymentId>>, ApiError> {
    if ids.is_empty() {
        return Ok(None);
    }
    parse::items("payment_ids", ids.len())?;
    let ids = ids.iter().enumerate().map(|(index, id)| {
        parse::payment_id("payment_ids", id).map_err(|invalid| parse::Invalid {
            field: format!("payment_ids[{index}]").into(),
            ..invalid
        })
    });
    Ok(Some(ids.collect::<Result<_, _>>()?))
}

/// The place past all of an entry.
fn after(index: Index) -> Place {
    Place {
        index: Index(index.0.saturating_add(1)),
        seen: 0,
    }
}

/// Whether the records reach as far as the state.
enum Told {
    All,
    /// The newest entries have no records: they are Raft's own, or their records do not show yet.
    MaybeNotAll,
}

/// The caller is gone.
struct Gone;

/// Moments of a gateway's runtime.
type Now<G> = <<G as Gateway>::Runtime as AsyncRuntime>::Instant;

struct Feed<G: Gateway> {
    gateway: G,
    place: Place,
    /// What was applied when the records were last looked at.
    looked: Index,
    /// `None` takes all payments, and the batches.
    watched: Option<BTreeSet<PaymentId>>,
    events: mpsc::Sender<v1::PaymentEvent>,
    quiet_since: Now<G>,
}

impl<G: Gateway> Feed<G> {
    /// Tells events until the state cannot be read or the caller goes.
    async fn run(mut self) -> ApiError {
        loop {
            match self.tell_new().await {
                Ok(Ok(Told::All)) => {}
                Ok(Ok(Told::MaybeNotAll)) => {
                    G::Runtime::sleep(LOOK_AGAIN_AFTER).await;
                    match self.tell_new().await {
                        Ok(Ok(_)) => {}
                        Ok(Err(Gone)) => return ApiError::stopping(),
                        Err(error) => return error,
                    }
                }
                Ok(Err(Gone)) => return ApiError::stopping(),
                Err(error) => return error,
            }
            let progress_at = self.quiet_since + PROGRESS_AFTER;
            let sent = tokio::select! {
                biased;
                () = self.gateway.applied_past(self.looked) => Ok(()),
                () = G::Runtime::sleep_until(progress_at) => {
                    self.send(0, Event::Progress(v1::Progress {})).await
                }
            };
            if let Err(Gone) = sent {
                return ApiError::stopping();
            }
        }
    }

    /// Tells everything whose records are there. Only a record moves the place, so an entry whose record shows
    /// later than its index is told later, and never skipped.
    async fn tell_new(&mut self) -> Result<Result<Told, Gone>, ApiError> {
        loop {
            let view = self.gateway.read(ANYTHING).await?;
            self.looked = view.applied_index();
            let last = Index(self.place.index.0.saturating_sub(1));
            let look = move |view: &View<G::Disk>| view.records_after(last, RECORDS_MAX);
            let records = reads::scan::<G, _>(view, look).await?;
            let full = records.len() == RECORDS_MAX;
            for (index, record) in records {
                if let Err(Gone) = self.tell(index, record).await? {
                    return Ok(Err(Gone));
                }
            }
            if !full {
                return Ok(Ok(if self.place.index > self.looked {
                    Told::All
                } else {
                    Told::MaybeNotAll
                }));
            }
        }
    }

    async fn tell(
        &mut self,
        index: Index,
        record: log::EntryRecordRow,
    ) -> Result<Result<(), Gone>, ApiError> {
        let seen = if self.place.index == index {
            self.place.seen
        } else {
            0
        };
        let told = usize::try_from(seen).unwrap_or(usize::MAX);
        let mut number = seen;
        for event in record.events.into_iter().skip(told) {
            number = number.saturating_add(1);
            self.place = Place {
                index,
                seen: number,
            };
            if let Some(event) = self.event(event)?
                && let Err(Gone) = self.send(record.at_ms, event).await
            {
                return Ok(Err(Gone));
            }
        }
        self.place = after(index);
        Ok(Ok(()))
    }

    async fn send(&mut self, at_ms: u64, event: Event) -> Result<(), Gone> {
        let message = v1::PaymentEvent {
            cursor: format::watch_cursor(self.place),
            at_ms,
            event: Some(event),
        };
        self.events.send(message).await.map_err(|_| Gone)?;
        self.quiet_since = Now::<G>::now();
        Ok(())
    }

    /// The event as the caller sees it; `None` when it did not ask for it.
    fn event(&self, event: log::Event) -> Result<Option<Event>, ApiError> {
        match event.event {
            Some(log::event::Event::Payment(moved)) => {
                let payment = PaymentId(moved.payment);
                let asked = |watched: &BTreeSet<_>| watched.contains(&payment);
                if !self.watched.as_ref().is_none_or(asked) {
                    return Ok(None);
                }
                let stage = moved.stage.ok_or_else(corrupt)?;
                let stage = stage_from_proto(stage).map_err(|_| corrupt())?;
                Ok(Some(Event::Payment(format::moved(payment, &stage))))
            }
            Some(log::event::Event::Batch(moved)) if self.watched.is_none() => {
                let stage = moved.stage.ok_or_else(corrupt)?;
                Ok(Some(Event::Batch(v1::BatchMoved {
                    batch_id: format::batch_id(BatchId(moved.batch)),
                    stage: batch_stage(stage.kind()),
                    ledger: stage.ledger,
                })))
            }
            Some(log::event::Event::Batch(_)) => Ok(None),
            None => Err(corrupt()),
        }
    }
}

/// The stage's number in the API.
fn batch_stage(kind: log::batch_stage::Kind) -> u32 {
    use log::batch_stage::Kind;
    let stage = match kind {
        Kind::Unspecified => v1::BatchStage::Unspecified,
        Kind::Building => v1::BatchStage::Building,
        Kind::InFlight => v1::BatchStage::InFlight,
        Kind::Settled => v1::BatchStage::Settled,
        Kind::RolledBack => v1::BatchStage::RolledBack,
        Kind::Abandoned => v1::BatchStage::Abandoned,
    };
    u32::try_from(i32::from(stage)).unwrap_or_default()
}

fn corrupt() -> ApiError {
    tracing::error!("a record of the feed does not hold an event");
    ApiError::Internal {
        reason: "a record of the feed cannot be read",
    }
}

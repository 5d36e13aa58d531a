//! Faults of the ledger: payments are settled late, and once.

use std::time::Duration;

use stellara_node::ports::Ledger as _;
use stellara_sim::fake::LEDGER_TAG;
use stellara_sim::plan::fault::Fault;
use stellara_sim::runtime::wall_clock_of;

use crate::stage::check_calm;

#[test]
fn a_ledger_that_is_down_settles_nothing_until_it_is_back() {
    check_calm(|mut stage| async move {
        let down = stage.inflict(Fault::LedgerDown {}).await;
        let loses = Fault::LedgerLoses {
            submit_ppm: 200_000,
            query_ppm: 100_000,
        };
        let loses = stage.inflict(loses).await;
        assert!(stage.world.ledger().latest_ledger().await.is_err());
        let paid = |stage: &crate::stage::Stage| {
            stage.world.ledger().with(|network| network.journal().len())
        };
        stage.pay_without_settlement(10).await;
        stage.pass(Duration::from_secs(30)).await;
        assert_eq!(paid(&stage), 0);
        stage.relieve(down.relief).await;
        stage.settle().await;
        assert!(paid(&stage) > 0);
        stage.relieve(loses.relief).await;
        let plan = stage
            .world
            .ledger()
            .with(|network| network.faults().clone());
        assert_eq!(plan, stellara_ledger::FaultPlan::default());
        stage.finish().await
    });
}

#[test]
fn lag_and_skew_change_what_is_seen_of_the_ledger() {
    check_calm(|mut stage| async move {
        let hidden = |stage: &crate::stage::Stage| {
            let ledger = stage.world.ledger();
            ledger.with(|network| network.latest().sequence - network.visible().sequence)
        };
        assert_eq!(hidden(&stage), 0);
        let lags = [
            stage
                .inflict(Fault::LedgerLag {
                    ingest_lag_ms: 4_000,
                })
                .await,
            stage
                .inflict(Fault::LedgerLag {
                    ingest_lag_ms: 8_000,
                })
                .await,
        ];
        stage.pass(Duration::from_secs(20)).await;
        assert!((2..=3).contains(&hidden(&stage)), "{}", hidden(&stage));
        let skew = stage.inflict(Fault::LedgerClock { by_ms: 30_000 }).await;
        stage.pass(Duration::from_secs(6)).await;
        let ahead_ms = stage.world.ledger().with(|network| {
            network
                .latest()
                .closed_at_ms
                .saturating_sub(wall_clock_of(LEDGER_TAG).0)
        });
        assert!(ahead_ms > 20_000, "{ahead_ms}");
        stage.pay(5).await;
        for lag in lags {
            stage.relieve(lag.relief).await;
        }
        stage.relieve(skew.relief).await;
        stage.finish().await
    });
}

#[test]
fn a_surge_raises_the_price() {
    check_calm(|mut stage| async move {
        let surge = Fault::LedgerSurge {
            ops_per_ledger: 5_000,
            bid_stroops: 700,
        };
        let surge = stage.inflict(surge).await;
        stage.pass(Duration::from_secs(12)).await;
        let price = |stage: &crate::stage::Stage| {
            stage
                .world
                .ledger()
                .with(|network| network.latest().price_stroops)
        };
        assert_eq!(price(&stage), 700);
        stage.pay(5).await;
        stage.relieve(surge.relief).await;
        stage.pass(Duration::from_secs(12)).await;
        assert_eq!(price(&stage), 100);
        stage.finish().await
    });
}

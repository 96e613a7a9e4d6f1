use super::*;
use crate::testing::{context, log_record};

fn messages(intake: &crate::testing::RecordingIntake) -> Vec<String> {
    intake.logs().iter().map(|log| log.message.to_string()).collect()
}

#[tokio::test]
async fn a_busy_log_is_asked_again_until_it_takes_the_record() {
    let (context, intake) = context("test");
    intake.set_busy(true);
    let cancel = CancellationToken::new();
    let delivery = deliver(&context, log_record(&["a"]), &cancel);
    let recovery = async {
        intake.until(|intake| intake.offered() >= 4).await;
        intake.set_busy(false);
    };
    let (taken, ()) = tokio::join!(delivery, recovery);
    assert!(taken);
    assert_eq!(messages(&intake), ["a"]);
    assert_eq!(context.stats.snapshot().accepted, 1);
}

#[tokio::test]
async fn delivery_ends_with_the_source() {
    let (context, intake) = context("test");
    intake.set_busy(true);
    let cancel = CancellationToken::new();
    cancel.cancel();
    assert!(!deliver(&context, log_record(&["a"]), &cancel).await);
}

#[tokio::test]
async fn records_keep_their_order_while_many_are_on_their_way() {
    let (context, intake) = context("test");
    intake.hold();
    let mut pipeline = Pipeline::new(context.clone(), CancellationToken::new());
    for number in 0..IN_FLIGHT_MAX {
        pipeline.push(log_record(&[&number.to_string()])).await;
    }
    assert_eq!(intake.offered(), IN_FLIGHT_MAX);
    assert_eq!(context.stats.snapshot().accepted, 0);
    let release = async { intake.release() };
    tokio::join!(pipeline.push(log_record(&["last"])), release);
    pipeline.finish().await;
    let expected: Vec<String> =
        (0..IN_FLIGHT_MAX).map(|number| number.to_string()).chain(["last".to_owned()]).collect();
    assert_eq!(messages(&intake), expected);
    assert_eq!(context.stats.snapshot().accepted, IN_FLIGHT_MAX as u64 + 1);
}

#[tokio::test]
async fn a_record_that_failed_on_its_way_is_offered_again() {
    let (context, intake) = context("test");
    intake.fail_next([Refused::Failed { reason: "no space left".to_owned() }, Refused::Busy]);
    let mut pipeline = Pipeline::new(context.clone(), CancellationToken::new());
    pipeline.push(log_record(&["a"])).await;
    pipeline.finish().await;
    assert_eq!(messages(&intake), ["a"]);
    assert_eq!((intake.offered(), context.stats.snapshot().accepted), (3, 1));
}

#[tokio::test]
async fn what_is_never_acknowledged_counts_as_lost_at_the_end() {
    let (context, intake) = context("test");
    intake.hold();
    let mut pipeline = Pipeline::new(context.clone(), CancellationToken::new());
    pipeline.push(log_record(&["a", "b"])).await;
    pipeline.finish_within(Duration::from_millis(1)).await;
    assert_eq!(context.stats.snapshot().lost["not acknowledged before the end"].count, 2);
}

#[tokio::test]
async fn what_a_busy_log_refuses_to_the_end_counts_as_lost() {
    let (context, intake) = context("test");
    intake.set_busy(true);
    let cancel = CancellationToken::new();
    cancel.cancel();
    let mut pipeline = Pipeline::new(context.clone(), cancel);
    pipeline.push(log_record(&["a"])).await;
    assert_eq!(context.stats.snapshot().lost["intake busy until the end"].count, 1);
}

#[test]
fn every_refusal_may_be_tried_again() {
    assert!(Refused::Busy.kind().is_retryable());
    assert!(Refused::Failed { reason: String::new() }.kind().is_retryable());
}

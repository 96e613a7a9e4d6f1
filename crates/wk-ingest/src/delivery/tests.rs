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
    assert_eq!(taken, Delivered::Stored);
    assert_eq!(messages(&intake), ["a"]);
    assert_eq!(context.stats.snapshot().accepted, 1);
}

#[tokio::test]
async fn delivery_ends_with_the_source() {
    let (context, intake) = context("test");
    intake.set_busy(true);
    let cancel = CancellationToken::new();
    cancel.cancel();
    assert_eq!(deliver(&context, log_record(&["a"]), &cancel).await, Delivered::Ended);
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

#[tokio::test]
async fn a_record_that_is_too_large_is_counted_and_not_offered_again() {
    let (context, intake) = context("test");
    intake.fail_next([Refused::TooLarge { bytes: 17 << 20 }]);
    let delivered = deliver(&context, log_record(&["a", "b"]), &CancellationToken::new()).await;
    assert_eq!((delivered, intake.offered()), (Delivered::Rejected, 1));
    let stats = context.stats.snapshot();
    assert_eq!((stats.accepted, stats.rejected[TOO_LARGE].count), (0, 2));
    assert_eq!(stats.rejected[TOO_LARGE].example, "the record has 17825792 bytes, more than the intake log takes");
}

#[tokio::test]
async fn a_pipeline_goes_on_behind_a_record_that_is_too_large() {
    let (context, intake) = context("test");
    let mut pipeline = Pipeline::new(context.clone(), CancellationToken::new());
    intake.fail_next([Refused::TooLarge { bytes: 17 << 20 }]);
    pipeline.push(log_record(&["large"])).await;
    intake.refuse_next(Refused::TooLarge { bytes: 17 << 20 });
    pipeline.push(log_record(&["large", "large"])).await;
    pipeline.push(log_record(&["small"])).await;
    pipeline.finish().await;
    let stats = context.stats.snapshot();
    assert_eq!((messages(&intake), intake.offered()), (vec!["small".to_owned()], 3));
    assert_eq!((stats.accepted, stats.rejected[TOO_LARGE].count, stats.lost.len()), (1, 3, 0));
}

#[test]
fn only_a_record_that_is_too_large_may_not_be_tried_again() {
    assert!(Refused::Busy.is_retryable());
    assert!(Refused::Failed { reason: String::new() }.is_retryable());
    assert!(!Refused::TooLarge { bytes: 1 }.is_retryable());
}

use std::sync::Arc;

use proptest::prelude::*;
use wk_types::{IntakeRecord, Labels, Sample, Series, Severity, UtcMs, wire};

use super::*;

fn bytes_when_written(record: &NewRecord) -> usize {
    let (received, source, body) = (record.received, record.source.clone(), record.body.clone());
    wire::encode(&[IntakeRecord { seq: Seq(u64::MAX), received, source, body }]).len()
}

proptest! {
    #[test]
    fn a_record_is_never_longer_than_estimated(
        labels in proptest::collection::btree_map("\\PC{0,9}", "\\PC{0,9}", 0..5),
        samples in proptest::collection::vec((any::<i64>(), any::<f64>()), 0..20),
        message in "\\PC{0,50}",
        logs in 0..5_usize,
    ) {
        let series = Series::new(Labels::new(labels.clone()), "bridge-pc".into());
        let samples = samples.into_iter().map(|(time, value)| Sample::new(UtcMs(time), value)).collect();
        let body = Body::Samples([SeriesSamples { series: Arc::new(series), samples }].into());
        let record = NewRecord { received: UtcMs(i64::MIN), source: "test".into(), body };
        prop_assert!(bytes_when_written(&record) <= encoded_bytes(&record));

        let attributes = labels.into_iter().map(|(name, value)| (name.into(), value.into())).collect();
        let log = LogRecord {
            time: UtcMs(i64::MAX), asset: "bridge-pc".into(), app: "app".into(), severity: Severity::Major,
            message: message.into(), attributes,
        };
        let record = NewRecord { received: UtcMs(i64::MIN), source: "test".into(), body: Body::Logs(vec![log; logs].into()) };
        prop_assert!(bytes_when_written(&record) <= encoded_bytes(&record));
    }
}

#[test]
fn a_batch_ends_at_its_bound_and_the_rest_waits() {
    let queue = Queue::new(10, 1_000);
    for _ in 0..5 {
        let record = NewRecord { received: UtcMs(1), source: "test".into(), body: Body::Tick };
        queue.push(Pending { record, bytes: 100, done: Box::new(|_| {}) }).unwrap();
    }
    assert_eq!(queue.take(250).unwrap().len(), 3);
    assert_eq!(queue.depth(), (2, 200));
    queue.close();
    assert_eq!(queue.take(250).unwrap().len(), 2);
    assert!(queue.take(250).is_none());
}

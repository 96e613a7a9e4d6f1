//! The reader that sends logs to a store outside.

use super::Reader;
use crate::node::Node;
use wk_types::Seq;

/// The reader and where it begins; `None` where the node keeps its logs itself.
#[cfg(not(feature = "clickhouse"))]
pub(super) fn reader(_: &Node) -> Option<(Box<dyn Reader>, Seq)> {
    None
}

#[cfg(feature = "clickhouse")]
pub(super) use with::reader;

#[cfg(feature = "clickhouse")]
mod with {
    use std::sync::Arc;

    use wk_connect::clickhouse::LogOutbox;
    use wk_lake::Lake;
    use wk_types::{IntakeRecord, Kinds, UtcMs};

    use super::super::{Failure, LOGS};
    use super::{Node, Reader, Seq};
    use crate::outside_logs::OutsideLogs;

    /// The reader and where it begins; `None` where the node keeps its logs itself.
    pub(in super::super) fn reader(node: &Node) -> Option<(Box<dyn Reader>, Seq)> {
        let outbox = node.outside_logs.as_ref().and_then(OutsideLogs::take_outbox)?;
        let at = outbox.cursor();
        Some((Box::new(OutsideLogReader { outbox, lake: node.lake.clone() }), at))
    }

    /// Sends logs outside, and goes on deleting the node's own by age.
    struct OutsideLogReader {
        outbox: LogOutbox,
        lake: Lake,
    }

    impl Reader for OutsideLogReader {
        fn name(&self) -> &'static str {
            LOGS
        }

        fn kinds(&self) -> Kinds {
            Kinds::LOGS
        }

        fn take(&mut self, records: &[Arc<IntakeRecord>], next: Seq) -> Result<(), Failure> {
            Ok(self.outbox.take(records, next)?)
        }

        fn maintain(&mut self, now: UtcMs) -> Result<Seq, Failure> {
            let sent = self.outbox.maintain();
            self.lake.retire(now)?;
            Ok(sent?)
        }

        fn finish(&mut self, _now: UtcMs) -> Result<Seq, Failure> {
            Ok(self.outbox.finish()?)
        }
    }
}

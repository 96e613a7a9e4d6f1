//! The sources' way into the intake log.

use wk_ingest::{Ack, Intake, Refused};
use wk_store::intake::{IntakeError, IntakeLog};
use wk_types::NewRecord;

/// The intake log as the sources see it.
#[derive(Debug, Clone)]
pub struct IntakeBridge(pub IntakeLog);

impl Intake for IntakeBridge {
    fn append(&self, record: NewRecord) -> Ack {
        let (answer, answered) = tokio::sync::oneshot::channel();
        let submitted = self.0.submit(record, move |result| {
            let _ = answer.send(result);
        });
        Box::pin(async move {
            submitted.map_err(refused)?;
            match answered.await {
                Ok(result) => result.map_err(refused),
                Err(_) => Err(Refused::Failed { reason: "the node is stopping".to_owned() }),
            }
        })
    }
}

fn refused(error: IntakeError) -> Refused {
    match error {
        IntakeError::Busy { .. } => Refused::Busy,
        IntakeError::TooLarge { bytes } => Refused::TooLarge { bytes },
        other => Refused::Failed { reason: crate::http::chain(&other) },
    }
}

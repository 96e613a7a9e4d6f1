//! What people do with incidents.

use wk_types::{Command, CommandId, FactBody, IncidentId, IncidentState, PersonRef};

use super::{Correlator, Kept};
use crate::outbox::Outbox;

impl Correlator {
    fn kept_mut(&mut self, id: &IncidentId) -> Result<&mut Kept, String> {
        self.incidents.values_mut().find(|kept| &kept.incident.id == id).ok_or_else(|| {
            format!("no incident {id} is open, and none of that id was resolved within the reopen window")
        })
    }

    /// Somebody takes an incident.
    pub(crate) fn acknowledge(&mut self, id: &IncidentId, command: &Command, out: &mut Outbox) -> Result<(), String> {
        let kept = self.kept_mut(id)?;
        match kept.incident.state {
            IncidentState::Open => {}
            IncidentState::Acknowledged => return Err(format!("incident {id} is already acknowledged")),
            IncidentState::Resolved => return Err(format!("incident {id} is already resolved")),
        }
        kept.incident.state = IncidentState::Acknowledged;
        kept.incident.acknowledged = Some(out.at());
        kept.incident.acknowledged_by.clone_from(&command.by);
        out.push(FactBody::IncidentAcknowledged {
            incident: Box::new(kept.incident.clone()),
            command: command.id.clone(),
        });
        Ok(())
    }

    /// Somebody closes an incident by hand.
    pub(crate) fn resolve(&mut self, id: &IncidentId, command: &CommandId, out: &mut Outbox) -> Result<(), String> {
        let kept = self.kept_mut(id)?;
        if kept.is_resolved() {
            return Err(format!("incident {id} is already resolved"));
        }
        let reason = match kept.holding.len() {
            0 => "closed by hand; all its signals had ended".to_owned(),
            1 => "closed by hand while one signal still held".to_owned(),
            held => format!("closed by hand while {held} signals still held"),
        };
        kept.resolve(out.at(), out.steady());
        out.push(FactBody::IncidentResolved {
            incident: Box::new(kept.incident.clone()),
            reason,
            command: Some(command.clone()),
        });
        Ok(())
    }

    /// Somebody makes a remark.
    pub(crate) fn comment(
        &mut self,
        id: &IncidentId,
        text: &str,
        command: (&CommandId, Option<&PersonRef>),
        out: &mut Outbox,
    ) -> Result<(), String> {
        let incident = self.kept_mut(id)?.incident.id.clone();
        let (command, by) = command;
        out.push(FactBody::IncidentCommented {
            incident,
            by: by.cloned(),
            text: text.to_owned(),
            command: command.clone(),
        });
        Ok(())
    }
}

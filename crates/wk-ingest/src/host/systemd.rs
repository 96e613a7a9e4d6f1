//! States of systemd's services, asked of `systemctl` where systemd runs.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;

use super::Readings;

/// How long an answer holds.
const ASK_EVERY: Duration = Duration::from_secs(60);
/// How long `systemctl` may take.
const ASK_WITHIN: Duration = Duration::from_secs(5);
/// How many services are shown.
const UNITS_MAX: usize = 300;
const STATES: [&str; 5] = ["activating", "active", "deactivating", "failed", "inactive"];

/// The services as they were when last asked.
#[derive(Debug)]
pub struct Units {
    runs: bool,
    asked: Option<Instant>,
    states: Vec<(String, String)>,
}

impl Units {
    /// Looks whether systemd runs.
    pub fn new(run: &Path) -> Self {
        Self { runs: run.join("systemd/system").is_dir(), asked: None, states: Vec::new() }
    }

    /// The states, asked anew where the last answer is too old.
    pub async fn read(&mut self) -> Readings {
        let mut readings = Readings::default();
        if !self.runs {
            return readings;
        }
        if self.asked.is_none_or(|asked| asked.elapsed() >= ASK_EVERY) {
            self.asked = Some(Instant::now());
            match ask().await {
                Ok(text) => self.states = states(&text),
                Err(reason) => readings.missing("systemctl did not answer", reason),
            }
        }
        for (name, state) in &self.states {
            for candidate in STATES {
                let value = f64::from(u8::from(candidate == state));
                readings.push("node_systemd_unit_state", &[("name", name), ("state", candidate)], value);
            }
        }
        readings
    }
}

async fn ask() -> Result<String, String> {
    let mut command = Command::new("systemctl");
    command
        .args(["show", "*.service", "--property=Id,ActiveState,LoadState", "--no-pager"])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .kill_on_drop(true);
    let output = tokio::time::timeout(ASK_WITHIN, command.output())
        .await
        .map_err(|_| format!("no answer within {ASK_WITHIN:?}"))?
        .map_err(|error| error.to_string())?;
    if !output.status.success() {
        return Err(output.status.to_string());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Reads blocks of `Id=…`, `ActiveState=…`, `LoadState=…`; units that are only referred to are left out.
fn states(text: &str) -> Vec<(String, String)> {
    let mut states: Vec<(String, String)> = text
        .split("\n\n")
        .filter_map(|block| {
            let property = |name: &str| block.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
            (property("LoadState") == Some("loaded"))
                .then(|| Some((property("Id")?.to_owned(), property("ActiveState")?.to_owned())))?
        })
        .collect();
    states.sort_unstable();
    states.dedup();
    states.truncate(UNITS_MAX);
    states
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loaded_services_are_shown_with_their_state() {
        let text = "Id=cron.service\nLoadState=loaded\nActiveState=active\n\nId=gone.service\nLoadState=not-found\n\
                    ActiveState=inactive\n\nId=a.service\nLoadState=loaded\nActiveState=failed\n";
        let expected = [("a.service", "failed"), ("cron.service", "active")];
        assert_eq!(states(text), expected.map(|(name, state)| (name.to_owned(), state.to_owned())));
        assert!(states("").is_empty());
    }

    #[tokio::test]
    async fn without_systemd_nothing_is_asked() {
        let folder = tempfile::tempdir().unwrap();
        let readings = Units::new(folder.path()).read().await;
        assert!(readings.values.is_empty() && readings.missing.is_empty());
    }

    #[tokio::test]
    async fn an_answer_holds_for_a_while_and_gives_one_series_for_each_state() {
        let states = vec![("cron.service".to_owned(), "failed".to_owned())];
        let mut units = Units { runs: true, asked: Some(Instant::now()), states };
        let values = units.read().await.values;
        assert_eq!(values.len(), STATES.len());
        let set: Vec<&str> =
            values.iter().filter(|(.., value)| *value == 1.0).map(|(_, labels, _)| labels[1].1.as_str()).collect();
        assert_eq!(set, ["failed"]);
    }
}

//! Telling people: the reader of the journal that writes mails into the spool, and the worker that delivers them.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wk_config::{Config, MailConfig};
use wk_notify::{Delivery, MailSettings, NotifyError, SettingsError, SmtpSettings, Transport, pass_over, run_once};

use crate::clock::{now, wall};
use crate::error::NodeError;
use crate::http::chain;
use crate::node::Node;
use crate::ship::{Address, watch_over};

/// The reader's name in the node's health.
const PART: &str = "notify";
/// How long to wait after a failure.
const RETRY: std::time::Duration = std::time::Duration::from_secs(5);

/// The mail settings that the configuration gives; `None` where nobody is to be told.
///
/// # Errors
/// Addresses or a relay that cannot be understood.
pub fn settings(config: &Config, base: &Path, address: &Address) -> Result<Option<MailSettings>, NodeError> {
    let Some(mail) = &config.mail else { return Ok(None) };
    let settings = read(mail, base, address).and_then(|settings| settings.validate().map(|()| settings));
    settings.map(Some).map_err(|error| NodeError::Mail { what: chain(&error) })
}

fn read(mail: &MailConfig, base: &Path, address: &Address) -> Result<MailSettings, SettingsError> {
    let transport = match (&mail.smtp, &mail.sendmail) {
        (Some(url), _) => {
            let mut smtp: SmtpSettings = url.parse()?;
            smtp.user.clone_from(&mail.smtp_user);
            smtp.password_file = mail.smtp_password_file.as_ref().map(|file| base.join(file));
            smtp.authority_file = mail.smtp_authority_file.as_ref().map(|file| base.join(file));
            Transport::Smtp(smtp)
        }
        (None, argv) => Transport::Sendmail { argv: argv.clone().unwrap_or_default() },
    };
    Ok(MailSettings {
        from: mail.from.clone(),
        to: mail.to.clone(),
        severity_min: mail.severity_min,
        transport,
        console_url: mail.console_url.clone().unwrap_or_else(|| address.url()),
    })
}

/// Starts reader and worker; without settings the reader passes over what happens, so that setting mail up later does
/// not send the past.
///
/// # Errors
/// Settings that cannot be used.
pub fn start(
    node: &Arc<Node>,
    settings: Option<MailSettings>,
    tasks: &TaskTracker,
    stop: &CancellationToken,
) -> Result<(), NodeError> {
    let wake = Arc::new(Notify::new());
    if let Some(settings) = &settings {
        let delivery = Delivery::new(node.state.clone(), settings, Arc::clone(&wake), wall())
            .map_err(|error| NodeError::Mail { what: chain(&error) })?;
        let stop = stop.clone();
        watch_over(node, tasks, "mail delivery", async move { delivery.run(stop).await });
    }
    watch_over(node, tasks, PART, tell(Arc::clone(node), settings, wake, stop.clone()));
    Ok(())
}

/// Reads the journal whenever it has grown.
async fn tell(node: Arc<Node>, settings: Option<MailSettings>, wake: Arc<Notify>, stop: CancellationToken) {
    let mut journal = node.watch_journal();
    let settings = Arc::new(settings);
    loop {
        let (state, settings) = (node.state.clone(), Arc::clone(&settings));
        let read = tokio::task::spawn_blocking(move || read_all(&state, settings.as_ref().as_ref())).await;
        let failed = match read {
            Ok(Ok(spooled)) => {
                if spooled > 0 {
                    wake.notify_one();
                }
                node.health.well(PART);
                false
            }
            Ok(Err(error)) => {
                node.health.ill(PART, chain(&error), now());
                true
            }
            Err(error) => {
                node.health.ill(PART, chain(&error), now());
                true
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = tokio::time::sleep(RETRY), if failed => {}
            changed = journal.changed(), if !failed => if changed.is_err() { return },
        }
    }
}

fn read_all(state: &wk_store::state::State, settings: Option<&MailSettings>) -> Result<u64, NotifyError> {
    let Some(settings) = settings else { return pass_over(state, now()).map(|_| 0) };
    let mut spooled = 0;
    loop {
        let told = run_once(state, settings, now())?;
        spooled += told.spooled;
        if !told.more {
            return Ok(spooled);
        }
    }
}

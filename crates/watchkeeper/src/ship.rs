//! `watchkeeper ship`.

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;
use wk_config::Config;
use wk_node::{ShipOptions, Started};

use crate::args::ShipArgs;
use crate::print;

/// What is logged where `RUST_LOG` does not say. The SNMP library calls each answer of a device that is no value an error;
/// the source counts them by reason.
const FILTER: &str = "info,async_snmp=off";

/// Runs the ship node until SIGTERM or SIGINT.
///
/// # Errors
/// A configuration, folder or address that cannot be used.
pub fn run(args: &ShipArgs, data: PathBuf) -> Result<ExitCode> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new(FILTER));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    let mut config = match &args.config {
        Some(file) => Config::load(file).with_context(|| format!("in {}", file.display()))?,
        None => Config::default(),
    };
    if let Some(listen) = args.listen {
        config.http.listen = listen;
    }
    let base = args.config.as_ref().and_then(|file| file.parent()).map(PathBuf::from).unwrap_or_default();
    let options = ShipOptions { config, base, data, insecure_http: args.insecure_http };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let told_to = runtime.block_on(serve(options))?;
    // The stores are flushed; a look-up or hash that still runs on a helper thread is not waited for.
    runtime.shutdown_background();
    Ok(if told_to { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Serves until told to stop; answers false where the node ended because of a bug of its own.
async fn serve(options: ShipOptions) -> Result<bool> {
    let stop = CancellationToken::new();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let data = options.data.clone();
    let started = wk_node::start_ship(options, stop.clone()).await?;
    greet(&started, &data);
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
        () = started.failed() => {}
    }
    tracing::info!("stopping");
    stop.cancel();
    let told_to = started.finish().await;
    tracing::info!("stopped");
    Ok(told_to)
}

/// Tells where the console is. The set-up token is shown on a terminal only, so that it stands in no log.
fn greet(started: &Started, data: &std::path::Path) {
    tracing::info!(console = %started.console_url, data = %data.display(), "the watch stands");
    if std::io::stdout().is_terminal() {
        let token = started.setup_token.as_deref();
        let set_up =
            token.map(|token| format!("  Set-up    {token}   (valid for one hour, once)\n")).unwrap_or_default();
        print::text(&format!("\n  Console   {}\n  Data      {}\n{set_up}\n", started.console_url, data.display()));
    }
}

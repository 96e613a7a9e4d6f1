//! One mail through a sendmail-compatible command: the mail on its standard input, the verdict in its exit code
//! (`sysexits.h`).

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::{Child, Command};

use crate::delivery::Outcome;
use crate::mime::Ready;

/// Longest time the command may take.
const COMMAND_MAX: Duration = Duration::from_secs(120);
/// What is kept of each of the command's outputs.
const OUTPUT_BYTES_KEPT: usize = 2_048;
/// The mail's data are wrong (`EX_DATAERR`).
const DATA_WRONG: i32 = 65;
/// The recipient does not exist (`EX_NOUSER`).
const NO_SUCH_USER: i32 = 67;

/// Hands one mail to the command; everything but wrong data and an unknown recipient may go better later.
pub(crate) async fn send(argv: &[String], mail: &Ready) -> Outcome {
    send_within(argv, mail, COMMAND_MAX).await
}

async fn send_within(argv: &[String], mail: &Ready, within: Duration) -> Outcome {
    let Some((program, arguments)) = argv.split_first() else {
        return Outcome::Unreachable("the sendmail command is empty".to_owned());
    };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    if !arguments.iter().any(|argument| argument == "-t") {
        command.arg("--").args(mail.envelope.to().iter().map(AsRef::<str>::as_ref));
    }
    let child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Outcome::Unreachable(format!("could not start {program}: {error}")),
    };
    match tokio::time::timeout(within, converse(child, program, &mail.bytes)).await {
        Ok(outcome) => outcome,
        // Dropping the child has ended it.
        Err(_) => Outcome::Temporary(format!("{program} took longer than {} s and was ended", within.as_secs())),
    }
}

async fn converse(mut child: Child, program: &str, mail: &[u8]) -> Outcome {
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut stdin) = stdin {
            // A command that ends early says why in its exit code.
            let _ = stdin.write_all(mail).await;
            let _ = stdin.shutdown().await;
        }
    };
    let ((), out, err, status) = tokio::join!(feed, kept(stdout), kept(stderr), child.wait());
    let said = [err, out].into_iter().filter(|text| !text.is_empty()).collect::<Vec<_>>().join(" / ");
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    match status {
        Ok(status) if status.success() => Outcome::Delivered(format!("handed to {program}{said}")),
        Ok(status) if matches!(status.code(), Some(DATA_WRONG | NO_SUCH_USER)) => {
            Outcome::Permanent(format!("{program}, {status}{said}"))
        }
        Ok(status) => Outcome::Temporary(format!("{program}, {status}{said}")),
        Err(error) => Outcome::Unreachable(format!("could not wait for {program}: {error}")),
    }
}

/// Reads an output to its end, so that the command never blocks on it, and keeps its beginning in one line.
async fn kept(output: Option<impl AsyncRead + Unpin>) -> String {
    let Some(mut output) = output else { return String::new() };
    let (mut kept, mut buffer) = (Vec::new(), [0_u8; 1_024]);
    while let Ok(read @ 1..) = output.read(&mut buffer).await {
        let room = OUTPUT_BYTES_KEPT.saturating_sub(kept.len()).min(read);
        kept.extend_from_slice(&buffer[..room]);
    }
    String::from_utf8_lossy(&kept).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;

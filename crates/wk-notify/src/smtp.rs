//! One mail to a mail server, one connection each.

use std::io;
use std::path::Path;
use std::time::Duration;

use lettre::transport::smtp::authentication::{Credentials, DEFAULT_MECHANISMS};
use lettre::transport::smtp::client::{AsyncSmtpConnection, Certificate, TlsParameters};
use lettre::transport::smtp::extension::ClientId;
use lettre::transport::smtp::{self, response::Response};

use crate::delivery::Outcome;
use crate::mime::Ready;
use crate::settings::{Security, SmtpSettings};

/// Longest time until the server is ready to take a mail: connection, TLS and signing in.
const CONNECT_MAX: Duration = Duration::from_secs(30);
/// Longest time one mail may take from there on, over a slow satellite link.
const MAIL_MAX: Duration = Duration::from_secs(120);
/// Longest wait for the server's goodbye.
const GOODBYE_MAX: Duration = Duration::from_secs(2);
/// A password file is far smaller than this.
const PASSWORD_BYTES_MAX: u64 = 4_096;
/// The server wants credentials it was not given, which says nothing against the message (RFC 4954 section 6).
const AUTHENTICATION_REQUIRED: u16 = 530;

/// Hands one mail to the server.
pub(crate) async fn send(settings: &SmtpSettings, mail: &Ready) -> Outcome {
    // Whatever happens before the message is offered says nothing about the message.
    let unreachable = |said: &str| Outcome::Unreachable(format!("{}:{}: {said}", settings.host, settings.port));
    let mut connection = match tokio::time::timeout(CONNECT_MAX, connect(settings)).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(said)) => return unreachable(&said),
        Err(_) => return unreachable("no answer within 30 s"),
    };
    match tokio::time::timeout(MAIL_MAX, connection.send(&mail.envelope, &mail.bytes)).await {
        Ok(Ok(response)) => {
            // The mail is handed over; a server that does not say goodbye changes nothing.
            let _ = tokio::time::timeout(GOODBYE_MAX, connection.abort()).await;
            Outcome::Delivered(reply(&response))
        }
        Ok(Err(error)) if is_final(&error) => Outcome::Permanent(chain(&error)),
        Ok(Err(error)) => Outcome::Temporary(chain(&error)),
        Err(_) => Outcome::Temporary("the server did not take the mail within 2 min".to_owned()),
    }
}

fn is_final(error: &smtp::Error) -> bool {
    let asks_to_sign_in = error.status().is_some_and(|code| u16::from(code) == AUTHENTICATION_REQUIRED);
    error.is_client() || error.is_permanent() && !asks_to_sign_in
}

async fn connect(settings: &SmtpSettings) -> Result<AsyncSmtpConnection, String> {
    let tls = match settings.security {
        Security::None => None,
        Security::StartTls | Security::Tls => Some(tls(settings).await?),
    };
    let credentials = credentials(settings).await?;
    let hello = ClientId::default();
    let from_start = tls.clone().filter(|_| settings.security == Security::Tls);
    let address = (settings.host.as_str(), settings.port);
    let mut connection = AsyncSmtpConnection::connect_tokio1(address, Some(CONNECT_MAX), &hello, from_start, None)
        .await
        .map_err(|error| chain(&error))?;
    if let (Security::StartTls, Some(tls)) = (settings.security, tls) {
        connection.starttls(tls, &hello).await.map_err(|error| chain(&error))?;
    }
    if let Some(credentials) = credentials {
        connection.auth(DEFAULT_MECHANISMS, &credentials).await.map_err(|error| chain(&error))?;
    }
    Ok(connection)
}

async fn tls(settings: &SmtpSettings) -> Result<TlsParameters, String> {
    let mut builder = TlsParameters::builder(settings.host.clone());
    if let Some(path) = &settings.authority_file {
        let pem = tokio::fs::read(path).await.map_err(|error| unreadable(path, &error))?;
        let authorities =
            Certificate::from_pem(&pem).map_err(|error| format!("{}: {}", path.display(), chain(&error)))?;
        builder = builder.add_root_certificate(authorities);
    }
    builder.build_rustls().map_err(|error| chain(&error))
}

async fn credentials(settings: &SmtpSettings) -> Result<Option<Credentials>, String> {
    let (Some(user), Some(path)) = (&settings.user, &settings.password_file) else { return Ok(None) };
    let size = tokio::fs::metadata(path).await.map_err(|error| unreadable(path, &error))?.len();
    if size > PASSWORD_BYTES_MAX {
        return Err(format!("{} is no password file: it has {size} bytes", path.display()));
    }
    let text = tokio::fs::read_to_string(path).await.map_err(|error| unreadable(path, &error))?;
    let password = text.lines().next().unwrap_or_default().to_owned();
    Ok(Some(Credentials::new(user.clone(), password)))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("could not read {}: {error}", path.display())
}

fn reply(response: &Response) -> String {
    let lines: Vec<&str> = response.message().collect();
    format!("{} {}", response.code(), lines.join(" "))
}

/// An error with its causes in one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

//! What mail needs to know: who sends, who is told, from which severity on, and by which way.

use std::path::PathBuf;
use std::str::FromStr;

use lettre::message::Mailbox;
use wk_types::{ErrorKind, Severity};

const PORT_SMTP: u16 = 25;
const PORT_STARTTLS: u16 = 587;
const PORT_SMTPS: u16 = 465;

/// Settings of the mail channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MailSettings {
    /// The sender, such as `Watchkeeper <watch@ship.example>`.
    pub from: String,
    /// Who is told, each with a message of their own.
    pub to: Vec<String>,
    /// Incidents milder than this are counted, not told.
    pub severity_min: Severity,
    /// How mail leaves the machine.
    pub transport: Transport,
    /// Where people reach the console, such as `http://127.0.0.1:8484`.
    pub console_url: String,
}

/// How mail leaves the machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// To a mail server.
    Smtp(SmtpSettings),
    /// Through a sendmail-compatible command, such as `msmtp -t` or `/usr/sbin/sendmail -i`; the recipient is added
    /// after `--` unless `-t` stands among the arguments.
    Sendmail {
        /// The program and its arguments.
        argv: Vec<String>,
    },
}

/// How the way to a mail server is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Not at all; only fit for a relay on this machine or in this network.
    None,
    /// TLS after STARTTLS, which is required.
    StartTls,
    /// TLS from the first byte.
    Tls,
}

/// A mail server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SmtpSettings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// How the way to it is protected.
    pub security: Security,
    /// Whom to sign in as; `None` for not at all.
    pub user: Option<String>,
    /// The file whose first line is the password; read at each delivery, so that it can be changed while running.
    pub password_file: Option<PathBuf>,
    /// A PEM file with the authority that signed the server's certificate, beside those of the system.
    pub authority_file: Option<PathBuf>,
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// An address cannot be one.
    #[error("{address:?} is no mail address, such as \"Watch <watch@ship.example>\"")]
    Address {
        /// The address.
        address: String,
    },
    /// A server's URL cannot be read.
    #[error("{url:?} is no mail server; use smtp://HOST:PORT, smtps://HOST:PORT or smtp+starttls://HOST:PORT")]
    Url {
        /// The URL.
        url: String,
    },
    /// A URL carries a user or password.
    #[error("the mail server's URL must not carry a user or password; set user and password_file")]
    UrlSecret,
    /// Nobody is told.
    #[error("nobody is told; name at least one address in `to`")]
    NoRecipient,
    /// There is no command.
    #[error("the sendmail command is empty")]
    NoCommand,
    /// A password would travel in the clear.
    #[error("the password for {host} would travel in the clear; use smtps:// or smtp+starttls://")]
    ClearPassword {
        /// The server.
        host: String,
    },
    /// A user without password, or a password without user.
    #[error("user and password_file belong together; set both or neither")]
    HalfCredentials,
}

impl SettingsError {
    /// What sort of failure this is.
    #[must_use]
    pub const fn kind(&self) -> ErrorKind {
        ErrorKind::InvalidInput
    }
}

impl MailSettings {
    /// Checks that the settings can be used.
    ///
    /// # Errors
    /// What cannot be used, the first thing found.
    pub fn validate(&self) -> Result<(), SettingsError> {
        parse_address(&self.from)?;
        if self.to.is_empty() {
            return Err(SettingsError::NoRecipient);
        }
        self.to.iter().try_for_each(|address| parse_address(address).map(drop))?;
        match &self.transport {
            Transport::Smtp(smtp) => smtp.validate(),
            Transport::Sendmail { argv } if argv.first().is_none_or(String::is_empty) => Err(SettingsError::NoCommand),
            Transport::Sendmail { .. } => Ok(()),
        }
    }
}

impl SmtpSettings {
    fn validate(&self) -> Result<(), SettingsError> {
        if self.user.is_some() != self.password_file.is_some() {
            return Err(SettingsError::HalfCredentials);
        }
        if self.user.is_some() && self.security == Security::None && !is_loopback(&self.host) {
            return Err(SettingsError::ClearPassword { host: self.host.clone() });
        }
        Ok(())
    }
}

impl FromStr for SmtpSettings {
    type Err = SettingsError;

    /// Reads `smtp://HOST[:PORT]`, `smtps://…` or `smtp+starttls://…`; IPv6 addresses stand in brackets.
    fn from_str(url: &str) -> Result<Self, Self::Err> {
        let wrong = || SettingsError::Url { url: url.to_owned() };
        let (scheme, rest) = url.split_once("://").ok_or_else(wrong)?;
        if rest.contains('@') {
            return Err(SettingsError::UrlSecret);
        }
        let (security, default_port) = match scheme {
            "smtp" => (Security::None, PORT_SMTP),
            "smtp+starttls" => (Security::StartTls, PORT_STARTTLS),
            "smtps" => (Security::Tls, PORT_SMTPS),
            _ => return Err(wrong()),
        };
        let authority = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match authority.strip_prefix('[') {
            Some(bracketed) => {
                let (host, after) = bracketed.split_once(']').ok_or_else(wrong)?;
                (host, after.strip_prefix(':').or(if after.is_empty() { None } else { Some("wrong") }))
            }
            None => authority.split_once(':').map_or((authority, None), |(host, port)| (host, Some(port))),
        };
        let port = port.map_or(Ok(default_port), |port| port.parse().map_err(|_| wrong()))?;
        if host.is_empty() || host.contains(['/', '?', '#', ' ']) {
            return Err(wrong());
        }
        Ok(Self { host: host.to_owned(), port, security, user: None, password_file: None, authority_file: None })
    }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Reads a mail address with or without a name before it.
pub(crate) fn parse_address(address: &str) -> Result<Mailbox, SettingsError> {
    address.parse().map_err(|_| SettingsError::Address { address: address.to_owned() })
}

#[cfg(test)]
mod tests;

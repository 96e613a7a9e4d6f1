//! Reading the file and checking what the types cannot.

use std::path::Path;

use crate::error::ConfigError;
use crate::keys::{Config, FORMAT, LogStorage, MailConfig, ScrapeConfig, StorageConfig};

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// A file that cannot be read or understood, an unknown key, a newer format, values that do not go together.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let text =
            std::fs::read_to_string(path).map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
        Self::parse(&text)
    }

    /// Reads and checks a text.
    ///
    /// # Errors
    /// A text that cannot be understood, an unknown key, a newer format, values that do not go together.
    pub fn parse(text: &str) -> Result<Self, ConfigError> {
        if let Some(found) = newer_format(text) {
            return Err(ConfigError::Newer { found });
        }
        let config: Self = toml::from_str(text).map_err(|error| explain(text, &error))?;
        config.check()?;
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let invalid = |key: &str, what: &str| Err(ConfigError::Invalid { key: key.to_owned(), what: what.to_owned() });
        if self.format == 0 {
            return invalid("format", "must be 1");
        }
        if self.http.tls_certificate.is_some() != self.http.tls_key.is_some() {
            return invalid("http.tls_certificate", "needs http.tls_key beside it, and the other way round");
        }
        if self.syslog.enabled && !self.syslog.listen.ip().is_loopback() && self.syslog.allow_networks.is_empty() {
            return invalid(
                "syslog.allow_networks",
                "syslog carries no token, so an address other than loopback needs the networks that may send, \
                 such as [\"10.20.0.0/16\"]",
            );
        }
        if !(1..=100).contains(&self.storage.metrics_disk_percent_max) {
            return invalid("storage.metrics_disk_percent_max", "must be from 1 to 100");
        }
        if self.host.interval_s == 0 {
            return invalid("host.interval_s", "must be at least 1");
        }
        check_outside_logs(&self.storage)?;
        self.scrape.iter().enumerate().try_for_each(|(at, scrape)| check_scrape(at, scrape))?;
        self.mail.as_ref().map_or(Ok(()), check_mail)
    }
}

fn check_scrape(at: usize, scrape: &ScrapeConfig) -> Result<(), ConfigError> {
    let invalid =
        |key: &str, what: &str| Err(ConfigError::Invalid { key: format!("scrape[{at}].{key}"), what: what.to_owned() });
    if !scrape.url.starts_with("http://") && !scrape.url.starts_with("https://") {
        return invalid("url", "must begin with http:// or https://");
    }
    if scrape.interval_s == 0 || scrape.timeout_s == 0 || scrape.timeout_s > scrape.interval_s {
        return invalid("timeout_s", "must be at least 1 and not longer than interval_s");
    }
    Ok(())
}

fn check_outside_logs(storage: &StorageConfig) -> Result<(), ConfigError> {
    let invalid =
        |key: &str, what: &str| Err(ConfigError::Invalid { key: format!("storage.{key}"), what: what.to_owned() });
    let outside = match (storage.logs, &storage.outside_logs) {
        (LogStorage::Embedded, None) => return Ok(()),
        (LogStorage::Embedded, Some(_)) => {
            return invalid(
                "outside_logs",
                "stands beside storage.logs = \"embedded\"; write logs = \"clickhouse\", or remove it",
            );
        }
        (LogStorage::ClickHouse, None) => {
            return invalid("outside_logs", "is missing; write [storage.outside_logs] with url = \"http://host:8123\"");
        }
        (LogStorage::ClickHouse, Some(outside)) => outside,
    };
    if !outside.url.starts_with("http://") && !outside.url.starts_with("https://") {
        return invalid("outside_logs.url", "must begin with http:// or https://");
    }
    if outside.url.contains(['@', '?', '#']) {
        return invalid(
            "outside_logs.url",
            "holds more than an address; user and password_file have keys of their own",
        );
    }
    let is_name = |name: &str| {
        name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    };
    if !is_name(&outside.database) {
        return invalid("outside_logs.database", "must be a name of letters, digits and underscores");
    }
    if outside.password_file.is_some() && outside.user.is_none() {
        return invalid("outside_logs.password_file", "needs outside_logs.user beside it");
    }
    if outside.authority_file.is_some() && !outside.url.starts_with("https://") {
        return invalid("outside_logs.authority_file", "needs a url that begins with https://");
    }
    if outside.ttl_days == Some(0) {
        return invalid("outside_logs.ttl_days", "must be at least 1; leave it out to keep logs for ever");
    }
    Ok(())
}

fn check_mail(mail: &MailConfig) -> Result<(), ConfigError> {
    let invalid =
        |key: &str, what: &str| Err(ConfigError::Invalid { key: format!("mail.{key}"), what: what.to_owned() });
    if mail.to.is_empty() {
        return invalid("to", "names nobody; write at least one address");
    }
    match (&mail.smtp, &mail.sendmail) {
        (Some(_), Some(_)) => invalid("sendmail", "stands beside mail.smtp; keep one of the two"),
        (None, None) => {
            invalid("smtp", "is missing; write smtp = \"smtp://host:25\" or sendmail = [\"/usr/bin/msmtp\", \"-t\"]")
        }
        (None, Some(argv)) if argv.is_empty() => invalid("sendmail", "is empty; write the command and its arguments"),
        _ => Ok(()),
    }
}

/// The format number where it is one this version cannot read; looked up before the keys, which may be new too.
fn newer_format(text: &str) -> Option<u32> {
    let table: toml::Table = text.parse().ok()?;
    let found = u32::try_from(table.get("format")?.as_integer()?).ok()?;
    (found > FORMAT).then_some(found)
}

/// Turns the parser's message into ours; for an unknown key it lists the known ones in back quotes.
fn explain(text: &str, error: &toml::de::Error) -> ConfigError {
    let line = error.span().map(|span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let message = error.message();
    let Some(rest) = message.strip_prefix("unknown field ") else {
        let place = line.map(|line| format!("line {line}: ")).unwrap_or_default();
        return ConfigError::Parse { message: format!("{place}{}", message.trim()) };
    };
    let mut names = rest.split('`').skip(1).step_by(2);
    let key = names.next().unwrap_or_default().to_owned();
    let nearest = names
        .map(|known| (strsim::jaro_winkler(&key, known), known))
        .filter(|(likeness, _)| *likeness > 0.6)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, known)| known.to_owned());
    ConfigError::UnknownKey { key, nearest, line }
}

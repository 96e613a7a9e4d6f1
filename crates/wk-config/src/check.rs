//! Reading the file and checking what the types cannot.

use std::net::SocketAddr;
use std::path::Path;

use crate::error::ConfigError;
use crate::keys::{Config, FORMAT, MailConfig, ScrapeConfig};
use crate::network::Network;

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
        if self.format == 0 {
            return invalid("format", "must be 1");
        }
        if self.http.tls_certificate.is_some() != self.http.tls_key.is_some() {
            return invalid("http.tls_certificate", "needs http.tls_key beside it, and the other way round");
        }
        self.check_senders()?;
        if !(1..=100).contains(&self.storage.metrics_disk_percent_max) {
            return invalid("storage.metrics_disk_percent_max", "must be from 1 to 100");
        }
        if self.host.interval_s == 0 {
            return invalid("host.interval_s", "must be at least 1");
        }
        self.scrape.iter().enumerate().try_for_each(|(at, scrape)| check_scrape(at, scrape))?;
        self.mail.as_ref().map_or(Ok(()), check_mail)
    }

    /// Checks that nobody may send without a token, a key, a certificate or a network that says who may.
    fn check_senders(&self) -> Result<(), ConfigError> {
        let (syslog, forward, statsd) = (&self.syslog, &self.forward, &self.statsd);
        let known = syslog.tls_client_authority_file.is_some();
        open_to_all("syslog", Some(syslog.listen).filter(|_| syslog.enabled), &syslog.allow_networks)?;
        open_to_all("syslog", syslog.tls_listen.filter(|_| syslog.enabled && !known), &syslog.allow_networks)?;
        open_to_all("forward", forward.listen.filter(|_| forward.shared_key_file.is_none()), &forward.allow_networks)?;
        open_to_all("statsd", statsd.listen, &statsd.allow_networks)?;
        if syslog.idle_s == 0 {
            return invalid("syslog.idle_s", "must be at least 1");
        }
        if statsd.interval_s == 0 {
            return invalid("statsd.interval_s", "must be at least 1");
        }
        Ok(())
    }
}

fn invalid(key: &str, what: &str) -> Result<(), ConfigError> {
    Err(ConfigError::Invalid { key: key.to_owned(), what: what.to_owned() })
}

fn open_to_all(source: &str, listen: Option<SocketAddr>, networks: &[Network]) -> Result<(), ConfigError> {
    if networks.is_empty() && listen.is_some_and(|listen| !listen.ip().is_loopback()) {
        return invalid(
            &format!("{source}.allow_networks"),
            &format!(
                "{source} carries no token, so an address other than loopback needs the networks that may send, such \
                 as [\"10.20.0.0/16\"]"
            ),
        );
    }
    Ok(())
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
    if scrape.username.is_some() != scrape.password_file.is_some() {
        return invalid("username", "needs password_file beside it, and the other way round");
    }
    if scrape.bearer_token_file.is_some() && scrape.username.is_some() {
        return invalid("bearer_token_file", "stands beside username; keep one of the two");
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

//! The syslog message parser. It never refuses: what does not fit a header is the message's text.
//!
//! *Source*: RFC 5424 section 6, RFC 3164 section 4, and what devices send in their place (Cisco's sequence numbers,
//! milliseconds and `*`, the year behind the day, RFC 3339 times, no host, no time).

mod header;

use std::borrow::Cow;

use wk_types::UtcMs;

use crate::times::Zone;

/// How many parameters of structured data are kept.
pub const PARAMETERS_MAX: usize = 64;

/// The words for the severity codes 0 to 7 (RFC 5424 section 6.2.1, in the short form of syslog.conf).
pub const SEVERITIES: [&str; 8] = ["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"];

/// The words for the facility codes 0 to 23.
pub const FACILITIES: [&str; 24] = [
    "kern", "user", "mail", "daemon", "auth", "syslog", "lpr", "news", "uucp", "cron", "authpriv", "ftp", "ntp",
    "audit", "alert", "clock", "local0", "local1", "local2", "local3", "local4", "local5", "local6", "local7",
];

/// A syslog message taken apart; absent parts are `None` or empty.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Message<'a> {
    /// The facility code, 0 to 23.
    pub facility: Option<u8>,
    /// The severity code, 0 emergency to 7 debug.
    pub severity: Option<u8>,
    /// The sender's time.
    pub time: Option<UtcMs>,
    /// The host name or address in the header.
    pub host: Option<&'a str>,
    /// The program's name: APP-NAME, or the tag.
    pub app: Option<&'a str>,
    /// The process id.
    pub process: Option<&'a str>,
    /// The message id.
    pub id: Option<&'a str>,
    /// Structured data as element id, parameter name and value.
    pub structured: Vec<(&'a str, &'a str, Cow<'a, str>)>,
    /// The text.
    pub text: &'a str,
}

/// Takes a message apart; `received` decides the year where the time has none, `zone` the offset where it has none.
#[must_use]
pub fn parse<'a>(input: &'a str, received: UtcMs, zone: &Zone) -> Message<'a> {
    let input = input.trim_end_matches(['\r', '\n', '\0']);
    let (priority, rest) = priority(input);
    let mut message =
        header::rfc5424(rest).unwrap_or_else(|| header::rfc3164(rest, received, zone, priority.is_some()));
    message.facility = priority.map(|code| code >> 3);
    message.severity = priority.map(|code| code & 7);
    message.text = message.text.strip_prefix('\u{feff}').unwrap_or(message.text);
    message
}

/// Reads `<n>` with n up to 191 (23 × 8 + 7); anything else is part of the text.
fn priority(input: &str) -> (Option<u8>, &str) {
    let read = || {
        let (digits, rest) = input.strip_prefix('<')?.split_once('>')?;
        let is_number = (1..=3).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
        let code = digits.parse().ok().filter(|code: &u8| is_number && *code <= 191)?;
        Some((Some(code), rest))
    };
    read().unwrap_or((None, input))
}

/// Takes apart a line as syslog daemons write it to files: a message without priority.
///
/// Returns `None` where the line does not begin with a time that syslog daemons write.
#[must_use]
pub fn parse_file_line<'a>(line: &'a str, received: UtcMs, zone: &Zone) -> Option<Message<'a>> {
    let message = header::rfc3164(line.trim_end_matches(['\r', '\n', '\0']), received, zone, false);
    message.time.is_some().then_some(message)
}

/// Reads the date and time that a line of a plain log file begins with, local where it names no zone, and the rest.
#[must_use]
pub fn leading_time<'a>(line: &'a str, zone: &Zone) -> Option<(UtcMs, &'a str)> {
    header::iso_time(line, zone)
}

#[cfg(test)]
mod tests;

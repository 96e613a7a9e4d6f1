//! Who is told what: messages from the journal into the spool, and their delivery.
//!
//! [`notifier::run_once`] reads the journal behind a durable cursor and writes what is to be told into the spool, in
//! one transaction with the cursor. [`Delivery`] takes the spool to a mail server or a sendmail-compatible command, as
//! long as it takes. Both are at-least-once: a crash between the server's "250" and the note of it sends the message
//! again under the same `Message-ID`, by which mail programs tell that it is the same.

pub mod compose;
pub mod delivery;
pub mod notifier;
pub mod settings;

mod mime;
mod sendmail;
mod smtp;

pub use delivery::{Delivery, Round};
pub use notifier::{NotifyError, Told, pass_over, run_once};
pub use settings::{MailSettings, Security, SettingsError, SmtpSettings, Transport};

//! How a client is refused: SQLSTATE and a text that says what to do.

use std::io;

use pgwire::error::{ErrorInfo, SEVERITY_ERROR, SEVERITY_FATAL, SEVERITY_WARNING};
use pgwire::messages::response::{ErrorResponse, NoticeResponse};
use wk_lake::LakeError;

use crate::http::{Problem, chain};

/// SQLSTATE codes, by their names in PostgreSQL's appendix A.
pub(super) mod code {
    pub(crate) const PROTOCOL_VIOLATION: &str = "08P01";
    pub(crate) const FEATURE_NOT_SUPPORTED: &str = "0A000";
    pub(crate) const INVALID_PARAMETER_VALUE: &str = "22023";
    pub(crate) const INVALID_TEXT_REPRESENTATION: &str = "22P02";
    pub(crate) const IN_FAILED_SQL_TRANSACTION: &str = "25P02";
    pub(crate) const INVALID_SQL_STATEMENT_NAME: &str = "26000";
    pub(crate) const INVALID_AUTHORIZATION: &str = "28000";
    pub(crate) const INVALID_PASSWORD: &str = "28P01";
    pub(crate) const INVALID_CURSOR_NAME: &str = "34000";
    pub(crate) const SYNTAX_ERROR: &str = "42601";
    pub(crate) const INSUFFICIENT_PRIVILEGE: &str = "42501";
    pub(crate) const UNDEFINED_COLUMN: &str = "42703";
    pub(crate) const UNDEFINED_OBJECT: &str = "42704";
    pub(crate) const UNDEFINED_FUNCTION: &str = "42883";
    pub(crate) const WARNING: &str = "01000";
    pub(crate) const UNDEFINED_TABLE: &str = "42P01";
    pub(crate) const TOO_MANY_CONNECTIONS: &str = "53300";
    pub(crate) const PROGRAM_LIMIT_EXCEEDED: &str = "54000";
    pub(crate) const QUERY_CANCELED: &str = "57014";
    pub(crate) const ADMIN_SHUTDOWN: &str = "57P01";
    pub(crate) const IO_ERROR: &str = "58030";
    pub(crate) const INTERNAL_ERROR: &str = "XX000";
    pub(crate) const DATA_CORRUPTED: &str = "XX001";
}

/// Why a statement or a client is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    /// SQLSTATE.
    pub(super) code: &'static str,
    /// What is wrong and what to do.
    pub(super) message: String,
}

impl Refusal {
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    pub(super) fn protocol(message: impl Into<String>) -> Self {
        Self::new(code::PROTOCOL_VIOLATION, message)
    }

    /// The message after which the client may go on.
    pub(super) fn as_error(&self) -> ErrorResponse {
        self.info(SEVERITY_ERROR).into()
    }

    /// The message after which the connection ends.
    pub(super) fn as_fatal(&self) -> ErrorResponse {
        self.info(SEVERITY_FATAL).into()
    }

    fn info(&self, severity: &str) -> ErrorInfo {
        let mut info = ErrorInfo::new(severity.to_owned(), self.code.to_owned(), self.message.clone());
        info.severity_nonlocalized = Some(severity.to_owned());
        info
    }
}

/// A warning beside an answer.
pub(super) fn warning(code: &str, message: String) -> NoticeResponse {
    let mut info = ErrorInfo::new(SEVERITY_WARNING.to_owned(), code.to_owned(), message);
    info.severity_nonlocalized = Some(SEVERITY_WARNING.to_owned());
    info.into()
}

impl From<LakeError> for Refusal {
    fn from(error: LakeError) -> Self {
        let code = match &error {
            LakeError::Query { what } => query_code(what),
            LakeError::Denied { .. } => code::INSUFFICIENT_PRIVILEGE,
            LakeError::TimeLimit { .. } | LakeError::Cancelled => code::QUERY_CANCELED,
            LakeError::TooLarge { .. } => code::PROGRAM_LIMIT_EXCEEDED,
            LakeError::Damaged { .. } | LakeError::Newer { .. } => code::DATA_CORRUPTED,
            LakeError::Sqlite(_) | LakeError::Encode(_) => code::INTERNAL_ERROR,
            _ => code::IO_ERROR,
        };
        Self::new(code, chain(&error))
    }
}

/// SQLite tells what a name is missing for only in words.
fn query_code(what: &str) -> &'static str {
    let codes = [
        ("no such table", code::UNDEFINED_TABLE),
        ("no such column", code::UNDEFINED_COLUMN),
        ("no such function", code::UNDEFINED_FUNCTION),
    ];
    if what.contains("may not be modified") {
        return code::INSUFFICIENT_PRIVILEGE;
    }
    codes.iter().find(|(words, _)| what.starts_with(words)).map_or(code::SYNTAX_ERROR, |(_, code)| code)
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let code = match problem.status.as_u16() {
            401 => code::INVALID_PASSWORD,
            403 => code::INSUFFICIENT_PRIVILEGE,
            503 => code::IO_ERROR,
            _ => code::INTERNAL_ERROR,
        };
        Self::new(code, problem.message)
    }
}

/// Why a connection ends.
#[derive(Debug)]
pub(super) enum Failure {
    /// The client is told.
    Refused(Refusal),
    /// The connection is broken.
    Broken(io::Error),
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Broken(error)
    }
}

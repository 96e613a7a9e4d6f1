//! A session: statements of the simple and the extended protocol, one after the other.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use pgwire::messages::Message;
use pgwire::messages::data::{FieldDescription, RowDescription};
use pgwire::messages::response::{CommandComplete, EmptyQueryResponse, ReadyForQuery, TransactionStatus};
use wk_lake::{Cancel, SqlAnswer, SqlParameter};

use super::catalog::{self, Asker, Outcome};
use super::extended::{Portal, Prepared};
use super::failure::{Failure, Refusal, code, warning};
use super::frontend::{self, Frontend};
use super::startup::{Client, Token};
use super::values::PgType;
use super::wire::{MESSAGE_BYTES_MAX, Stream, Wire};
use super::{Server, split};
use crate::http::query;

/// A session of a client that has signed in.
pub(super) struct Session<'a> {
    pub(super) server: &'a Server,
    pub(super) wire: Wire<Box<dyn Stream>>,
    pub(super) statements: HashMap<String, Prepared>,
    pub(super) portals: HashMap<String, Portal>,
    asker: Asker,
    token: Token,
    status: TransactionStatus,
    /// Stops the statement under way; a cancel request finds it here.
    current: Arc<Mutex<Cancel>>,
    /// Whether a message of the extended protocol has failed, so that all until the next sync are left out.
    is_skipping: bool,
}

/// The rows of an answer that are to be sent.
pub(super) struct Part<'a> {
    pub(super) answer: &'a SqlAnswer,
    pub(super) types: &'a [PgType],
    pub(super) is_binary: &'a [bool],
    pub(super) rows: std::ops::Range<usize>,
}

impl<'a> Session<'a> {
    pub(super) fn new(server: &'a Server, client: Client, current: Arc<Mutex<Cancel>>) -> Self {
        Self {
            server,
            wire: client.wire,
            statements: HashMap::new(),
            portals: HashMap::new(),
            asker: client.asker,
            token: client.token,
            status: TransactionStatus::Idle,
            current,
            is_skipping: false,
        }
    }

    /// Serves the client until it leaves, the node stops, or something is wrong with the connection.
    pub(super) async fn run(mut self) -> Result<(), Failure> {
        match self.serve().await {
            Err(Failure::Refused(refusal)) => self.wire.end(&refusal).await,
            other => other,
        }
    }

    async fn serve(&mut self) -> Result<(), Failure> {
        self.ready().await?;
        loop {
            let message = tokio::select! {
                () = self.server.node.stop.cancelled() => return Err(stopping().into()),
                message = self.wire.message(MESSAGE_BYTES_MAX) => message?,
            };
            let Some((kind, body)) = message else { return Ok(()) };
            match frontend::read(kind, body)? {
                Frontend::Terminate => return Ok(()),
                message => self.handle(message).await?,
            }
            self.wire.flush_much().await?;
        }
    }

    async fn handle(&mut self, message: Frontend) -> Result<(), Failure> {
        match message {
            Frontend::Sync => {
                self.is_skipping = false;
                if self.status == TransactionStatus::Idle {
                    self.portals.clear();
                }
                self.ready().await
            }
            _ if self.is_skipping => Ok(()),
            Frontend::Flush => self.wire.flush().await,
            Frontend::Query(text) => {
                self.simple(&text).await?;
                self.ready().await
            }
            message => match self.extended(message).await {
                Err(Failure::Refused(refusal)) => {
                    self.is_skipping = true;
                    Ok(self.fail(&refusal)?)
                }
                other => other,
            },
        }
    }

    async fn ready(&mut self) -> Result<(), Failure> {
        self.wire.put(&ReadyForQuery::new(self.status))?;
        self.wire.flush().await
    }

    fn fail(&mut self, refusal: &Refusal) -> Result<(), Refusal> {
        self.server.counts.fail();
        if self.status == TransactionStatus::Transaction {
            self.status = TransactionStatus::Error;
        }
        self.wire.put(&refusal.as_error())
    }

    /// Runs the statements of a text; after one that fails the others are left out.
    async fn simple(&mut self, text: &str) -> Result<(), Failure> {
        let statements = split::statements(text);
        if statements.is_empty() {
            self.wire.put(&EmptyQueryResponse::new())?;
        }
        for statement in statements {
            match self.simple_statement(statement).await {
                Err(Failure::Refused(refusal)) => return Ok(self.fail(&refusal)?),
                other => other?,
            }
        }
        Ok(())
    }

    async fn simple_statement(&mut self, statement: &str) -> Result<(), Failure> {
        let outcome = self.ask(statement, Vec::new()).await?;
        let Outcome::Rows(answer) = &outcome else { return Ok(self.apply(outcome)?) };
        let types = types_of(answer);
        let is_binary = vec![false; types.len()];
        self.put(&describe(&answer.columns, &types, &is_binary))?;
        let part = Part { answer, types: &types, is_binary: &is_binary, rows: 0..answer.rows.len() };
        self.send(&part).await?;
        Ok(self.complete(answer, answer.rows.len())?)
    }

    pub(super) fn put(&mut self, message: &impl Message) -> Result<(), Refusal> {
        self.wire.put(message)
    }

    /// Writes rows, and sends them as they become many.
    pub(super) async fn send(&mut self, part: &Part<'_>) -> Result<(), Failure> {
        for row in &part.answer.rows[part.rows.clone()] {
            let mut data = bytes::BytesMut::new();
            for ((value, kind), is_binary) in row.iter().zip(part.types).zip(part.is_binary) {
                kind.write(value, *is_binary, &mut data)?;
            }
            let width = i16::try_from(row.len()).map_err(|_| {
                Refusal::new(code::PROGRAM_LIMIT_EXCEEDED, "a row has more columns than the protocol allows")
            })?;
            self.put(&pgwire::messages::data::DataRow::new(data, width))?;
            self.wire.flush_much().await?;
        }
        Ok(())
    }

    /// Ends an answer, with a warning where the limits have cut it off.
    pub(super) fn complete(&mut self, answer: &SqlAnswer, rows: usize) -> Result<(), Refusal> {
        if answer.truncated {
            let what = format!(
                "the answer ends after {} rows, there are more; narrow it by time, asset or app, or count",
                answer.rows.len()
            );
            self.put(&warning(code::WARNING, what))?;
        }
        self.put(&CommandComplete::new(format!("SELECT {rows}")))
    }

    /// Does what a statement that answers no rows does.
    pub(super) fn apply(&mut self, outcome: Outcome) -> Result<(), Refusal> {
        let tag = match outcome {
            Outcome::Rows(_) => "SELECT 0",
            Outcome::Done(tag) => tag,
            Outcome::Begin => {
                self.status = TransactionStatus::Transaction;
                "BEGIN"
            }
            Outcome::End(tag) => {
                let has_failed = self.status == TransactionStatus::Error;
                self.status = TransactionStatus::Idle;
                if has_failed { "ROLLBACK" } else { tag }
            }
            Outcome::Forget(Some(name), tag) => {
                self.statements.remove(&name);
                tag
            }
            Outcome::Forget(None, tag) => {
                self.statements.clear();
                tag
            }
        };
        self.put(&CommandComplete::new(tag.to_owned()))
    }

    /// Tells what a statement does, and answers it where it asks for rows; nothing of the session changes.
    pub(super) async fn ask(&mut self, statement: &str, values: Vec<SqlParameter>) -> Result<Outcome, Refusal> {
        self.server.counts.ask();
        self.server.permit(&self.token).await?;
        let outcome = catalog::answer(statement, &self.asker)?;
        if self.status == TransactionStatus::Error && !matches!(outcome, Some(Outcome::End(_))) {
            let what = "current transaction is aborted, commands ignored until end of transaction block; send ROLLBACK";
            return Err(Refusal::new(code::IN_FAILED_SQL_TRANSACTION, what));
        }
        match outcome {
            Some(outcome) => Ok(outcome),
            None => self.ask_stores(statement, values).await.map(Outcome::Rows),
        }
    }

    async fn ask_stores(&self, statement: &str, values: Vec<SqlParameter>) -> Result<SqlAnswer, Refusal> {
        let cancel = Cancel::default();
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = cancel.clone();
        let (node, text, stops) = (Arc::clone(&self.server.node), statement.to_owned(), cancel.clone());
        let mut answer = tokio::task::spawn_blocking(move || query::answer(&node, &text, &values, stops));
        let answer = tokio::select! {
            answer = &mut answer => answer,
            () = self.server.node.stop.cancelled() => {
                cancel.cancel();
                answer.await
            }
        };
        answer.map_err(|error| Refusal::new(code::INTERNAL_ERROR, error.to_string()))?.map_err(Refusal::from)
    }

    /// Tells whether a statement is answered without the stores.
    pub(super) fn is_own(&self, statement: &str) -> Result<bool, Refusal> {
        catalog::answer(statement, &self.asker).map(|outcome| outcome.is_some())
    }
}

fn stopping() -> Refusal {
    Refusal::new(code::ADMIN_SHUTDOWN, "the node stops; connect again in a moment")
}

/// The types of an answer's columns.
pub(super) fn types_of(answer: &SqlAnswer) -> Vec<PgType> {
    let column = |at: usize| answer.rows.iter().filter_map(move |row| row.get(at));
    answer.kinds.iter().enumerate().map(|(at, kind)| PgType::fitting(*kind, column(at))).collect()
}

/// Describes columns by name, type and form.
pub(super) fn describe(names: &[String], types: &[PgType], is_binary: &[bool]) -> RowDescription {
    let fields = names.iter().zip(types).zip(is_binary).map(|((name, kind), is_binary)| {
        let name = name.replace('\0', "");
        FieldDescription::new(name, 0, 0, kind.oid(), kind.size(), -1, i16::from(*is_binary))
    });
    RowDescription::new(fields.collect())
}

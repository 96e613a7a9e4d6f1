//! The extended protocol: statements that are prepared once and run often, with parameters, a part of the rows at a
//! time, as drivers use it.

use std::time::{Duration, Instant};

use bytes::Bytes;
use pgwire::messages::data::{NoData, ParameterDescription};
use pgwire::messages::extendedquery::{BindComplete, CloseComplete, ParseComplete, PortalSuspended};
use pgwire::messages::response::EmptyQueryResponse;
use wk_lake::{SqlParameter, SqlShape};

use super::catalog::Outcome;
use super::failure::{Failure, Refusal, code};
use super::frontend::{Bind, Frontend, Target};
use super::session::{Part, Session, describe, types_of};
use super::split;
use super::values::{PgType, oid, parameter};
use crate::http::query;
use crate::http::session::blocking;

/// Most statements that one session keeps.
const STATEMENTS_MAX: usize = 256;
/// Most portals that one session keeps; each holds an answer.
const PORTALS_MAX: usize = 8;
/// How long an answer that was needed to describe a statement serves to run it.
const FRESH_MAX: Duration = Duration::from_secs(2);

/// Names and types.
type Columns = (Vec<String>, Vec<PgType>);

/// A statement that is kept.
#[derive(Debug)]
pub(super) struct Prepared {
    query: String,
    /// The types of its parameters.
    parameters: Vec<u32>,
    /// What it asks for and answers; `None` for one that does not go to the stores.
    shape: Option<SqlShape>,
    /// The types that the client was told, to which answers must keep.
    promised: Option<Vec<PgType>>,
    /// The answer that describing it took.
    fresh: Option<(Instant, Outcome)>,
}

/// A statement with its values, and its answer once it has run.
#[derive(Debug)]
pub(super) struct Portal {
    query: String,
    values: Vec<SqlParameter>,
    formats: Vec<i16>,
    promised: Option<Vec<PgType>>,
    run: Option<Run>,
}

/// The answer of a portal.
#[derive(Debug)]
struct Run {
    outcome: Outcome,
    types: Vec<PgType>,
    is_binary: Vec<bool>,
    sent: usize,
}

impl Session<'_> {
    pub(super) async fn extended(&mut self, message: Frontend) -> Result<(), Failure> {
        match message {
            Frontend::Parse { name, query, types } => self.parse(name, &query, types).await,
            Frontend::Bind(bind) => Ok(self.bind(bind)?),
            Frontend::Describe(Target::Statement(name)) => self.describe_statement(&name).await,
            Frontend::Describe(Target::Portal(name)) => self.describe_portal(&name).await,
            Frontend::Execute { portal, rows_max } => self.execute(&portal, rows_max).await,
            Frontend::Close(target) => {
                match target {
                    Target::Statement(name) => drop(self.statements.remove(&name)),
                    Target::Portal(name) => drop(self.portals.remove(&name)),
                }
                Ok(self.put(&CloseComplete::new())?)
            }
            Frontend::Query(_) | Frontend::Sync | Frontend::Flush | Frontend::Terminate => Ok(()),
        }
    }

    async fn parse(&mut self, name: String, text: &str, mut types: Vec<u32>) -> Result<(), Failure> {
        if self.statements.len() >= STATEMENTS_MAX && !self.statements.contains_key(&name) {
            let what = format!("a session keeps at most {STATEMENTS_MAX} statements; close some");
            return Err(Refusal::new(code::PROGRAM_LIMIT_EXCEEDED, what).into());
        }
        let query = match split::statements(text)[..] {
            [] => "",
            [one] => one,
            _ => {
                let what = "cannot insert multiple commands into a prepared statement";
                return Err(Refusal::new(code::SYNTAX_ERROR, what).into());
            }
        };
        let shape = if query.is_empty() || self.is_own(query)? { None } else { Some(self.shape(query).await?) };
        let count = shape.as_ref().map_or(0, |shape| shape.parameters);
        types.resize(count.max(types.len()), oid::TEXT);
        let parameters = types.into_iter().map(|kind| if kind == 0 { oid::TEXT } else { kind }).collect();
        let prepared = Prepared { query: query.to_owned(), parameters, shape, promised: None, fresh: None };
        self.statements.insert(name, prepared);
        Ok(self.put(&ParseComplete::new())?)
    }

    async fn shape(&self, statement: &str) -> Result<SqlShape, Refusal> {
        let text = statement.to_owned();
        let node = &self.server.node;
        match blocking(node, move |node| Ok::<_, crate::http::Problem>(query::shape(node, &text))).await {
            Ok(shape) => Ok(shape?),
            Err(problem) => Err(problem.into()),
        }
    }

    fn bind(&mut self, bind: Bind) -> Result<(), Refusal> {
        let Bind { portal, statement, formats, values, result_formats } = bind;
        if self.portals.len() >= PORTALS_MAX && !self.portals.contains_key(&portal) {
            let what = format!("a session keeps at most {PORTALS_MAX} portals; close some");
            return Err(Refusal::new(code::PROGRAM_LIMIT_EXCEEDED, what));
        }
        let prepared = self.statements.get_mut(&statement).ok_or_else(|| unknown_statement(&statement))?;
        let values = prepared.values(&formats, &values)?;
        let fresh = prepared.fresh.take().filter(|(at, _)| at.elapsed() < FRESH_MAX).map(|(_, outcome)| outcome);
        let promised = prepared.promised.clone();
        let mut made = Portal { query: prepared.query.clone(), values, formats: result_formats, promised, run: None };
        if let Some(outcome) = fresh {
            made.set(outcome)?;
        }
        self.portals.insert(portal, made);
        self.put(&BindComplete::new())
    }

    /// Describes a statement. One without parameters is run for it, since only its answer tells the types of what it
    /// computes; of others the types are those that its columns are declared with.
    async fn describe_statement(&mut self, name: &str) -> Result<(), Failure> {
        let prepared = self.statements.get(name).ok_or_else(|| unknown_statement(name))?;
        let (query, has_parameters) = (prepared.query.clone(), !prepared.parameters.is_empty());
        let parameters = ParameterDescription::new(prepared.parameters.clone());
        let declared: Option<Columns> = prepared.shape.as_ref().filter(|_| has_parameters).map(|shape| {
            let names = shape.columns.iter().map(|column| column.name.clone()).collect();
            let types = shape.columns.iter().map(|column| PgType::declared(column.kind)).collect();
            (names, types)
        });
        let (columns, fresh): (Option<Columns>, _) = match declared {
            Some(declared) => (Some(declared), None),
            None if query.is_empty() => (None, None),
            None => {
                let outcome = self.ask(&query, Vec::new()).await?;
                let columns = match &outcome {
                    Outcome::Rows(answer) => Some((answer.columns.clone(), types_of(answer))),
                    _ => None,
                };
                (columns, Some((Instant::now(), outcome)))
            }
        };
        self.put(&parameters)?;
        match &columns {
            Some((names, types)) => self.put(&describe(names, types, &vec![false; types.len()]))?,
            None => self.put(&NoData::new())?,
        }
        if let Some(prepared) = self.statements.get_mut(name) {
            prepared.promised = columns.map(|(_, types)| types);
            prepared.fresh = fresh;
        }
        Ok(())
    }

    async fn describe_portal(&mut self, name: &str) -> Result<(), Failure> {
        let Some(portal) = self.take_run(name).await? else { return Ok(self.put(&NoData::new())?) };
        let described = match portal.run.as_ref().map(|run| (&run.outcome, run)) {
            Some((Outcome::Rows(answer), run)) => self.put(&describe(&answer.columns, &run.types, &run.is_binary)),
            _ => self.put(&NoData::new()),
        };
        self.portals.insert(name.to_owned(), portal);
        Ok(described?)
    }

    async fn execute(&mut self, name: &str, rows_max: usize) -> Result<(), Failure> {
        let Some(mut portal) = self.take_run(name).await? else { return Ok(self.put(&EmptyQueryResponse::new())?) };
        let Some(run) = &mut portal.run else { return Ok(self.put(&EmptyQueryResponse::new())?) };
        let Outcome::Rows(answer) = &run.outcome else { return Ok(self.apply(run.outcome.clone())?) };
        let left = answer.rows.len() - run.sent;
        let count = if rows_max == 0 { left } else { left.min(rows_max) };
        let rows = run.sent..run.sent + count;
        self.send(&Part { answer, types: &run.types, is_binary: &run.is_binary, rows }).await?;
        run.sent += count;
        if count < left {
            self.put(&PortalSuspended::new())?;
        } else {
            self.complete(answer, count)?;
        }
        self.portals.insert(name.to_owned(), portal);
        Ok(())
    }

    /// Takes a portal out, run if it had not; `None` for an empty statement.
    async fn take_run(&mut self, name: &str) -> Result<Option<Portal>, Failure> {
        let missing = || Refusal::new(code::INVALID_CURSOR_NAME, format!("portal {name:?} does not exist"));
        let mut portal = self.portals.remove(name).ok_or_else(missing)?;
        if portal.query.is_empty() {
            self.portals.insert(name.to_owned(), portal);
            return Ok(None);
        }
        if portal.run.is_none() {
            let outcome = self.ask(&portal.query, portal.values.clone()).await?;
            portal.set(outcome)?;
        }
        Ok(Some(portal))
    }
}

impl Prepared {
    fn values(&self, formats: &[i16], values: &[Option<Bytes>]) -> Result<Vec<SqlParameter>, Refusal> {
        let wanted = self.parameters.len();
        if values.len() != wanted {
            let given = values.len();
            return Err(Refusal::protocol(format!("the statement has {wanted} parameters, {given} values came")));
        }
        let is_binary = per_column(formats, wanted)?;
        let read = |((value, kind), is_binary): ((&Option<Bytes>, &u32), &bool)| {
            value.as_ref().map_or(Ok(SqlParameter::Null), |value| parameter(*kind, *is_binary, value))
        };
        values.iter().zip(&self.parameters).zip(&is_binary).map(read).collect()
    }
}

impl Portal {
    fn set(&mut self, outcome: Outcome) -> Result<(), Refusal> {
        let (types, is_binary) = match &outcome {
            Outcome::Rows(answer) => {
                let promised = self.promised.clone().filter(|types| types.len() == answer.columns.len());
                (promised.unwrap_or_else(|| types_of(answer)), per_column(&self.formats, answer.columns.len())?)
            }
            _ => (Vec::new(), Vec::new()),
        };
        self.run = Some(Run { outcome, types, is_binary, sent: 0 });
        Ok(())
    }
}

/// The form of each column: that of all, or each its own.
fn per_column(formats: &[i16], width: usize) -> Result<Vec<bool>, Refusal> {
    match formats {
        [] => Ok(vec![false; width]),
        [one] => Ok(vec![*one == 1; width]),
        each if each.len() == width => Ok(each.iter().map(|format| *format == 1).collect()),
        each => Err(Refusal::protocol(format!("{} forms came for {width} values", each.len()))),
    }
}

fn unknown_statement(name: &str) -> Refusal {
    Refusal::new(code::INVALID_SQL_STATEMENT_NAME, format!("prepared statement {name:?} does not exist"))
}

//! Talking with one device: one request at a time, sent again and made smaller where the device needs it.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::time::Duration;

use async_snmp::{Client, Error, ErrorStatus, Oid, UdpHandle, Value, VarBind, Version};
use tokio::time::{Instant, timeout};

use super::pace::Pace;

/// How many rows of one table are read; further ones are left out and counted.
pub const ROWS_MAX: usize = 4_096;
/// How many columns are walked side by side.
const COLUMNS_MAX: usize = 12;
/// So few objects are never too many.
const FEW: usize = 8;
/// An SNMPv3 request may first have to find the engine and its time out: two exchanges more.
const DISCOVERY_EXCHANGES: u32 = 3;

/// Why a device could not be read.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// It did not answer.
    #[error("no answer after {attempts} attempts")]
    NoAnswer {
        /// How often it was asked.
        attempts: u32,
    },
    /// It refused, or its answer cannot be used.
    #[error("{0}")]
    Refused(String),
}

impl AskError {
    /// The reason under which it is counted.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::NoAnswer { .. } => "device does not answer",
            Self::Refused(_) => "device refuses",
        }
    }
}

/// The rows of a table: by index, the value of each column that was asked for.
pub type Rows = BTreeMap<Box<[u32]>, Vec<Option<Value>>>;

/// What a walk brought.
#[derive(Debug, Default)]
pub struct Walked {
    /// The rows.
    pub rows: Rows,
    /// How many rows were left out beyond [`ROWS_MAX`], at least.
    pub left_out: u64,
    /// How many columns were left early because their objects did not increase.
    pub disordered: u64,
}

/// A device that is talked to.
pub struct Session {
    client: Client<UdpHandle>,
    pace: Pace,
    retries: u32,
    /// Whether the device has answered since it last did not.
    answering: bool,
    /// Messages exchanged since the last call of [`Session::take_exchanged`].
    exchanged: u64,
}

impl Session {
    /// Begins to talk to a device.
    pub fn new(client: Client<UdpHandle>, timeout_max: Duration, retries: u32) -> Self {
        Self { client, pace: Pace::new(timeout_max), retries, answering: false, exchanged: 0 }
    }

    /// How many answers came since the last call.
    pub const fn take_exchanged(&mut self) -> u64 {
        std::mem::replace(&mut self.exchanged, 0)
    }

    fn is_v1(&self) -> bool {
        self.client.version() == Version::V1
    }

    /// Reads single objects; those that the device does not have are missing in the answer.
    pub async fn get(&mut self, oids: &[Oid]) -> Result<HashMap<Oid, Value>, AskError> {
        let mut found = HashMap::with_capacity(oids.len());
        let mut open: Vec<Oid> = oids.to_vec();
        while !open.is_empty() {
            let count = self.pace.objects().min(open.len());
            let part: Vec<Oid> = open[..count].to_vec();
            let client = self.client.clone();
            let answer = self.ask(count > FEW, || {
                let (client, part) = (client.clone(), part.clone());
                async move { client.get_many(&part).await.map(|response| response.varbinds) }
            });
            match answer.await {
                Ok(values) => {
                    open.drain(..count);
                    found.extend(
                        values.into_iter().filter(|one| !one.value.is_exception()).map(|one| (one.oid, one.value)),
                    );
                }
                Err(Failed::NoSuchName(index)) if index < count => drop(open.remove(index)),
                Err(Failed::NoSuchName(_)) => drop(open.drain(..count)),
                Err(Failed::TooMuch) => {}
                Err(Failed::Ask(error)) => return Err(error),
            }
        }
        Ok(found)
    }

    /// Reads the columns of a table.
    pub async fn walk(&mut self, columns: &[Oid]) -> Result<Walked, AskError> {
        let mut walked = Walked::default();
        for (part, chunk) in columns.chunks(COLUMNS_MAX).enumerate() {
            let mut walk = Walk::new(chunk, part * COLUMNS_MAX, columns.len());
            while !walk.open.is_empty() {
                self.walk_on(&mut walk, &mut walked).await?;
            }
        }
        Ok(walked)
    }

    async fn walk_on(&mut self, walk: &mut Walk<'_>, walked: &mut Walked) -> Result<(), AskError> {
        let asked: Vec<Oid> = walk.open.iter().map(|column| walk.next[*column].clone()).collect();
        let (rows, is_v1) = (self.pace.rows(asked.len()), self.is_v1());
        let client = self.client.clone();
        let answer = self.ask(true, || {
            let (client, asked) = (client.clone(), asked.clone());
            async move {
                if is_v1 {
                    return client.get_next_many(&asked).await.map(|response| response.varbinds);
                }
                client.get_bulk(&asked, 0, rows).await
            }
        });
        match answer.await {
            Ok(values) if values.is_empty() => walk.open.clear(),
            Ok(values) => walk.take(values, walked),
            Err(Failed::NoSuchName(index)) if index < walk.open.len() => drop(walk.open.remove(index)),
            Err(Failed::NoSuchName(_)) => walk.open.clear(),
            Err(Failed::TooMuch) => {}
            Err(Failed::Ask(error)) => return Err(error),
        }
        Ok(())
    }

    /// Sends a request until it is answered, or too often; what is `large` may be asked for in smaller parts.
    async fn ask<F>(&mut self, large: bool, request: impl Fn() -> F) -> Result<Vec<VarBind>, Failed>
    where
        F: Future<Output = async_snmp::Result<Vec<VarBind>>>,
    {
        // A device that does not answer is asked once a round, so that it costs little until it comes back.
        let attempts = if self.answering { self.retries + 1 } else { 1 };
        let exchanges = if self.client.version() == Version::V3 && !self.answering { DISCOVERY_EXCHANGES } else { 1 };
        for attempt in 0..attempts {
            let begun = Instant::now();
            match timeout(self.pace.timeout(attempt) * exchanges, request()).await {
                Ok(Ok(values)) => {
                    self.answering = true;
                    self.exchanged += 1;
                    self.pace.answered(begun.elapsed());
                    return Ok(values);
                }
                Ok(Err(error)) => match self.judge(&error) {
                    Some(failed) => return Err(failed),
                    None => continue,
                },
                // What was asked for may be more than the device can answer in time, or than the way lets through.
                Err(_) if attempt + 1 == attempts && large && self.answering && self.pace.too_much() => {
                    return Err(Failed::TooMuch);
                }
                Err(_) => {}
            }
        }
        self.answering = false;
        Err(Failed::Ask(AskError::NoAnswer { attempts }))
    }

    /// What a failure means; `None` where the request is sent again.
    fn judge(&mut self, error: &Error) -> Option<Failed> {
        match error.exchange_source() {
            Error::Snmp { status: ErrorStatus::TooBig, .. } if self.pace.too_much() => Some(Failed::TooMuch),
            Error::Snmp { status: ErrorStatus::NoSuchName, index, .. } => {
                Some(Failed::NoSuchName((*index as usize).wrapping_sub(1)))
            }
            Error::Timeout { .. } | Error::Network { .. } | Error::RequestIdInUse { .. } => None,
            other => Some(Failed::Ask(AskError::Refused(other.to_string()))),
        }
    }
}

/// Why one request brought nothing.
enum Failed {
    /// The device does not have the object at this position.
    NoSuchName(usize),
    /// Less has to be asked for.
    TooMuch,
    /// Nothing more can be done in this round.
    Ask(AskError),
}

/// Columns on their way through a table.
struct Walk<'a> {
    columns: &'a [Oid],
    /// The place of the first of them among all that were asked for.
    first: usize,
    total: usize,
    /// The object behind which each goes on.
    next: Vec<Oid>,
    /// Those that have not reached their end.
    open: Vec<usize>,
}

impl<'a> Walk<'a> {
    fn new(columns: &'a [Oid], first: usize, total: usize) -> Self {
        Self { columns, first, total, next: columns.to_vec(), open: (0..columns.len()).collect() }
    }

    /// Takes an answer in: values of the open columns in turn, row by row.
    fn take(&mut self, values: Vec<VarBind>, walked: &mut Walked) {
        let asked = self.open.clone();
        let mut ended = vec![false; self.columns.len()];
        for (position, value) in values.into_iter().enumerate() {
            let column = asked[position % asked.len()];
            if ended[column] {
                continue;
            }
            ended[column] = !self.take_one(column, value, walked);
        }
        self.open.retain(|column| !ended[*column]);
    }

    /// Takes a value in; answers whether the column goes on.
    fn take_one(&mut self, column: usize, value: VarBind, walked: &mut Walked) -> bool {
        if value.value.is_exception() || !value.oid.starts_with(&self.columns[column]) {
            return false;
        }
        if value.oid <= self.next[column] {
            walked.disordered += 1;
            return false;
        }
        let index: Box<[u32]> = value.oid.arcs()[self.columns[column].len()..].into();
        if walked.rows.len() >= ROWS_MAX && !walked.rows.contains_key(&index) {
            walked.left_out += 1;
            return false;
        }
        let row = walked.rows.entry(index).or_insert_with(|| vec![None; self.total]);
        row[self.first + column] = Some(value.value);
        self.next[column] = value.oid;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn oid(text: &str) -> Oid {
        Oid::parse(text).unwrap()
    }

    #[test]
    fn an_answer_is_taken_apart_column_by_column() {
        let columns = [oid("1.3.1"), oid("1.3.2")];
        let mut walk = Walk::new(&columns, 0, 2);
        let mut walked = Walked::default();
        let value = |text: &str, number| VarBind::new(oid(text), Value::Integer(number));
        let values = vec![value("1.3.1.1", 1), value("1.3.2.1", 2), value("1.3.1.2", 3), value("1.3.3.1", 4)];
        walk.take(values, &mut walked);
        assert_eq!((walk.open.as_slice(), walked.rows.len()), (&[0][..], 2));
        assert_eq!(walked.rows[&[2][..]], [Some(Value::Integer(3)), None]);
        walk.take(vec![value("1.3.1.2", 3)], &mut walked);
        assert_eq!((walk.open.len(), walked.disordered), (0, 1));
    }

    proptest! {
        #[test]
        fn no_answers_make_a_walk_endless_or_large(
            answers in proptest::collection::vec(
                proptest::collection::vec((proptest::collection::vec(0_u32..4, 0..4), any::<bool>()), 1..20), 1..40),
        ) {
            let columns = [oid("1.3.1"), oid("1.3.2"), oid("1.3.3")];
            let mut walk = Walk::new(&columns, 0, 3);
            let mut walked = Walked::default();
            for answer in answers {
                if walk.open.is_empty() {
                    break;
                }
                let before: Vec<Oid> = walk.next.clone();
                let values = answer.into_iter().map(|(arcs, ends)| {
                    let value = if ends { Value::EndOfMibView } else { Value::Integer(1) };
                    VarBind::new(Oid::new([1, 3].into_iter().chain(arcs)), value)
                });
                walk.take(values.collect(), &mut walked);
                for column in &walk.open {
                    prop_assert!(walk.next[*column] >= before[*column]);
                }
            }
            prop_assert!(walked.rows.len() <= ROWS_MAX);
        }
    }
}

//! What clients send. Messages are taken apart here and not by the library, whose readers panic where a message is
//! shorter than it says; every read is checked.

use bytes::{Buf as _, Bytes};

use super::failure::Refusal;

/// A message of a client that has signed in.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Frontend {
    /// Statements of the simple protocol.
    Query(String),
    /// A statement to be kept under a name.
    Parse { name: String, query: String, types: Vec<u32> },
    /// Values for a statement.
    Bind(Bind),
    /// Asks which columns a statement or portal answers.
    Describe(Target),
    /// Asks for rows of a portal: so many, or all of them for 0.
    Execute { portal: String, rows_max: usize },
    /// Forgets a statement or portal.
    Close(Target),
    /// Ends a run of messages of the extended protocol.
    Sync,
    /// Asks for what is written so far.
    Flush,
    /// The client leaves.
    Terminate,
}

/// Values for a statement, which make it a portal.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Bind {
    pub(super) portal: String,
    pub(super) statement: String,
    pub(super) formats: Vec<i16>,
    pub(super) values: Vec<Option<Bytes>>,
    pub(super) result_formats: Vec<i16>,
}

/// What a message speaks of, by its name.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Target {
    Statement(String),
    Portal(String),
}

/// Reads a message whose kind and length have been taken off.
pub(super) fn read(kind: u8, body: Bytes) -> Result<Frontend, Refusal> {
    let mut body = Body(body);
    let message = match kind {
        b'Q' => Frontend::Query(body.text()?),
        b'P' => {
            let (name, query) = (body.text()?, body.text()?);
            let types = body.list(|body| body.0.try_get_u32().map_err(|_| short()))?;
            Frontend::Parse { name, query, types }
        }
        b'B' => Frontend::Bind(Bind {
            portal: body.text()?,
            statement: body.text()?,
            formats: body.list(Body::format)?,
            values: body.list(Body::value)?,
            result_formats: body.list(Body::format)?,
        }),
        b'D' => Frontend::Describe(body.target()?),
        b'C' => Frontend::Close(body.target()?),
        b'E' => {
            let portal = body.text()?;
            let rows_max = body.0.try_get_i32().map_err(|_| short())?;
            Frontend::Execute { portal, rows_max: usize::try_from(rows_max).unwrap_or(0) }
        }
        b'S' => Frontend::Sync,
        b'H' => Frontend::Flush,
        b'X' => Frontend::Terminate,
        b'd' | b'c' | b'f' => return Err(Refusal::protocol("COPY is not served; ask with SELECT")),
        other => return Err(Refusal::protocol(format!("a message of the kind {other} is not known here"))),
    };
    if body.0.has_remaining() {
        return Err(Refusal::protocol("a message is longer than what stands in it"));
    }
    Ok(message)
}

/// The password of a message of that kind.
pub(super) fn password(body: Bytes) -> Result<String, Refusal> {
    Body(body).text()
}

fn short() -> Refusal {
    Refusal::protocol("a message is shorter than what stands in it")
}

struct Body(Bytes);

impl Body {
    fn text(&mut self) -> Result<String, Refusal> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or_else(short)?;
        let text = self.0.split_to(end);
        self.0.advance(1);
        String::from_utf8(text.to_vec()).map_err(|_| Refusal::protocol("a text is not UTF-8"))
    }

    fn list<T>(&mut self, one: impl Fn(&mut Self) -> Result<T, Refusal>) -> Result<Vec<T>, Refusal> {
        let count = self.0.try_get_u16().map_err(|_| short())?;
        (0..count).map(|_| one(self)).collect()
    }

    fn format(&mut self) -> Result<i16, Refusal> {
        match self.0.try_get_i16().map_err(|_| short())? {
            format @ (0 | 1) => Ok(format),
            other => Err(Refusal::protocol(format!("a format of {other} is not known; it is 0 or 1"))),
        }
    }

    fn value(&mut self) -> Result<Option<Bytes>, Refusal> {
        let Ok(length) = usize::try_from(self.0.try_get_i32().map_err(|_| short())?) else { return Ok(None) };
        if length > self.0.remaining() {
            return Err(short());
        }
        Ok(Some(self.0.split_to(length)))
    }

    fn target(&mut self) -> Result<Target, Refusal> {
        match self.0.try_get_u8().map_err(|_| short())? {
            b'S' => Ok(Target::Statement(self.text()?)),
            b'P' => Ok(Target::Portal(self.text()?)),
            other => Err(Refusal::protocol(format!("{other} is neither a statement nor a portal"))),
        }
    }
}

#[cfg(test)]
mod tests;

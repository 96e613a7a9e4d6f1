//! Statements with parameters: no text of a question is ever part of a statement's own text.

use std::fmt::Write as _;

/// A parameter's value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    /// A set of texts, for IN.
    Texts(Vec<String>),
    /// The name of a database.
    Identifier(String),
    Signed(i64),
    Unsigned(u64),
}

/// A statement, a question mark in place of each value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Statement {
    text: String,
    values: Vec<Value>,
}

impl Statement {
    pub(super) fn new(text: &str) -> Self {
        Self { text: text.to_owned(), values: Vec::new() }
    }

    /// Goes on with text of our own, which has no question mark.
    pub(super) fn push(&mut self, text: &str) {
        debug_assert!(!text.contains('?'), "a value is bound with its place");
        self.text.push_str(text);
    }

    /// Goes on with text of our own that holds one question mark, and the value for it.
    pub(super) fn bind(&mut self, text: &str, value: Value) {
        debug_assert_eq!(text.matches('?').count(), 1, "a text has one place for its value");
        self.text.push_str(text);
        self.values.push(value);
    }

    /// The statement with one more value.
    pub(super) fn with(mut self, text: &str, value: &str) -> Self {
        self.bind(text, Value::Text(value.to_owned()));
        self
    }

    pub(super) fn append(&mut self, other: Self) {
        self.text.push_str(&other.text);
        self.values.extend(other.values);
    }

    /// The statement as ClickHouse reads it, and its parameters by name, as its HTTP interface takes them.
    pub(super) fn render(&self) -> (String, Vec<(String, String)>) {
        let mut parts = self.text.split('?');
        let mut text = parts.next().unwrap_or_default().to_owned();
        let mut parameters = Vec::new();
        for (part, value) in parts.zip(&self.values) {
            match value {
                Value::Text(value) => place(&mut text, &mut parameters, "String", escaped(value)),
                Value::Identifier(name) => place(&mut text, &mut parameters, "Identifier", escaped(name)),
                Value::Signed(value) => place(&mut text, &mut parameters, "Int64", value.to_string()),
                Value::Unsigned(value) => place(&mut text, &mut parameters, "UInt64", value.to_string()),
                Value::Texts(values) => {
                    text.push('(');
                    for (index, value) in values.iter().enumerate() {
                        text.push_str(if index > 0 { ", " } else { "" });
                        place(&mut text, &mut parameters, "String", escaped(value));
                    }
                    text.push(')');
                }
            }
            text.push_str(part);
        }
        (text, parameters)
    }
}

fn place(text: &mut String, parameters: &mut Vec<(String, String)>, kind: &str, value: String) {
    let number = parameters.len();
    _ = write!(text, "{{p{number}:{kind}}}");
    parameters.push((format!("param_p{number}"), value));
}

/// A text as the format TabSeparated has it, in which parameters come.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str(r"\\"),
            '\t' => out.push_str(r"\t"),
            '\n' => out.push_str(r"\n"),
            '\r' => out.push_str(r"\r"),
            '\0' => out.push_str(r"\0"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_become_parameters_and_never_text() {
        let mut statement = Statement::new("SELECT 1 WHERE a = ").with("?", "it's {p1:String}\t\\");
        statement.bind(" AND b IN ?", Value::Texts(vec!["x".to_owned(), "?".to_owned()]));
        statement.bind(" AND c > ?", Value::Signed(-7));
        let (text, parameters) = statement.render();
        assert_eq!(text, "SELECT 1 WHERE a = {p0:String} AND b IN ({p1:String}, {p2:String}) AND c > {p3:Int64}");
        let values: Vec<&str> = parameters.iter().map(|(_, value)| &**value).collect();
        assert_eq!(values, ["it's {p1:String}\\t\\\\", "x", "?", "-7"]);
        assert_eq!(parameters[3].0, "param_p3");
    }
}

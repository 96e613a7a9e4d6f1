//! One line: `name:value|type|@rate|#tag:value,…`.

/// How many values one line holds at most.
const VALUES_MAX: usize = 1_000;

/// What is done with a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Added up.
    Counter,
    /// Kept until the next one.
    Gauge,
    /// Gathered, in milliseconds.
    Timer,
    /// Gathered.
    Histogram,
    /// Counted where it has not come before.
    Set,
}

/// A line taken apart.
#[derive(Debug, PartialEq)]
pub struct Metric<'a> {
    /// The name as sent.
    pub name: &'a str,
    /// What is done with the values.
    pub kind: Kind,
    /// The values as sent.
    pub values: Vec<&'a str>,
    /// Which share of the values was sent, above 0 and up to 1.
    pub rate: f64,
    /// Tags with their values, which may be empty.
    pub tags: Vec<(&'a str, &'a str)>,
}

/// Takes a line apart.
///
/// # Errors
/// Why it cannot be taken.
pub fn read(line: &str) -> Result<Metric<'_>, &'static str> {
    if line.starts_with("_e{") {
        return Err("event");
    }
    if line.starts_with("_sc|") {
        return Err("service check");
    }
    let mut parts = line.split('|');
    let (name, values) = parts.next().and_then(|head| head.split_once(':')).ok_or("no value")?;
    let kind = match parts.next().ok_or("no type")?.trim() {
        "c" | "m" => Kind::Counter,
        "g" => Kind::Gauge,
        "ms" => Kind::Timer,
        "h" | "d" => Kind::Histogram,
        "s" => Kind::Set,
        _ => return Err("type is not known"),
    };
    // A set's values may be anything, even with a colon in them.
    let values: Vec<&str> = if kind == Kind::Set { vec![values] } else { values.split(':').collect() };
    if values.len() > VALUES_MAX {
        return Err("too many values in a line");
    }
    // InfluxDB's and Telegraf's tags stand behind the name.
    let (name, inner) = name.split_once(',').unwrap_or((name, ""));
    let inner = inner.split(',').filter_map(|tag| tag.split_once('='));
    let mut metric = Metric { name, kind, values, rate: 1.0, tags: inner.collect() };
    for part in parts {
        if let Some(rate) = part.strip_prefix('@') {
            metric.rate = rate
                .trim()
                .parse()
                .ok()
                .filter(|rate| (0.0..=1.0).contains(rate) && *rate > 0.0)
                .ok_or("rate is not from 0 to 1")?;
        } else if let Some(tags) = part.strip_prefix('#') {
            let each = tags.split(',').filter(|tag| !tag.is_empty());
            metric.tags.extend(each.map(|tag| tag.split_once(':').unwrap_or((tag, ""))));
        }
        // Container ids (`c:`), times (`T`) and what later versions add are passed over.
    }
    if metric.name.is_empty() {
        return Err("no name");
    }
    Ok(metric)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn lines_are_taken_apart() {
        let line = read("net.errors:1:2.5|c|@0.1|#deck:4,alarm,url:http://a|c:abc|T1656581400").unwrap();
        let expected = Metric {
            name: "net.errors",
            kind: Kind::Counter,
            values: vec!["1", "2.5"],
            rate: 0.1,
            tags: vec![("deck", "4"), ("alarm", ""), ("url", "http://a")],
        };
        assert_eq!(line, expected);
        assert_eq!(read("wait,host=gw:3|ms").unwrap().tags, [("host", "gw")]);
        assert_eq!(read("users:a:b|s").unwrap().values, ["a:b"]);
        assert_eq!(read("fuel:-3|g").unwrap().values, ["-3"]);
    }

    #[test]
    fn what_cannot_be_taken_is_named() {
        let cases = [
            ("", "no value"),
            ("name", "no value"),
            ("name:1", "no type"),
            (":1|c", "no name"),
            ("a:1|q", "type is not known"),
            ("a:1|c|@0", "rate is not from 0 to 1"),
            ("a:1|c|@1.5", "rate is not from 0 to 1"),
            ("a:1|c|@NaN", "rate is not from 0 to 1"),
            ("_e{5,4}:title|text", "event"),
            ("_sc|name|0", "service check"),
        ];
        for (line, reason) in cases {
            assert_eq!(read(line), Err(reason), "{line}");
        }
    }

    proptest! {
        #[test]
        fn no_line_makes_the_reader_panic(line in "\\PC{0,80}") {
            let _ = read(&line);
        }
    }
}

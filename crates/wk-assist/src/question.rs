//! From words to what is asked.

use wk_types::DurationMs;

use crate::vocabulary::{BEFORE_NAME, CALENDAR, COMMON, MACHINES, Topic, number, unit_ms};

/// Longer texts are no questions.
const QUESTION_CHARS_MAX: usize = 200;
/// How far back "what changed" looks where no span is given.
const SPAN_DEFAULT: DurationMs = DurationMs::from_hours(1);
/// The longest span that "what changed" looks back over.
const SPAN_MAX: DurationMs = DurationMs::from_hours(31 * 24);

/// A question that is understood.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked {
    pub(crate) topic: Topic,
    pub(crate) name: Option<Name>,
    /// A mount point, for the disks.
    pub(crate) path: Option<String>,
    /// How far to look back, for changes.
    pub(crate) span: DurationMs,
}

/// The one word of a question that may be the name of a machine.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Name {
    pub(crate) word: String,
    /// It stands where, or is written as, only a name is: after "on", or with a hyphen.
    pub(crate) certain: bool,
}

/// What is understood of a text.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Understood {
    Asked(Asked),
    Unclear { text: String, options: Vec<String> },
    Unknown,
}

/// Understands a question, or says what is missing.
pub(crate) fn understand(text: &str) -> Understood {
    let Some(words) = words(text) else { return Understood::Unknown };
    let (words, span) = match take_span(&words) {
        Ok(taken) => taken,
        Err(unclear) => return unclear,
    };
    let mut topics: Vec<Topic> = Topic::ALL.into_iter().filter(|topic| is_about(*topic, &words)).collect();
    // "How full is /data" names the disk by its mount point.
    if topics.is_empty() && asks_how_full_a_path_is(&words) {
        topics.push(Topic::Disks);
    }
    let Some(left) = unknown_words(&words, &topics) else { return Understood::Unknown };
    match topics[..] {
        [] => without_topic(&words, &left),
        [topic] => one_topic(topic, &words, left, span),
        _ => {
            let options: Vec<String> = topics.iter().map(|topic| topic.question().to_owned()).collect();
            unclear(format!("That names more than one thing; please ask one at a time: {}", options.join(" ")), options)
        }
    }
}

fn unclear(text: impl Into<String>, options: Vec<String>) -> Understood {
    Understood::Unclear { text: text.into(), options }
}

fn one_topic(topic: Topic, words: &[String], left: Vec<String>, span: Option<DurationMs>) -> Understood {
    let (paths, names): (Vec<String>, Vec<String>) = left.into_iter().partition(|word| word.starts_with('/'));
    let calendar = names.iter().any(|word| CALENDAR.contains(&word.as_str()));
    if topic == Topic::Changes && calendar && names.len() == 1 {
        let options = vec!["what changed in the last 12 hours?".to_owned()];
        return unclear("Please give the time as a span, such as \"in the last 12 hours\".", options);
    }
    if names.len() > 1 || paths.len() > 1 || calendar || (topic != Topic::Disks && !paths.is_empty()) {
        return Understood::Unknown;
    }
    // A span says when; the other questions are about now.
    if topic != Topic::Changes && span.is_some() {
        return Understood::Unknown;
    }
    let name = names.into_iter().next().map(|word| Name { certain: is_surely_name(&word, words), word });
    let measured = topic.measures().is_empty() || words.iter().any(|word| topic.measures().contains(&word.as_str()));
    if !measured && name.as_ref().is_none_or(|name| name.certain) {
        return unclear(format!("Do you mean: {}", topic.question()), vec![topic.question().to_owned()]);
    }
    if !measured {
        return Understood::Unknown;
    }
    let span = span.unwrap_or(SPAN_DEFAULT);
    if span <= DurationMs(0) || span > SPAN_MAX {
        return unclear(format!("Please ask for a span of up to {SPAN_MAX}."), Vec::new());
    }
    Understood::Asked(Asked { topic, name, path: paths.first().map(|path| without_end_slash(path)), span })
}

/// A mount point as the system writes it.
fn without_end_slash(path: &str) -> String {
    let bare = path.trim_end_matches('/');
    if bare.is_empty() { "/".to_owned() } else { bare.to_owned() }
}

fn asks_how_full_a_path_is(words: &[String]) -> bool {
    words.iter().any(|word| word.starts_with('/'))
        && words.iter().any(|word| Topic::Disks.measures().contains(&word.as_str()))
}

/// Tells whether a word stands where, or is written as, only a name is.
fn is_surely_name(word: &str, words: &[String]) -> bool {
    if word.contains(['-', '.', ':', '_']) || word.bytes().any(|byte| byte.is_ascii_digit()) {
        return true;
    }
    let Some(position) = words.iter().position(|candidate| candidate == word) else { return false };
    let mut before =
        words[..position].iter().rev().map(String::as_str).skip_while(|word| matches!(*word, "the" | "our"));
    before.next().is_some_and(|word| BEFORE_NAME.contains(&word) || MACHINES.contains(&word))
}

/// A measure without what is measured, such as "how full is it".
fn without_topic(words: &[String], left: &[String]) -> Understood {
    let has = |word: &str| words.iter().any(|candidate| candidate == word);
    if !left.is_empty() {
        return Understood::Unknown;
    }
    let topic = if has("full") {
        Topic::Disks
    } else if has("load") || has("busy") {
        Topic::Cpu
    } else {
        return Understood::Unknown;
    };
    unclear(format!("Do you mean: {}", topic.question()), vec![topic.question().to_owned()])
}

fn is_about(topic: Topic, words: &[String]) -> bool {
    let has = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    if has(topic.names()) {
        return true;
    }
    match topic {
        // "Is everything fine?" asks for what is not.
        Topic::Open => has(&["everything"]) && has(&["fine", "ok", "okay", "right"]),
        Topic::Silent => {
            has(&["not", "no", "stopped"])
                && has(&["heard", "reporting", "report", "send", "sending", "talking", "data"])
        }
        // A machine is as busy as its cpu.
        Topic::Cpu => {
            let machine = has(MACHINES) || words.iter().any(|word| !is_known(word, &[Topic::Cpu]));
            has(&["busy", "busiest", "busier"]) && machine
        }
        Topic::Disks | Topic::Changes => false,
    }
}

fn is_known(word: &str, topics: &[Topic]) -> bool {
    let of_topic =
        |topic: &Topic| [topic.names(), topic.measures(), topic.further()].into_iter().any(|list| list.contains(&word));
    COMMON.contains(&word) || MACHINES.contains(&word) || topics.iter().any(of_topic)
}

/// The words that no list knows; `None` where one of them cannot be a name either.
fn unknown_words(words: &[String], topics: &[Topic]) -> Option<Vec<String>> {
    // Without a topic, the words that could have been its measure are known.
    let topics = if topics.is_empty() { &[Topic::Disks, Topic::Cpu][..] } else { topics };
    let mut left: Vec<String> = words.iter().filter(|word| !is_known(word, topics)).cloned().collect();
    left.dedup();
    let from = |word: &String| word == "from" && topics != [Topic::Silent];
    left.retain(|word| !from(word) && word != "called" && word != "named");
    // Words that another topic would understand are words, not names.
    let elsewhere = |word: &String| is_known(word, &Topic::ALL) || number(word).is_some();
    if left.iter().any(elsewhere) { None } else { Some(left) }
}

/// The words of a text in lower case; `None` where it is empty, too long, or has characters no question needs.
fn words(text: &str) -> Option<Vec<String>> {
    let plain = |char: char| char.is_ascii_alphanumeric() || " \t'-_.:/,?!%".contains(char);
    let text = text.trim().replace('\u{2019}', "'").to_ascii_lowercase();
    if text.len() > QUESTION_CHARS_MAX || !text.chars().all(plain) {
        return None;
    }
    let mut words = Vec::new();
    for raw in text.split([' ', '\t', ',', '?', '!']) {
        let word = raw.trim_end_matches(['.', ':', '\'']).trim_matches('-').trim_start_matches('\'');
        if !word.is_empty() {
            words.extend(expanded(word)?.into_iter().map(str::to_owned));
        }
    }
    join_compounds(&mut words);
    if words.is_empty() { None } else { Some(words) }
}

/// A word without its contraction: `what's` is `what is`, `isn't` is `is not`, `pc's` is `pc`.
fn expanded(word: &str) -> Option<Vec<&str>> {
    let Some((base, ending)) = word.split_once('\'') else {
        return Some(match word {
            "whats" => vec!["what", "is"],
            "%" => vec!["percent"],
            word => vec![word],
        });
    };
    match (base, ending) {
        ("what" | "who" | "which" | "there" | "that" | "it" | "how", "s") => Some(vec![base, "is"]),
        (base, "s") => Some(vec![base]),
        ("i", "d") => Some(vec!["i", "would"]),
        ("isn" | "aren" | "hasn" | "haven" | "doesn" | "don", "t") => Some(vec![base.trim_end_matches('n'), "not"]),
        _ => None,
    }
}

/// Makes one word of what is written as two.
fn join_compounds(words: &mut Vec<String>) {
    const COMPOUNDS: [(&str, &str, &str); 7] = [
        ("file", "system", "filesystem"),
        ("file", "systems", "filesystems"),
        ("mount", "point", "mountpoint"),
        ("mount", "points", "mountpoints"),
        ("twenty", "four", "twentyfour"),
        ("do", "not", "not"),
        ("do", "n", "not"),
    ];
    for (first, second, joined) in COMPOUNDS {
        while let Some(at) = words.windows(2).position(|pair| pair[0] == first && pair[1] == second) {
            words.splice(at..at + 2, [joined.to_owned()]);
        }
    }
}

/// Takes spans such as `2 hours`, `an hour`, `half an hour`, `90m` out of the words and adds them up.
fn take_span(words: &[String]) -> Result<(Vec<String>, Option<DurationMs>), Understood> {
    let mut kept: Vec<String> = Vec::with_capacity(words.len());
    let mut total: Option<i64> = None;
    for word in words {
        let digits = word.find(|char: char| !char.is_ascii_digit()).unwrap_or(word.len());
        let (count, unit) = word.split_at(digits);
        let (count, unit) = match (number(count), unit_ms(unit), unit_ms(word)) {
            (Some(count), Some(unit), _) => (count, unit),
            (_, _, Some(unit)) => (take_count(&mut kept), unit),
            _ => {
                kept.push(word.clone());
                continue;
            }
        };
        let mut span = count.saturating_mul(unit);
        if kept.last().is_some_and(|word| word == "half") {
            kept.pop();
            span /= 2;
        }
        total = Some(total.unwrap_or(0).saturating_add(span));
    }
    if kept.iter().any(|word| word == "ago") {
        return Err(Understood::Unknown);
    }
    Ok((kept, total.map(DurationMs)))
}

/// The number before a unit; one where none is said.
fn take_count(kept: &mut Vec<String>) -> i64 {
    let Some(count) = kept.last().and_then(|word| number(word)) else { return 1 };
    kept.pop();
    count
}

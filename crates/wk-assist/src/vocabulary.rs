//! The words that are understood. A word in none of these lists makes a question unknown.

/// Words that carry no meaning of their own in any of the questions.
pub(crate) const COMMON: &[&str] = &[
    "a",
    "aboard",
    "all",
    "an",
    "and",
    "any",
    "are",
    "at",
    "be",
    "board",
    "can",
    "could",
    "current",
    "currently",
    "do",
    "does",
    "each",
    "every",
    "for",
    "get",
    "give",
    "has",
    "have",
    "hello",
    "here",
    "hey",
    "hi",
    "how",
    "i",
    "in",
    "is",
    "it",
    "its",
    "know",
    "let",
    "like",
    "list",
    "look",
    "me",
    "moment",
    "much",
    "my",
    "need",
    "now",
    "of",
    "on",
    "one",
    "our",
    "overview",
    "please",
    "present",
    "presently",
    "quick",
    "quickly",
    "report",
    "right",
    "see",
    "ship",
    "ships",
    "show",
    "state",
    "status",
    "summary",
    "tell",
    "thanks",
    "that",
    "the",
    "their",
    "them",
    "there",
    "these",
    "they",
    "this",
    "those",
    "to",
    "us",
    "vessel",
    "want",
    "watchkeeper",
    "we",
    "what",
    "which",
    "who",
    "with",
    "would",
    "you",
    "your",
];

/// Words for the machines themselves.
pub(crate) const MACHINES: &[&str] = &[
    "computer",
    "computers",
    "host",
    "hosts",
    "machine",
    "machines",
    "node",
    "nodes",
    "pc",
    "pcs",
    "server",
    "servers",
];

/// Words before which a name stands.
pub(crate) const BEFORE_NAME: &[&str] = &["at", "called", "for", "from", "named", "of", "on"];

/// Times that a span of hours says better, because they depend on the ship's clock.
pub(crate) const CALENDAR: &[&str] = &[
    "friday",
    "midnight",
    "monday",
    "month",
    "morning",
    "night",
    "noon",
    "saturday",
    "sunday",
    "thursday",
    "today",
    "tonight",
    "tuesday",
    "watch",
    "wednesday",
    "yesterday",
];

/// What can be asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Topic {
    Disks,
    Open,
    Changes,
    Silent,
    Cpu,
}

impl Topic {
    pub(crate) const ALL: [Self; 5] = [Self::Disks, Self::Open, Self::Changes, Self::Silent, Self::Cpu];

    /// The topic's question in its plainest wording.
    pub(crate) const fn question(self) -> &'static str {
        crate::QUESTIONS[self as usize]
    }

    /// Words that name the topic.
    pub(crate) const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Disks => &[
                "disc",
                "discs",
                "disk",
                "disks",
                "drive",
                "drives",
                "filesystem",
                "filesystems",
                "harddisk",
                "harddisks",
                "mount",
                "mountpoint",
                "mountpoints",
                "mounts",
                "partition",
                "partitions",
                "space",
                "storage",
                "volume",
                "volumes",
            ],
            Self::Open => &[
                "active",
                "alarm",
                "alarms",
                "alert",
                "alerts",
                "attention",
                "incident",
                "incidents",
                "issue",
                "issues",
                "ongoing",
                "open",
                "outstanding",
                "problem",
                "problems",
                "unresolved",
                "wrong",
            ],
            Self::Changes => &["change", "changed", "changes", "happen", "happened", "new", "news"],
            Self::Silent => &["quiet", "silence", "silent"],
            Self::Cpu => &["core", "cores", "cpu", "cpus", "processor", "processors"],
        }
    }

    /// Words that ask for what the topic measures; empty where naming it is asking.
    pub(crate) const fn measures(self) -> &'static [&'static str] {
        match self {
            Self::Disks => &[
                "available",
                "capacity",
                "enough",
                "fill",
                "filled",
                "free",
                "full",
                "fuller",
                "fullest",
                "fullness",
                "left",
                "low",
                "occupied",
                "out",
                "remaining",
                "remains",
                "space",
                "taken",
                "usage",
                "use",
                "used",
                "utilisation",
                "utilization",
            ],
            Self::Cpu => &[
                "busier",
                "busiest",
                "busy",
                "idle",
                "load",
                "loaded",
                "usage",
                "use",
                "used",
                "utilisation",
                "utilised",
                "utilization",
                "utilized",
                "working",
            ],
            Self::Open | Self::Changes | Self::Silent => &[],
        }
    }

    /// Further words that belong to the topic.
    pub(crate) const fn further(self) -> &'static [&'static str] {
        match self {
            Self::Disks => &["hard", "levels", "most", "percent", "percentage", "running", "still"],
            Self::Open => &[
                "anything",
                "everything",
                "fine",
                "going",
                "many",
                "needs",
                "ok",
                "okay",
                "something",
                "still",
                "things",
            ],
            Self::Changes => &[
                "anything",
                "been",
                "during",
                "else",
                "last",
                "lately",
                "over",
                "past",
                "previous",
                "recently",
                "since",
                "something",
                "things",
                "was",
                "were",
                "within",
            ],
            Self::Silent => &[
                "anymore",
                "anything",
                "been",
                "data",
                "from",
                "gone",
                "heard",
                "longer",
                "no",
                "not",
                "reporting",
                "send",
                "sender",
                "senders",
                "sending",
                "source",
                "sources",
                "stopped",
                "talking",
                "went",
            ],
            Self::Cpu => &["average", "hard", "heavily", "high", "most", "percent", "percentage", "working"],
        }
    }
}

/// The milliseconds of a unit of time.
pub(crate) fn unit_ms(word: &str) -> Option<i64> {
    Some(match word {
        "s" | "sec" | "secs" | "second" | "seconds" => 1_000,
        "m" | "min" | "mins" | "minute" | "minutes" => 60_000,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600_000,
        "d" | "day" | "days" => 86_400_000,
        "week" | "weeks" => 604_800_000,
        _ => return None,
    })
}

/// The value of a number in digits or words.
pub(crate) fn number(word: &str) -> Option<i64> {
    const WORDS: [&str; 12] =
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"];
    if let Some(index) = WORDS.iter().position(|name| *name == word) {
        return Some(index as i64 + 1);
    }
    match word {
        "a" | "an" => Some(1),
        "fifteen" => Some(15),
        "twenty" => Some(20),
        "thirty" => Some(30),
        "twentyfour" => Some(24),
        _ if word.len() <= 6 && word.bytes().all(|byte| byte.is_ascii_digit()) => word.parse().ok(),
        _ => None,
    }
}

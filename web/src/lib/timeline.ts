/** How an entry of the timeline is marked: by a sign and a tone, never by a tone alone. */
export interface TimelineMark {
  sign: string;
  tone: "bad" | "good" | "person" | "plain";
  /** What the entry says where it came without a text. */
  word: string;
}

const MARKS: Record<string, TimelineMark> = {
  signal_raised: { sign: "▲", tone: "bad", word: "signal raised" },
  signal_worsened: { sign: "▲", tone: "bad", word: "signal worsened" },
  signal_cleared: { sign: "▼", tone: "good", word: "signal ended" },
  incident_opened: { sign: "!", tone: "bad", word: "incident opened" },
  incident_joined: { sign: "+", tone: "bad", word: "a signal joined" },
  incident_escalated: { sign: "▲", tone: "bad", word: "incident became worse" },
  incident_reopened: { sign: "↺", tone: "bad", word: "incident came back" },
  incident_acknowledged: { sign: "✓", tone: "person", word: "acknowledged" },
  incident_commented: { sign: "“", tone: "person", word: "remark" },
  incident_resolved: { sign: "✓", tone: "good", word: "resolved" },
  message_queued: { sign: "✉", tone: "plain", word: "message queued" },
  message_delivered: { sign: "✉", tone: "good", word: "message delivered" },
  message_dead: { sign: "✉", tone: "bad", word: "message given up" },
};

/** The mark of a journal entry's kind; a kind that is not known stands plainly under its own name. */
export function timelineMark(kind: string): TimelineMark {
  const known = MARKS[kind];
  if (known) return known;
  const word = kind.replaceAll(/[_.-]+/g, " ");
  return { sign: /mail|message|notif/.test(kind) ? "✉" : "•", tone: "plain", word };
}

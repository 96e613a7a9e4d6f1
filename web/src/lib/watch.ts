import { plural, span } from "./format";
import type { Incident, SeaMode, SeaModeState, Severity, ShipState, Status } from "./types";

const URGENCY: Record<Severity, number> = { critical: 3, major: 2, minor: 1, info: 0 };

/** What the beacon shows: the ship's state, or that nobody knows it. */
export type BeaconState = ShipState | "unknown";

/** What may be shown: nothing is well merely because nobody has said anything yet. */
export function shownState(status: Pick<Status, "state" | "sources">): BeaconState {
  return status.state === "well" && status.sources.total === 0 ? "unknown" : status.state;
}

/** Sorts by urgency: what nobody has taken first, then the worst, then the oldest. */
export function byUrgency(incidents: Incident[]): Incident[] {
  return [...incidents].sort(
    (a, b) =>
      URGENCY[b.severity] - URGENCY[a.severity] ||
      Number(a.state !== "open") - Number(b.state !== "open") ||
      a.opened - b.opened ||
      a.id.localeCompare(b.id),
  );
}

/** Sorts the newest resolution first. */
export function byResolved(incidents: Incident[]): Incident[] {
  return [...incidents].sort((a, b) => (b.resolved ?? 0) - (a.resolved ?? 0) || a.id.localeCompare(b.id));
}

/** The one word that stands for the ship's state. */
export function stateWord(state: BeaconState): string {
  switch (state) {
    case "well":
      return "All well";
    case "attention":
      return "Attention";
    case "trouble":
      return "Trouble";
    case "unknown":
      return "Not known";
  }
}

/** How many incidents stand at each severity, worst first: `1 critical, 2 minor`. */
export function openCounts(open: Status["open"]): string {
  const parts = (["critical", "major", "minor"] as const)
    .filter((severity) => open[severity] > 0)
    .map((severity) => `${open[severity]} ${severity}`);
  return parts.join(", ");
}

/** The sentence under the state word. */
export function stateSentence(status: Status, incidents: Incident[] | null, now: number): string {
  const total = status.open.critical + status.open.major + status.open.minor;
  const parts: string[] = [];
  if (total > 0) {
    const waiting = incidents?.filter((incident) => incident.state === "open").length;
    const oldest = incidents?.reduce((first, incident) => Math.min(first, incident.opened), Infinity);
    parts.push(`${plural(total, "incident")} open (${openCounts(status.open)})`);
    if (waiting !== undefined && waiting > 0) parts.push(waiting === 1 ? "1 not taken yet" : `${waiting} not taken yet`);
    if (oldest !== undefined && Number.isFinite(oldest)) parts.push(`oldest ${span(now - oldest)}`);
  } else {
    parts.push("No incident is open");
  }
  if (status.sources.silent > 0) {
    parts.push(`${plural(status.sources.silent, "source")} silent`);
  } else if (status.sources.total > 0) {
    const speaking = status.sources.total === 1 ? "1 source is" : `all ${status.sources.total} sources are`;
    parts.push(`${speaking} speaking`);
  } else {
    parts.push("no source has spoken yet");
  }
  return `${parts.join(" · ")}`;
}

const SEA_MODES: Record<SeaMode, string> = {
  in_port: "in port",
  manoeuvring: "manoeuvring",
  at_sea: "at sea",
  dry_dock: "in dry dock",
  unknown: "not known",
};

/** What the vessel is doing, and on what that rests. */
export function seaMode(state: SeaModeState, now: number): { value: string; note: string } {
  const value = SEA_MODES[state.mode];
  if (state.by_hand) {
    const end = state.until === null ? "" : ` for ${span(state.until - now)}`;
    const other = state.derived === state.mode ? "" : `, speed says ${SEA_MODES[state.derived]}`;
    return { value, note: `set by hand${end}${other}` };
  }
  if (state.since === null) return { value, note: "no speed has come" };
  return { value, note: `for ${span(now - state.since)}` };
}

/** From which fill a gauge warns, and from which it alarms. */
export const GAUGE_WARN = 0.8;
export const GAUGE_ALARM = 0.92;

export type GaugeLevel = "calm" | "warn" | "alarm" | "unknown";

/** How full is too full. */
export function gaugeLevel(ratio: number | null | undefined): GaugeLevel {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return "unknown";
  if (ratio >= GAUGE_ALARM) return "alarm";
  return ratio >= GAUGE_WARN ? "warn" : "calm";
}

/** How long an incident has lasted, or did last. */
export function duration(incident: Incident, now: number): string {
  return span((incident.resolved ?? now) - incident.opened);
}

/** The assets in words: the first two, and how many more. */
export function assetList(assets: string[]): string {
  if (assets.length <= 2) return assets.join(", ");
  return `${assets.slice(0, 2).join(", ")} and ${assets.length - 2} more`;
}

/** How numbers, times and spans are written. Pure: the present is always an argument. */

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAY_MS = 86_400_000;

/** What stands where a value is not known. */
export const UNKNOWN = "–";

const two = (value: number) => String(value).padStart(2, "0");

/** A span as a person says it: `45 s`, `12 min`, `3 h 20 min`, `2 d 4 h`. */
export function span(ms: number): string {
  const seconds = Math.floor(Math.max(0, ms) / 1_000);
  const days = Math.floor(seconds / 86_400);
  const hours = Math.floor((seconds % 86_400) / 3_600);
  const minutes = Math.floor((seconds % 3_600) / 60);
  if (days > 0) return hours > 0 ? `${days} d ${hours} h` : `${days} d`;
  if (hours > 0) return minutes > 0 ? `${hours} h ${minutes} min` : `${hours} h`;
  if (minutes > 0) return `${minutes} min`;
  return `${seconds} s`;
}

/** How long ago an instant was; an instant in the future says so. */
export function age(at: number, now: number): string {
  const past = now - at;
  if (past < -1_500) return `in ${span(-past)}`;
  return past < 1_000 ? "just now" : `${span(past)} ago`;
}

/** The time of day in UTC; with the date in front where it is not the day of `now`. */
export function utc(at: number, now: number, withSeconds = false): string {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return UNKNOWN;
  const clock = `${two(date.getUTCHours())}:${two(date.getUTCMinutes())}`;
  const time = withSeconds ? `${clock}:${two(date.getUTCSeconds())}` : clock;
  if (Math.floor(at / DAY_MS) === Math.floor(now / DAY_MS)) return time;
  return `${utcDay(at, now)} ${time}`;
}

/** The day in UTC, with the year where it is not the year of `now`. */
export function utcDay(at: number, now: number): string {
  const date = new Date(at);
  const day = `${date.getUTCDate()} ${MONTHS[date.getUTCMonth()]}`;
  return date.getUTCFullYear() === new Date(now).getUTCFullYear() ? day : `${day} ${date.getUTCFullYear()}`;
}

/** The whole instant, for a tooltip and for machines. */
export function iso(at: number): string {
  const date = new Date(at);
  return Number.isNaN(date.getTime()) ? "" : date.toISOString();
}

const trim = (value: number, digits: number) => String(Number(value.toFixed(digits)));

/** A count with its thousands set apart by thin spaces. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  return String(Math.round(value)).replace(/\B(?=(\d{3})+(?!\d))/g, "\u202f");
}

/** Bytes in powers of 1024. */
export function bytes(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let scaled = Math.abs(value);
  let unit = 0;
  while (scaled >= 1_024 && unit < units.length - 1) {
    scaled /= 1_024;
    unit += 1;
  }
  const sign = value < 0 ? "−" : "";
  return `${sign}${trim(scaled, scaled < 10 && unit > 0 ? 1 : 0)} ${units[unit]}`;
}

/** A ratio as a percentage: whole from 10 % on, one digit below. */
export function percent(ratio: number | null | undefined): string {
  if (ratio === null || ratio === undefined || !Number.isFinite(ratio)) return UNKNOWN;
  const value = ratio * 100;
  return `${trim(value, Math.abs(value) < 10 && value !== 0 ? 1 : 0)} %`;
}

/** A bare number with three significant digits, large and small ones by their prefix. */
export function number(value: number | null | undefined): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size !== 0 && size < 0.001) return value.toExponential(1);
  if (size < 10) return trim(value, size < 1 ? 3 : 2);
  if (size < 10_000) return trim(value, size < 100 ? 1 : 0);
  if (size < 1e6) return `${trim(value / 1e3, size < 1e5 ? 1 : 0)} k`;
  if (size < 1e9) return `${trim(value / 1e6, size < 1e8 ? 1 : 0)} M`;
  return `${trim(value / 1e9, 1)} G`;
}

/** Seconds, in milliseconds where short and in words where long. */
export function seconds(value: number): string {
  if (!Number.isFinite(value)) return UNKNOWN;
  const size = Math.abs(value);
  if (size === 0) return "0 s";
  if (size < 1) return `${trim(value * 1_000, size < 0.01 ? 1 : 0)} ms`;
  if (size < 60) return `${trim(value, size < 10 ? 1 : 0)} s`;
  return value < 0 ? `−${span(-value * 1_000)}` : span(value * 1_000);
}

/** A value in the unit that its evidence names. */
export function quantity(value: number | null | undefined, unit: string): string {
  if (value === null || value === undefined || !Number.isFinite(value)) return UNKNOWN;
  switch (unit) {
    case "":
      return number(value);
    case "ratio":
      return percent(value);
    case "percent":
    case "%":
      return percent(value / 100);
    case "bytes":
    case "byte":
      return bytes(value);
    case "bytes/s":
    case "bytes_per_second":
      return `${bytes(value)}/s`;
    case "seconds":
    case "s":
      return seconds(value);
    case "milliseconds":
    case "ms":
      return seconds(value / 1_000);
    case "celsius":
      return `${number(value)} °C`;
    default:
      return `${number(value)} ${unit}`;
  }
}

/** A sentence with its first letter large; names of metrics, paths and hosts stay as they are. */
export function capital(text: string): string {
  return /^\p{Ll}+(?=[\s,;:]|$)/u.test(text) ? text.charAt(0).toUpperCase() + text.slice(1) : text;
}

/** `1 source`, `3 sources`. */
export function plural(value: number, one: string, many = `${one}s`): string {
  return `${count(value)} ${value === 1 ? one : many}`;
}

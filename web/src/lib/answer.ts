import { count, quantity, UNKNOWN, utc } from "./format";

/** An answer's data, as far as it can be laid out as a table. */
export interface Table {
  columns: string[];
  rows: unknown[][];
}

/** At most this many rows are laid out; the text above them says what matters. */
export const ROWS_MAX = 50;

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** Lays out what came with an answer: a list of records, or columns and rows; anything else is no table. */
export function asTable(data: unknown): Table | null {
  if (isRecord(data) && Array.isArray(data.columns) && Array.isArray(data.rows)) {
    const rows = data.rows.filter((row): row is unknown[] => Array.isArray(row)).slice(0, ROWS_MAX);
    return rows.length > 0 ? { columns: data.columns.map(String), rows } : null;
  }
  if (!Array.isArray(data) || data.length === 0 || !data.every(isRecord)) return null;
  const records = data.slice(0, ROWS_MAX);
  const columns = [...new Set(records.flatMap((record) => Object.keys(record)))];
  return { columns, rows: records.map((record) => columns.map((column) => record[column] ?? null)) };
}

/** The queries that an answer ran, one text each. */
export function queryTexts(query: unknown): string[] {
  if (typeof query === "string") return query.trim() === "" ? [] : [query];
  if (Array.isArray(query)) return query.flatMap(queryTexts);
  if (!isRecord(query)) return [];
  const text = [query.text, query.query, query.promql, query.sql].find((value) => typeof value === "string");
  return typeof text === "string" ? queryTexts(text) : [JSON.stringify(query)];
}

/** Milliseconds since the epoch from 2001 on: an integer this large is an instant and no count. */
const INSTANT_MIN = 1e12;

/** A column's name as a heading: without its unit, which the cells carry. */
export function heading(column: string): string {
  return column.replace(/_(ratio|bytes|ms|seconds)$/, "").replaceAll("_", " ");
}

/** One cell in words, in the unit that its column's name ends with. */
export function cell(value: unknown, column: string, now: number): string {
  if (value === null || value === undefined) return UNKNOWN;
  if (typeof value === "object") return JSON.stringify(value);
  if (typeof value !== "number") return String(value);
  const unit = /_(ratio|bytes|ms|seconds)$/.exec(column)?.[1];
  if (unit !== undefined) return quantity(value, unit);
  if (Number.isInteger(value)) return value >= INSTANT_MIN ? `${utc(value, now, true)} UTC` : count(value);
  return String(Number(value.toPrecision(4)));
}

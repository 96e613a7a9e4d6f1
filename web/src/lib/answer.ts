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

/** One cell in words. */
export function cell(value: unknown): string {
  if (value === null || value === undefined) return "–";
  if (typeof value === "number") {
    return Number.isInteger(value) ? String(value) : String(Number(value.toPrecision(4)));
  }
  return typeof value === "object" ? JSON.stringify(value) : String(value);
}

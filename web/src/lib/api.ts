import type {
  Answer,
  Incident,
  IncidentDetail,
  IncidentState,
  MatrixSeries,
  Pipeline,
  Session,
  Status,
} from "./types";

/** How long a call may take before it counts as failed. */
const CALL_TIMEOUT_MS = 15_000;

/** A call to the node that failed, in words for a person: what failed, and what to do about it. */
export class ApiError extends Error {
  constructor(
    message: string,
    /** The HTTP status; 0 where the node could not be reached at all. */
    readonly status: number,
    readonly hint: string,
    /** The node has no account yet, so the console has to be set up first. */
    readonly setupNeeded = false,
  ) {
    super(message);
    this.name = "ApiError";
  }

  get unreachable(): boolean {
    return this.status === 0;
  }
}

/** Puts any thrown value into the form that the pages show. */
export function asApiError(thrown: unknown): ApiError {
  if (thrown instanceof ApiError) return thrown;
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return new ApiError(`the console failed: ${text}`, -1, "Reload the page. If it comes back, run: watchkeeper doctor");
}

/** What to do about an answer that says no, where the node itself gives no hint. */
export function hintFor(status: number): string {
  if (status === 401) return "Sign in again.";
  if (status === 403) return "Your role does not allow this; ask an administrator for another one.";
  if (status === 404) return "It may have been removed, or the link is from another ship.";
  if (status === 413) return "The text is too long; shorten it.";
  if (status === 429) return "Too many tries; wait a minute and try again.";
  if (status === 503) return "The node is busy or starting; it is tried again by itself.";
  if (status >= 500) return "Run on the node: watchkeeper doctor";
  return "Check what was entered and try again.";
}

/** Reads the message and the hint out of an error body, whichever of the node's two shapes it has. */
export function readErrorBody(body: unknown): { message?: string; hint?: string; setupNeeded: boolean } {
  if (typeof body !== "object" || body === null) return { setupNeeded: false };
  const fields = body as Record<string, unknown>;
  const error = fields.error;
  const nested = typeof error === "object" && error !== null ? (error as Record<string, unknown>) : {};
  const text = [error, nested.message, fields.message, fields.detail].find((value) => typeof value === "string");
  const hint = [fields.hint, nested.hint].find((value) => typeof value === "string");
  return {
    ...(typeof text === "string" ? { message: text } : {}),
    ...(typeof hint === "string" ? { hint } : {}),
    setupNeeded: fields.setup_needed === true,
  };
}

async function failure(response: Response): Promise<ApiError> {
  const body: unknown = await response.json().catch(() => null);
  const { message, hint, setupNeeded } = readErrorBody(body);
  const said = message ?? `the node answered ${response.status} ${response.statusText}`.trim();
  return new ApiError(said, response.status, hint ?? hintFor(response.status), setupNeeded);
}

async function call<T>(method: "GET" | "POST" | "DELETE", path: string, body?: unknown): Promise<T> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (method !== "GET") headers["X-Watchkeeper"] = "1";
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(path, {
      method,
      headers,
      credentials: "same-origin",
      cache: "no-store",
      signal: AbortSignal.timeout(CALL_TIMEOUT_MS),
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  } catch {
    throw new ApiError(
      "the node cannot be reached",
      0,
      "It is tried again by itself. On the node: watchkeeper doctor, or start it with: watchkeeper ship",
    );
  }
  if (!response.ok) throw await failure(response);
  const text = await response.text();
  return (text === "" ? null : JSON.parse(text)) as T;
}

const incidentPath = (id: string) => `/api/v1/incidents/${encodeURIComponent(id)}`;

export interface RangeQuery {
  query: string;
  /** UTC milliseconds. */
  start: number;
  end: number;
  stepSeconds: number;
}

/** The node's HTTP API, as far as the console uses it. */
export const api = {
  session: () => call<Session>("GET", "/api/v1/session"),
  setUp: (token: string, name: string, password: string) =>
    call<unknown>("POST", "/api/v1/setup", { token, name, password }),
  signIn: (name: string, password: string) => call<unknown>("POST", "/api/v1/session", { name, password }),
  signOut: () => call<unknown>("DELETE", "/api/v1/session"),
  status: () => call<Status>("GET", "/api/v1/status"),
  incidents: async (states: IncidentState[], limit: number) => {
    const query = new URLSearchParams({ state: states.join(","), limit: String(limit) });
    return (await call<{ incidents: Incident[] }>("GET", `/api/v1/incidents?${query}`)).incidents;
  },
  incident: (id: string) => call<IncidentDetail>("GET", incidentPath(id)),
  acknowledge: (id: string) => call<{ command: string }>("POST", `${incidentPath(id)}/acknowledge`),
  resolve: (id: string) => call<{ command: string }>("POST", `${incidentPath(id)}/resolve`),
  comment: (id: string, text: string) => call<{ command: string }>("POST", `${incidentPath(id)}/comment`, { text }),
  pipeline: () => call<Pipeline>("GET", "/api/v1/pipeline"),
  ask: (question: string) => call<Answer>("POST", "/api/v1/ask", { question }),
  queryRange: async ({ query, start, end, stepSeconds }: RangeQuery) => {
    const form = new URLSearchParams({
      query,
      start: String(start / 1_000),
      end: String(end / 1_000),
      step: String(stepSeconds),
    });
    type Matrix = { data?: { resultType: string; result: MatrixSeries[] } };
    const answer = await call<Matrix>("GET", `/api/v1/query_range?${form}`);
    return answer.data?.resultType === "matrix" ? answer.data.result : [];
  },
};

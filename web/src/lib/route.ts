/** Which page an address stands for. */
export type Route =
  | { page: "watch" }
  | { page: "incident"; id: string }
  | { page: "pipeline" }
  | { page: "login"; next: string }
  | { page: "setup" }
  | { page: "lost"; path: string };

/** Reads the page out of a path and its query. */
export function parseRoute(path: string, search = ""): Route {
  const parts = path.split("/").filter((part) => part !== "");
  const [first, second] = parts;
  if (first === undefined) return { page: "watch" };
  if (first === "incidents" && second !== undefined && parts.length === 2) {
    return { page: "incident", id: decode(second) };
  }
  if (parts.length === 1) {
    if (first === "pipeline") return { page: "pipeline" };
    if (first === "setup") return { page: "setup" };
    if (first === "login") return { page: "login", next: safeNext(new URLSearchParams(search).get("next")) };
  }
  return { page: "lost", path };
}

/** Where to go after signing in: only a path of this console, never another site and never the login itself. */
export function safeNext(next: string | null): string {
  if (next === null || !/^\/(?![/\\])/.test(next)) return "/";
  return /^\/(login|setup|api)(\/|\?|#|$)/.test(next) ? "/" : next;
}

/** The address of the login that leads back to `path`. */
export function loginPath(path: string): string {
  const next = safeNext(path);
  return next === "/" ? "/login" : `/login?next=${encodeURIComponent(next)}`;
}

export const incidentPath = (id: string) => `/incidents/${encodeURIComponent(id)}`;

function decode(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

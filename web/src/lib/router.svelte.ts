import { parseRoute, type Route } from "./route";

/** The page shown, kept in step with the address and the browser's history. */
class Router {
  route = $state.raw<Route>(parseRoute(location.pathname, location.search));

  constructor() {
    addEventListener("popstate", () => this.#read());
    document.addEventListener("click", (event) => this.#follow(event));
  }

  go(path: string, replace = false): void {
    if (path === location.pathname + location.search) return;
    if (replace) history.replaceState(null, "", path);
    else history.pushState(null, "", path);
    this.#read();
    scrollTo(0, 0);
    // Those who hear the page or walk it by keyboard go on at the new content.
    document.getElementById("main")?.focus({ preventScroll: true });
  }

  #read(): void {
    this.route = parseRoute(location.pathname, location.search);
  }

  /** Plain clicks on links of this console change the page without loading it anew. */
  #follow(event: MouseEvent): void {
    if (event.defaultPrevented || event.button !== 0) return;
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.altKey) return;
    const link = (event.target as Element | null)?.closest?.("a");
    if (!link || link.target !== "" || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname.startsWith("/api/") || link.hash !== "") return;
    event.preventDefault();
    this.go(link.pathname + link.search);
  }
}

export const router = new Router();

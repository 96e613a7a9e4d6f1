import { asApiError, type ApiError } from "./api";
import { clock } from "./clock.svelte";
import { live, type LiveKind } from "./live.svelte";
import { session } from "./session.svelte";

/** Events that come within this time lead to one call. */
const SETTLE_MS = 300;

export interface ResourceOptions {
  /** Fetched anew on these events; always on `resync`. */
  on: LiveKind[];
  /** Fetched anew at least this often while the page is visible. */
  everyMs: number;
}

/** One answer of the node, fetched, kept and renewed; what was last known stays while a new call fails. */
export class Resource<T> {
  data = $state.raw<T | null>(null);
  error = $state.raw<ApiError | null>(null);
  /** When `data` was fetched, in the node's time. */
  at = $state<number | null>(null);

  #load: () => Promise<T>;
  #options: ResourceOptions;
  #running = false;
  #again = false;
  #settle: ReturnType<typeof setTimeout> | undefined;
  #stopped = true;

  constructor(load: () => Promise<T>, options: ResourceOptions) {
    this.#load = load;
    this.#options = options;
  }

  /** Fetches now and keeps fetching; returns how to stop. Made to be what an `$effect` returns. */
  start(): () => void {
    this.#stopped = false;
    void this.refresh();
    const stopListening = live.listen((kind) => {
      if (kind === "resync" || this.#options.on.includes(kind)) this.#soon();
    });
    const timer = setInterval(() => {
      if (document.visibilityState === "visible") void this.refresh();
    }, this.#options.everyMs);
    const seen = () => {
      if (document.visibilityState === "visible") void this.refresh();
    };
    document.addEventListener("visibilitychange", seen);
    return () => {
      this.#stopped = true;
      stopListening();
      clearInterval(timer);
      clearTimeout(this.#settle);
      document.removeEventListener("visibilitychange", seen);
    };
  }

  /** Fetches once; a call while one is under way leads to one more after it. */
  async refresh(): Promise<void> {
    if (this.#running) {
      this.#again = true;
      return;
    }
    this.#running = true;
    try {
      const data = await this.#load();
      live.heard();
      if (!this.#stopped) {
        this.data = data;
        this.at = clock.now;
        this.error = null;
      }
    } catch (thrown) {
      this.#failed(asApiError(thrown));
    } finally {
      this.#running = false;
    }
    if (this.#again && !this.#stopped) {
      this.#again = false;
      await this.refresh();
    }
  }

  #failed(error: ApiError): void {
    if (this.#stopped) return;
    if (error.status === 401) session.expired(error.setupNeeded);
    else if (error.unreachable) live.unreachable();
    this.error = error;
  }

  #soon(): void {
    if (this.#settle !== undefined) return;
    this.#settle = setTimeout(() => {
      this.#settle = undefined;
      void this.refresh();
    }, SETTLE_MS);
  }
}

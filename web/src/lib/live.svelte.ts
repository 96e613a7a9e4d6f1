import { clock } from "./clock.svelte";

export type LiveKind = "incident" | "journal" | "status" | "resync";

const KINDS = ["incident", "journal", "status"] as const;
const RETRY_MS_FIRST = 1_000;
const RETRY_MS_MAX = 20_000;

/** The stream of server-sent events, and what is known about the connection to the node. */
class Live {
  /** The event stream is open. */
  streaming = $state(false);
  /** The last call or the stream got through. */
  reachable = $state(true);
  /** When the node was last heard from, in the node's time. */
  heardAt = $state<number | null>(null);
  /** Since when the stream is down; `null` while it is open or was never wanted. */
  downSince = $state<number | null>(null);

  #source: EventSource | null = null;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #retryMs = RETRY_MS_FIRST;
  #listeners = new Set<(kind: LiveKind) => void>();

  constructor() {
    addEventListener("online", () => this.#reopen());
    addEventListener("offline", () => this.unreachable());
  }

  /** Calls `listener` on each event; returns how to stop. */
  listen(listener: (kind: LiveKind) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  open(): void {
    if (this.#source !== null) return;
    clearTimeout(this.#retry);
    const source = new EventSource("/api/v1/events");
    this.#source = source;
    source.onopen = () => {
      this.streaming = true;
      this.downSince = null;
      this.#retryMs = RETRY_MS_FIRST;
      this.heard();
      // Whatever happened while the stream was down is fetched now.
      this.#tell("resync");
    };
    source.onerror = () => {
      this.#down();
      // A refused stream stays closed by the standard; a broken one is reopened here too, so that the pace is ours.
      source.close();
      this.#source = null;
      this.#retry = setTimeout(() => this.open(), this.#retryMs);
      this.#retryMs = Math.min(RETRY_MS_MAX, this.#retryMs * 2);
    };
    for (const kind of KINDS) {
      source.addEventListener(kind, () => {
        this.heard();
        this.#tell(kind);
      });
    }
  }

  close(): void {
    clearTimeout(this.#retry);
    this.#source?.close();
    this.#source = null;
    this.streaming = false;
    this.downSince = null;
  }

  /** Something came from the node. */
  heard(): void {
    this.reachable = true;
    this.heardAt = clock.now;
  }

  /** A call did not get through. */
  unreachable(): void {
    this.reachable = false;
  }

  #reopen(): void {
    if (this.downSince === null || this.#source !== null) return;
    this.#retryMs = RETRY_MS_FIRST;
    this.open();
  }

  #down(): void {
    this.streaming = false;
    this.downSince ??= this.heardAt ?? clock.now;
  }

  #tell(kind: LiveKind): void {
    for (const listener of this.#listeners) listener(kind);
  }
}

export const live = new Live();

import { asApiError, type ApiError } from "./api";

/** After this long without the engine's answer a person is told that it takes longer than it should. */
const SLOW_MS = 10_000;
/** When to look for the engine's answer, in case its event does not come through. */
const LOOK_MS = [400, 1_500, 4_000];

/**
 * One thing a person asked for. The node answers once the command is on disk; it is done when the engine has
 * carried it out, which shows in what is fetched afterwards.
 */
export class Command {
  stage = $state<"idle" | "sending" | "waiting" | "slow">("idle");
  error = $state.raw<ApiError | null>(null);
  #timers: ReturnType<typeof setTimeout>[] = [];

  get busy(): boolean {
    return this.stage === "sending" || this.stage === "waiting";
  }

  /** Sends; answers whether the node took it. `look` fetches what will show the outcome. */
  async send(call: () => Promise<unknown>, look: () => Promise<void>): Promise<boolean> {
    if (this.busy) return false;
    this.#clear();
    this.stage = "sending";
    this.error = null;
    try {
      await call();
    } catch (thrown) {
      this.stage = "idle";
      this.error = asApiError(thrown);
      return false;
    }
    this.stage = "waiting";
    for (const delay of LOOK_MS) this.#timers.push(setTimeout(() => void look(), delay));
    this.#timers.push(setTimeout(() => (this.stage = "slow"), SLOW_MS));
    return true;
  }

  /** The outcome shows. */
  done(): void {
    this.#clear();
    this.stage = "idle";
  }

  #clear(): void {
    for (const timer of this.#timers) clearTimeout(timer);
    this.#timers = [];
  }
}

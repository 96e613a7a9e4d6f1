const TICK_MS = 1_000;

/** The node's time as far as the console knows it; ages stay right where this device's own clock is wrong. */
class Clock {
  now = $state(Date.now());
  #offset = 0;

  constructor() {
    setInterval(() => this.#tick(), TICK_MS);
  }

  /** Takes over the node's time from an answer. */
  follow(nodeNow: number): void {
    const offset = nodeNow - Date.now();
    // The round trip makes every reading late by a little; only a real difference moves the clock.
    if (Math.abs(offset - this.#offset) > 2_000) this.#offset = offset;
    this.#tick();
  }

  #tick(): void {
    this.now = Date.now() + this.#offset;
  }
}

export const clock = new Clock();

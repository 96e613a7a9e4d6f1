import { keyReader, moveMark, type Action } from "./keys";
import { router } from "./router.svelte";
import { theme } from "./theme.svelte";

/** What `j` and `k` walk over, in the order of the page. */
const MARKABLE = "[data-mark]";

const typing = (target: EventTarget | null) =>
  target instanceof HTMLElement &&
  (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT)$/.test(target.tagName));

/** The keyboard for the whole console; a page adds what `a` does. */
class Keyboard {
  helpOpen = $state(false);
  /** What `a` acknowledges: set by the page shown. */
  onAcknowledge: ((incident: string | null) => void) | null = null;
  #read = keyReader();

  start(): () => void {
    const listener = (event: KeyboardEvent) => this.#press(event);
    addEventListener("keydown", listener);
    return () => removeEventListener("keydown", listener);
  }

  #press(event: KeyboardEvent): void {
    if (event.defaultPrevented) return;
    if (typing(event.target)) {
      if (event.key === "Escape") (event.target as HTMLElement).blur();
      return;
    }
    const action = this.#read(event, performance.now());
    if (action === null) return;
    if (this.helpOpen && action !== "help" && action !== "back") return;
    event.preventDefault();
    this.#act(action);
  }

  #act(action: Action): void {
    switch (action) {
      case "next":
        return this.#mark(1);
      case "previous":
        return this.#mark(-1);
      case "acknowledge":
        return this.onAcknowledge?.(this.#marked()?.dataset.incident ?? null);
      case "help":
        this.helpOpen = !this.helpOpen;
        return;
      case "back":
        if (this.helpOpen) this.helpOpen = false;
        else if (router.route.page === "incident") router.go("/");
        return;
      case "theme":
        return theme.cycle();
      case "watch":
        return router.go("/");
      case "pipeline":
        return router.go("/pipeline");
      case "ask":
        return this.#ask();
    }
  }

  #ask(): void {
    const focus = () => document.getElementById("ask")?.focus();
    if (router.route.page === "watch") return focus();
    router.go("/");
    requestAnimationFrame(() => requestAnimationFrame(focus));
  }

  #marked(): HTMLElement | null {
    return document.activeElement?.closest<HTMLElement>(MARKABLE) ?? null;
  }

  #mark(step: 1 | -1): void {
    const all = [...document.querySelectorAll<HTMLElement>(MARKABLE)];
    const current = all.indexOf(this.#marked() as HTMLElement);
    const target = all[moveMark(current, all.length, step)];
    target?.focus();
    target?.scrollIntoView({ block: "nearest" });
  }
}

export const keyboard = new Keyboard();

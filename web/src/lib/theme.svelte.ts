export type Theme = "auto" | "day" | "night";

const KEY = "watchkeeper.theme";
const ORDER: Theme[] = ["auto", "day", "night"];

function stored(): Theme {
  try {
    const value = localStorage.getItem(KEY);
    return value === "day" || value === "night" ? value : "auto";
  } catch {
    return "auto";
  }
}

/** Day or night, by the system's setting until a person chooses; `public/theme.js` does the same before first paint. */
class ThemeChoice {
  chosen = $state<Theme>(stored());
  #system = matchMedia("(prefers-color-scheme: dark)");
  #systemDark = $state(this.#system.matches);

  constructor() {
    this.#system.addEventListener("change", (event) => {
      this.#systemDark = event.matches;
      this.#apply();
    });
  }

  /** What is on the screen now. */
  get shown(): "day" | "night" {
    if (this.chosen !== "auto") return this.chosen;
    return this.#systemDark ? "night" : "day";
  }

  choose(theme: Theme): void {
    this.chosen = theme;
    this.#apply();
    try {
      if (theme === "auto") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, theme);
    } catch {
      // Storage is refused: the choice holds until the page is loaded anew.
    }
  }

  cycle(): void {
    this.choose(ORDER[(ORDER.indexOf(this.chosen) + 1) % ORDER.length] ?? "auto");
  }

  #apply(): void {
    document.documentElement.dataset.theme = this.shown;
  }
}

export const theme = new ThemeChoice();

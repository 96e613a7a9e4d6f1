// Runs before the first paint, so that a bridge at night never sees a white flash.
(function () {
  let chosen = null;
  try {
    chosen = localStorage.getItem("watchkeeper.theme");
  } catch {
    // Storage is refused: the theme follows the system's setting.
  }
  const dark = matchMedia("(prefers-color-scheme: dark)").matches;
  const theme = chosen === "day" || chosen === "night" ? chosen : dark ? "night" : "day";
  document.documentElement.dataset.theme = theme;
})();

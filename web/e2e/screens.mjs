/**
 * Walks through the console of a real node as a person would: set-up, sign-in, the three pages, the keyboard, both
 * themes and both widths. Fails on any error in the browser's console, on a request that leaves the node, and on a page
 * that is wider than its screen. Leaves a screenshot of each page.
 *
 *   node e2e/screens.mjs --url http://127.0.0.1:8484 --token-file DATA/setup-token --out DIR
 *     [--incident-wait SECONDS]  wait for an incident, and fail where none comes; without it, none is fine
 *     [--acknowledge]            also acknowledge that incident and add a remark
 *     [--name NAME --password PASSWORD]  the account to make; both are chosen where they are not given
 *     [--chromium PATH]          which browser, /usr/bin/chromium by default
 */
import { randomBytes } from "node:crypto";
import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parseArgs } from "node:util";

import { chromium } from "playwright-core";

const { values: options } = parseArgs({
  options: {
    url: { type: "string", default: "http://127.0.0.1:8484" },
    "token-file": { type: "string" },
    out: { type: "string" },
    name: { type: "string", default: "watch officer" },
    password: { type: "string", default: randomBytes(12).toString("base64url") },
    chromium: { type: "string", default: "/usr/bin/chromium" },
    "incident-wait": { type: "string" },
    acknowledge: { type: "boolean", default: false },
  },
});
if (options["token-file"] === undefined || options.out === undefined) {
  console.error("usage: node e2e/screens.mjs --url URL --token-file FILE --out FOLDER [--incident-wait SECONDS]");
  process.exit(2);
}

const BASE = options.url.replace(/\/$/, "");
const OUT = options.out;
const NAME = options.name;
const PASSWORD = options.password;
const SIZES = [
  { name: "wide", width: 1920, height: 1080 },
  { name: "phone", width: 360, height: 800 },
];
const STEP_MS = 15_000;
/** The host's gauges need two samples, which come 15 s apart. */
const GAUGE_MS = 75_000;
/** What the first page may weigh, as it comes over the line. */
const FIRST_LOAD_BYTES_MAX = 200_000;
/** The browser itself reports these answers as errors; the walk provokes each of them on purpose. */
const EXPECTED = [
  { path: /^\/api\/v1\/session$/, status: 401 },
  { path: /^\/api\/v1\/incidents\/inc-none$/, status: 404 },
];

/** @type {string[]} */
const problems = [];
let passed = 0;

/**
 * @param {string} what
 * @param {() => unknown | Promise<unknown>} check
 */
async function step(what, check) {
  try {
    if ((await check()) === false) throw new Error("it does not hold");
    passed += 1;
    console.log(`ok      ${what}`);
  } catch (error) {
    const text = error instanceof Error ? error.message.split("\n").slice(0, 3).join(" ") : String(error);
    problems.push(`${what}: ${text}`);
    console.log(`FAILED  ${what}: ${text}`);
  }
}

/**
 * @param {string} message
 * @param {string} url
 */
function isExpected(message, url) {
  const status = Number(/status of (\d+)/.exec(message)?.[1]);
  return url !== "" && EXPECTED.some((one) => one.status === status && one.path.test(new URL(url).pathname));
}

/** @param {import("playwright-core").Page} page */
function guard(page) {
  page.on("console", (message) => {
    if (message.type() !== "error" || isExpected(message.text(), message.location().url)) return;
    problems.push(`the browser's console says: ${message.text()} (${message.location().url})`);
  });
  page.on("pageerror", (error) => problems.push(`a script failed: ${error.message}`));
  page.on("request", (request) => {
    if (!request.url().startsWith(`${BASE}/`)) problems.push(`a request leaves the node: ${request.url()}`);
  });
}

/**
 * @param {import("playwright-core").Page} page
 * @param {string} name
 */
async function shoot(page, name) {
  await page.screenshot({ path: join(OUT, `${name}.png`), animations: "disabled" });
}

/**
 * @param {import("playwright-core").Page} page
 * @param {string} text
 */
const see = (page, text) => page.getByText(text).first().waitFor({ timeout: STEP_MS });

/** @param {import("playwright-core").Page} page */
async function setUp(page) {
  const token = readFileSync(/** @type {string} */ (options["token-file"]), "utf8").trim();
  const client = await page.context().newCDPSession(page);
  let loaded = 0;
  await client.send("Network.enable");
  client.on("Network.loadingFinished", ({ encodedDataLength }) => (loaded += encodedDataLength));
  const response = await page.goto(`${BASE}/`);

  await step("the policy allows nothing inline and nothing from elsewhere", () => {
    const policy = response?.headers()["content-security-policy"] ?? "";
    return policy.includes("default-src 'self'") && !/script-src[^;]*unsafe/.test(policy);
  });
  await step("a fresh node asks to be set up", () => page.waitForURL(`${BASE}/setup`, { timeout: STEP_MS }));
  await step(`the first load is at most ${FIRST_LOAD_BYTES_MAX / 1_000} kB`, async () => {
    await page.waitForLoadState("networkidle");
    console.log(`        ${loaded} bytes`);
    return loaded > 0 && loaded <= FIRST_LOAD_BYTES_MAX;
  });
  await shoot(page, "setup");
  await step("the set-up token makes the first account and signs it in", async () => {
    await page.fill("[name=token]", token);
    await page.fill("[name=name]", NAME);
    await page.fill("[name=password]", PASSWORD);
    await page.fill("[name=again]", PASSWORD);
    await page.click("button[type=submit]");
    await page.locator("#state-word").waitFor({ timeout: STEP_MS });
  });
}

/** @param {import("playwright-core").Page} page */
async function signIn(page) {
  await step("signing out leads to the login", async () => {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.waitForURL(/\/login/, { timeout: STEP_MS });
  });
  await shoot(page, "login");
  await step("a wrong password is refused with what to do", async () => {
    await page.fill("[name=name]", NAME);
    await page.fill("[name=password]", `${PASSWORD} but wrong`);
    await page.click("button[type=submit]");
    await page.getByRole("alert").waitFor({ timeout: STEP_MS });
  });
  await step("the right password leads to Watch", async () => {
    await page.fill("[name=password]", PASSWORD);
    await page.click("button[type=submit]");
    await page.locator("#state-word").waitFor({ timeout: STEP_MS });
  });
}

/** @param {import("playwright-core").Page} page */
async function watch(page) {
  await page.goto(`${BASE}/`);
  await step("Watch names the ship's state in a word", async () => {
    const word = await page.locator("#state-word").textContent({ timeout: STEP_MS });
    return ["All well", "Attention", "Trouble", "Not known"].includes(word ?? "");
  });
  for (const text of ["Open incidents", "Recently resolved", "This machine", "Ask the ship", "Sources", "Mail"]) {
    await step(`Watch shows "${text}"`, () => see(page, text));
  }
  await step("Watch is live", () => page.locator(".link:not(.lost)").waitFor({ timeout: STEP_MS }));
  for (const gauge of ["Processor", "Memory", "Disk /"]) {
    await step(`the gauge "${gauge}" shows this machine's value`, () =>
      page.locator(`[role=meter][aria-label^="${gauge}"][aria-valuetext$="%"]`).first().waitFor({ timeout: GAUGE_MS }));
  }
  await step("a question is answered with the query that was run", async () => {
    await page.keyboard.press("/");
    await page.keyboard.type("How full are the disks?");
    await page.keyboard.press("Enter");
    await page.locator(".answer.answered .text").waitFor({ timeout: STEP_MS });
    await page.locator(".answer code").first().waitFor({ timeout: STEP_MS });
  });
  await shoot(page, "watch-ask");
  await step("the key ? shows the keys and Esc closes them", async () => {
    await page.keyboard.press("Escape");
    await page.keyboard.press("?");
    await page.getByRole("dialog").waitFor({ timeout: STEP_MS });
    await page.keyboard.press("Escape");
    await page.getByRole("dialog").waitFor({ state: "hidden", timeout: STEP_MS });
  });
}

/**
 * Answers the path of the incident page to show: a real incident where there is one.
 * @param {import("playwright-core").Page} page
 */
async function findIncident(page) {
  const wanted = options["incident-wait"];
  await page.goto(`${BASE}/`);
  await page.locator("#state-word").waitFor({ timeout: STEP_MS });
  const row = page.locator("a[data-incident]").first();
  const waitMs = wanted === undefined ? 2_000 : Number(wanted) * 1_000;
  const found = await row.waitFor({ timeout: waitMs }).then(() => true, () => false);
  if (wanted !== undefined) await step(`an incident shows within ${wanted} s`, () => found);
  return found ? ((await row.getAttribute("href")) ?? null) : null;
}

/** @param {import("playwright-core").Page} page */
async function incident(page) {
  const path = await findIncident(page);
  if (path === null) {
    console.log("skipped the incident page's content: the node has no incident (give --incident-wait to insist)");
    await page.goto(`${BASE}/incidents/inc-none`);
    await step("an incident that is not there says so", () => see(page, "This ship has no such incident"));
    return "/incidents/inc-none";
  }
  await step("the key j marks an incident and Enter opens it", async () => {
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForURL(/\/incidents\//, { timeout: STEP_MS });
  });
  await page.goto(`${BASE}${path}`);
  await step("the incident has a headline", () => page.locator("header h1").waitFor({ timeout: STEP_MS }));
  for (const text of ["Timeline", "Who was told", "Since", "Why it is here"]) {
    await step(`the incident shows "${text}"`, () => see(page, text));
  }
  await step("its first signal has a chart", () => page.locator("figure canvas").first().waitFor({ timeout: STEP_MS }));
  await step("its timeline has entries", () => page.locator("ol li time").first().waitFor({ timeout: STEP_MS }));
  if (options.acknowledge) await act(page);
  return path;
}

/** @param {import("playwright-core").Page} page */
async function act(page) {
  const button = page.getByRole("button", { name: "Acknowledge" });
  if ((await button.count()) > 0) {
    await step("the key a acknowledges, and the page shows who took it", async () => {
      await page.keyboard.press("a");
      await see(page, "Taken by");
      await see(page, NAME);
    });
  }
  await step("a remark appears in the timeline", async () => {
    await page.fill("#remark", "seen on the round, looking into it");
    await page.getByRole("button", { name: "Add remark" }).click();
    await page.locator("ol li").getByText("seen on the round").waitFor({ timeout: STEP_MS });
  });
}

/** @param {import("playwright-core").Page} page */
async function pipeline(page) {
  await page.goto(`${BASE}/`);
  await step("the keys g p lead to Pipeline", async () => {
    await page.locator("#state-word").waitFor({ timeout: STEP_MS });
    await page.keyboard.press("g");
    await page.keyboard.press("p");
    await page.waitForURL(`${BASE}/pipeline`, { timeout: STEP_MS });
  });
  for (const text of ["Intake log", "Metrics", "Journal", "What did not get through", "Readers of the intake log"]) {
    await step(`Pipeline shows "${text}"`, () => see(page, text));
  }
  await step("Pipeline counts what the host source received", async () => {
    const row = page.locator("tbody tr").filter({ has: page.locator("th", { hasText: /^host$/ }) }).first();
    await row.waitFor({ timeout: STEP_MS });
    return Number((await row.locator("td").first().textContent())?.replaceAll(/\D/g, "")) > 0;
  });
}

/**
 * @param {import("playwright-core").Browser} browser
 * @param {import("playwright-core").BrowserContext} signedIn
 * @param {string} incidentPath
 */
async function gallery(browser, signedIn, incidentPath) {
  const storageState = await signedIn.storageState();
  const pages = { watch: "/", incident: incidentPath, pipeline: "/pipeline" };
  for (const theme of /** @type {const} */ (["day", "night"])) {
    for (const { name, width, height } of SIZES) {
      const colorScheme = theme === "night" ? "dark" : "light";
      const context = await browser.newContext({
        storageState,
        colorScheme,
        viewport: { width, height },
        ignoreHTTPSErrors: true,
      });
      const page = await context.newPage();
      guard(page);
      for (const [kind, path] of Object.entries(pages)) {
        await step(`${kind}, ${theme}, ${name}: fits its screen`, async () => {
          await page.goto(`${BASE}${path}`);
          await page.locator("main h1, main [role=alert]").first().waitFor({ timeout: STEP_MS });
          // Charts, the second reading of the rates, and the font settle in this time.
          await page.waitForTimeout(2_500);
          await shoot(page, `${kind}-${theme}-${name}`);
          return page.evaluate(() => document.documentElement.scrollWidth <= innerWidth);
        });
      }
      await context.close();
    }
  }
}

mkdirSync(OUT, { recursive: true });
const profile = ["--disable-gpu", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
const browser = await chromium.launch({
  executablePath: options.chromium,
  args: ["--no-sandbox", "--no-first-run", ...profile],
});
try {
  const context = await browser.newContext({ viewport: { width: 1440, height: 900 }, ignoreHTTPSErrors: true });
  const page = await context.newPage();
  guard(page);
  await setUp(page);
  await signIn(page);
  await watch(page);
  const incidentPath = await incident(page);
  await pipeline(page);
  await gallery(browser, context, incidentPath);
} catch (error) {
  problems.push(`the walk stopped: ${error instanceof Error ? error.message : String(error)}`);
} finally {
  await browser.close();
}
for (const problem of problems) console.error(`problem: ${problem}`);
console.log(`${passed} passed, ${problems.length} failed`);
process.exitCode = problems.length === 0 ? 0 : 1;

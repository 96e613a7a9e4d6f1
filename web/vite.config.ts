import { readFileSync } from "node:fs";

import { svelte } from "@sveltejs/vite-plugin-svelte";
import type { Plugin } from "vite";
import { defineConfig } from "vitest/config";

/** Where `npx vite` sends API calls while developing: a node that runs on this machine. */
const NODE_ADDRESS = process.env.WATCHKEEPER_URL ?? "http://127.0.0.1:8484";

/** What ends up in the console's files besides our own code, and where its licence stands. */
const LICENCES = {
  "Atkinson Hyperlegible Next": "@fontsource-variable/atkinson-hyperlegible-next/LICENSE",
  Svelte: "svelte/LICENSE.md",
  clsx: "clsx/license",
  uPlot: "uplot/LICENSE",
};

/** Writes the licences of everything that is shipped beside the console. */
const licences: Plugin = {
  name: "licences",
  apply: "build",
  generateBundle() {
    const texts = Object.entries(LICENCES).map(
      ([name, path]) => `${name}\n\n${readFileSync(new URL(`node_modules/${path}`, import.meta.url), "utf8").trim()}\n`,
    );
    this.emitFile({ type: "asset", fileName: "licences.txt", source: texts.join(`\n${"=".repeat(80)}\n\n`) });
  },
};

export default defineConfig({
  plugins: [svelte(), licences],
  build: {
    target: "es2022",
    // Everything stays a file of its own: the content security policy allows no `data:` address.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    chunkSizeWarningLimit: 200,
  },
  server: {
    host: "127.0.0.1",
    proxy: { "/api": NODE_ADDRESS },
  },
  test: {
    include: ["src/**/*.test.ts"],
    environment: "node",
  },
});

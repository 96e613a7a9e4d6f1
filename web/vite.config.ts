import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";

/** Where `npx vite` sends API calls while developing: a node that runs on this machine. */
const NODE_ADDRESS = process.env.WATCHKEEPER_URL ?? "http://127.0.0.1:8484";

export default defineConfig({
  plugins: [svelte()],
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

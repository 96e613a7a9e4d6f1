import { api } from "./api";
import { clock } from "./clock.svelte";
import { Resource } from "./resource.svelte";

/** The status is fetched at least this often: the host's gauges move even where no event comes. */
const STATUS_MS = 15_000;

/** The ship's state at a glance, shared by every page. */
export const shipStatus = new Resource(
  async () => {
    const status = await api.status();
    clock.follow(status.now);
    return status;
  },
  { on: ["status", "incident"], everyMs: STATUS_MS },
);

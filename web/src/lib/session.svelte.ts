import { api, asApiError, type ApiError } from "./api";
import { live } from "./live.svelte";
import { loginPath, safeNext } from "./route";
import { router } from "./router.svelte";
import type { Session } from "./types";

type Phase = "starting" | "in" | "out" | "unreachable";

/** Who is signed in, and where a person belongs who is not. */
class SessionStore {
  phase = $state<Phase>("starting");
  who = $state.raw<Session | null>(null);
  error = $state.raw<ApiError | null>(null);

  /** Asks the node who is signed in, and leads to login or set-up where nobody is. */
  async start(): Promise<void> {
    try {
      this.who = await api.session();
      this.phase = "in";
      this.error = null;
      live.heard();
      live.open();
      const { route } = router;
      if (route.page === "login") router.go(route.next, true);
      if (route.page === "setup") router.go("/", true);
    } catch (thrown) {
      const error = asApiError(thrown);
      if (error.status === 401) {
        this.expired(error.setupNeeded);
        return;
      }
      this.error = error;
      this.phase = "unreachable";
    }
  }

  /** The node no longer knows this session. */
  expired(setupNeeded: boolean): void {
    live.close();
    this.who = null;
    this.error = null;
    this.phase = "out";
    if (setupNeeded) router.go("/setup", true);
    else if (router.route.page !== "login") router.go(loginPath(safeNext(location.pathname)), true);
  }

  async signIn(name: string, password: string): Promise<void> {
    await api.signIn(name, password);
    await this.start();
  }

  async signOut(): Promise<void> {
    await api.signOut().catch(() => null);
    this.expired(false);
  }

  /** Viewers read; everybody above may take, close and remark. */
  get mayAct(): boolean {
    return this.who !== null && this.who.role !== "viewer";
  }
}

export const session = new SessionStore();

/** What main.ts does by the name of "weft-ask-store", for tests, which are no executable of ours. */
import { join } from "node:path";
import { childCommand } from "../store/ask.ts";
import { runAskStore } from "../store/child.ts";

/** From here on askStore() runs this file. */
export function useTestChild(): void {
  childCommand.splice(0, childCommand.length, process.execPath, join(import.meta.dir, "ask-store.ts"));
}

if (import.meta.main) await runAskStore();

/**
 * A process that asks the store one question and ends: a plugin runs this executable by the name of
 * "weft-ask-store" where no agent serves the store. JSON comes in, a request with its settings, and goes out.
 */
import { exitWith, print, readStdin } from "../cni/stdio.ts";
import { EtcdClient } from "../etcd/client.ts";
import type { EtcdSettings } from "../etcd/settings.ts";
import { uptimeMs } from "../sys/clock.ts";
import { dieWithParent } from "../sys/libc.ts";
import { answerLine } from "./answer.ts";
import type { StoreRequest } from "./protocol.ts";

export interface ChildRequest {
  readonly settings: EtcdSettings;
  readonly request: StoreRequest;
  /** Who asks: nobody is to claim anything for a plugin that was killed. */
  readonly parent: number;
}

export async function runAskStore(): Promise<never> {
  try {
    // askStore() wrote it.
    const { settings, request, parent } = JSON.parse(readStdin({ optional: false })) as ChildRequest;
    dieWithParent();
    if (process.ppid !== parent) process.exit(1); // it is gone, and nobody is left to tell
    const deadline = performance.now() + (request.untilMs ?? 0) - uptimeMs();
    using client = new EtcdClient(settings, request.untilMs === undefined ? {} : { deadline });
    print(1, await answerLine(JSON.stringify(request), { client, settings }));
  } catch (error) {
    exitWith(error, "1.1.0");
  }
  process.exit(0);
}

import { expect, test } from "bun:test";
import { join } from "node:path";
import { uptimeMs } from "../sys/clock.ts";
import type { ChildRequest } from "./child.ts";
import { CHILD_NAME } from "./protocol.ts";

const CHILD = [process.execPath, join(import.meta.dir, "../testing/ask-store.ts")];

/** A store that takes connections and answers nothing. */
function silentStore() {
  const opened = Promise.withResolvers<void>();
  const closed = Promise.withResolvers<void>();
  const listener = Bun.listen({
    hostname: "127.0.0.1",
    port: 0,
    socket: { open: () => opened.resolve(), close: () => closed.resolve(), data() {} },
  });
  const settings = { endpoints: [`http://127.0.0.1:${listener.port}`], prefix: "/weft", host: "a" };
  return { opened: opened.promise, closed: closed.promise, settings, stop: () => listener.stop() };
}

function question(settings: ChildRequest["settings"], parent: number, timeoutMs: number): ChildRequest {
  const holder = { network: "net", containerId: "c1", ifname: "eth0", addresses: [] };
  const request = {
    operation: "readHolders",
    input: holder,
    store: settings,
    untilMs: uptimeMs() + timeoutMs,
  };
  return { settings, request, parent };
}

test("runAskStore() says in time that the store keeps silent", async () => {
  const store = silentStore();
  const start = performance.now();
  const stdin = new TextEncoder().encode(JSON.stringify(question(store.settings, process.pid, 700)));
  const child = Bun.spawn(CHILD, { argv0: CHILD_NAME, env: {}, stdin, stdout: "pipe" });
  expect(await child.stdout.json()).toMatchObject({ error: { code: 11, isAway: true } });
  expect(performance.now() - start).toBeLessThan(3_000);
  store.stop();
});

test("runAskStore() ends with the process that asked", async () => {
  const store = silentStore();
  const script = `
    const question = ${JSON.stringify(question(store.settings, 0, 60_000))};
    const stdin = new TextEncoder().encode(JSON.stringify({ ...question, parent: process.pid }));
    Bun.spawnSync(${JSON.stringify(CHILD)}, { argv0: "${CHILD_NAME}", env: {}, stdin });
  `;
  const parent = Bun.spawn([process.execPath, "-e", script], { stdout: "ignore", stderr: "inherit" });
  await store.opened;
  parent.kill("SIGKILL");
  await store.closed;
  store.stop();
});

test("runAskStore() asks nothing for a process that is gone", async () => {
  const store = silentStore();
  const stdin = new TextEncoder().encode(JSON.stringify(question(store.settings, 1, 5_000)));
  const child = Bun.spawn(CHILD, { argv0: CHILD_NAME, env: {}, stdin, stdout: "pipe", stderr: "pipe" });
  expect(await child.exited).toBe(1);
  expect((await child.stdout.text()) + (await child.stderr.text())).toBe("");
  store.stop();
});

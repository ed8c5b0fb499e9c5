import { afterAll, afterEach, beforeEach, describe, expect } from "bun:test";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { CniError } from "../cni/error.ts";
import { useTestChild } from "../testing/ask-store.ts";
import { etcdTest, noEtcdReason, TestEtcd } from "../testing/etcd.ts";
import { noOwnRunReason } from "../testing/own-run.ts";
import { askAgent, askStore, childCommand, STORE_TIMEOUT_MS } from "./ask.ts";
import { AGENT_SOCKET, isStoreAway, outputOf } from "./protocol.ts";

const etcd = (noEtcdReason ?? noOwnRunReason) ? undefined : await TestEtcd.start();
const test = (name: string, body: () => void | Promise<void>) =>
  etcdTest(name, async () => body(), noOwnRunReason);

const agents: Bun.Subprocess[] = [];
/** Each test has a store of its own: how long one was waited for is remembered. */
let stores = 0;
beforeEach(() => {
  useTestChild();
  stores++;
});
afterEach(async () => {
  for (const agent of agents.splice(0)) {
    agent.kill("SIGKILL");
    await agent.exited;
  }
  if (!noOwnRunReason) rmSync(AGENT_SOCKET, { force: true });
});
afterAll(() => etcd?.[Symbol.asyncDispose]());

/** A process that listens as the agent does; `answer` is a piece of program with `line` and `server`. */
async function agent(settings: object, answer = "answerLine(line, server)"): Promise<Bun.Subprocess> {
  const modules = ["store/answer.ts", "etcd/client.ts"].map((path) => join(import.meta.dir, "..", path));
  const script = `
    import { answerLine } from ${JSON.stringify(modules[0])};
    import { EtcdClient } from ${JSON.stringify(modules[1])};
    const settings = ${JSON.stringify(settings)};
    const own = { status: async (input) => ({ asked: input }), fail: async () => { throw new Error("oh"); } };
    const done = async (operation) => { console.error("done " + operation); };
    const server = { settings, client: new EtcdClient(settings), own, done };
    Bun.listen({ unix: ${JSON.stringify(AGENT_SOCKET)}, socket: { async data(socket, data) {
      const line = data.toString();
      socket.end((await ${answer}) + "\\n");
    } } });
    console.log("ready");
  `;
  mkdirSync("/run/weft", { recursive: true });
  const child = Bun.spawn([process.execPath, "-e", script], { stdout: "pipe", stderr: "pipe" });
  agents.push(child);
  await child.stdout.getReader().read();
  return child;
}

const settings = () =>
  etcd?.settings({ prefix: `/ask${stores}`, host: "a" }) ?? { endpoints: [], prefix: "", host: "" };
const HOLDER = { network: "net", containerId: "c1", ifname: "eth0", addresses: [] };
const NOTHING = { held: [], holders: [] };

function refusal(act: () => unknown): CniError {
  try {
    act();
  } catch (error) {
    if (error instanceof CniError) return error;
    throw error;
  }
  throw new Error("not refused");
}

describe("askStore()", () => {
  test("askStore() without an agent has a child ask", () => {
    expect(askStore(settings(), "readHolders", HOLDER)).toEqual(NOTHING);
  });

  test("askStore() asks the agent where there is one, which says so when it is done", async () => {
    childCommand.splice(0, childCommand.length, "/bin/false");
    const child = await agent(settings());
    expect(askStore(settings(), "readHolders", HOLDER)).toEqual(NOTHING);
    expect(askStore(settings(), "readHolders", HOLDER, { needsAgent: true })).toEqual(NOTHING);
    child.kill();
    expect(await new Response(child.stderr as ReadableStream).text()).toBe(
      "done readHolders\ndone readHolders\n",
    );
  });

  test("askStore() has a child ask where the agent serves another store", async () => {
    await agent({ ...settings(), host: "b" });
    expect(askStore(settings(), "readHolders", HOLDER)).toEqual(NOTHING);
    const error = refusal(() => askStore(settings(), "readHolders", HOLDER, { needsAgent: true }));
    expect(error.code).toBe(7);
    expect(error.msg).toStartWith("weft agent serves another store: ");
  });

  test("askStore() has a child ask where the agent hangs or talks nonsense", async () => {
    const child = await agent(settings(), '"what?"');
    expect(askStore(settings(), "readHolders", HOLDER)).toEqual(NOTHING);
    child.kill("SIGSTOP");
    const start = performance.now();
    expect(askStore(settings(), "readHolders", HOLDER)).toEqual(NOTHING);
    expect(performance.now() - start).toBeLessThan(STORE_TIMEOUT_MS);
  });

  test("askStore() that needs the agent says at once that there is none", () => {
    const start = performance.now();
    const error = refusal(() => askStore(settings(), "readHolders", HOLDER, { needsAgent: true }));
    expect({ code: error.code, msg: error.msg, isAway: isStoreAway(error) }).toEqual({
      code: 11,
      msg: "weft agent does not answer on this host",
      isAway: true,
    });
    expect(performance.now() - start).toBeLessThan(500);
  });

  test("askStore() waits no longer than its bound for who hangs: child, agent, or both", async () => {
    childCommand.splice(0, childCommand.length, "/bin/sleep", "60");
    for (const options of [{}, {}, { needsAgent: true }]) {
      stores++;
      const start = performance.now();
      const error = refusal(() => askStore(settings(), "readHolders", HOLDER, options));
      expect({ code: error.code, isAway: isStoreAway(error) }).toEqual({ code: 11, isAway: true });
      expect(performance.now() - start).toBeLessThan(STORE_TIMEOUT_MS + 500);
      if (agents.length === 0) (await agent(settings())).kill("SIGSTOP");
    }
  });

  for (const needsAgent of [false, true]) {
    const by = needsAgent ? "by the agent" : "by a child";
    test(`askStore() waits no longer for an etcd that hangs, ${by}, and the next time not at all`, async () => {
      await agent(settings());
      const member = etcd?.members[0];
      await member?.pause();
      try {
        for (const boundMs of [STORE_TIMEOUT_MS + 500, 500]) {
          const start = performance.now();
          const ask = () => askStore(settings(), "readHolders", HOLDER, { needsAgent });
          expect(isStoreAway(refusal(ask))).toBe(true);
          expect(performance.now() - start).toBeLessThan(boundMs);
        }
      } finally {
        member?.resume();
      }
    });
  }

  test("askStore() says that a child ended without an answer", () => {
    childCommand.splice(0, childCommand.length, "/bin/false");
    const error = refusal(() => askStore(settings(), "readHolders", HOLDER));
    expect(error.msg).toBe('cannot ask the store: "weft-ask-store" ended with 1 and no answer');
    childCommand.splice(0, childCommand.length, "/nonexistent");
    expect(refusal(() => askStore(settings(), "readHolders", HOLDER)).code).toBe(5);
  });
});

describe("askAgent()", () => {
  const soon = () => performance.now() + 2_000;

  test("askAgent() asks what is the agent's own, of any store", async () => {
    await agent(settings());
    const answer = askAgent({ operation: "status", input: "x" }, soon());
    expect(answer).toEqual({ output: { asked: "x" } });
    const failed = askAgent({ operation: "fail", input: null }, soon());
    expect(refusal(() => outputOf(failed as { output: unknown }))).toMatchObject({ code: 999, msg: "oh" });
  });

  test("askAgent() for whom nobody waits any more does nothing", async () => {
    await agent(settings());
    const { endpoints, prefix, host } = settings();
    const request = {
      operation: "readHolders",
      input: HOLDER,
      store: { endpoints, prefix, host },
      untilMs: 1,
    };
    const answer = askAgent(request, soon());
    expect(isStoreAway(refusal(() => outputOf(answer as { output: unknown })))).toBe(true);
  });

  test("askAgent() learns that the agent is of another version", async () => {
    await agent(settings());
    const { endpoints, prefix, host } = settings();
    const request = { operation: "toString", input: HOLDER, store: { endpoints, prefix, host } };
    expect(askAgent(request, soon())).toMatchObject({
      error: { code: 999, msg: 'the store has no operation "toString"' },
    });
  });
});

/**
 * T15, a third party's IPAM plugin, a shell script here: bridge calls it by
 * CNI spec 1.1 §4, takes what it answers, and passes on what it refuses.
 * The script keeps what it was given and plays what the case left for it.
 */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { attach, bridgeNetwork } from "./fixtures/attachment.ts";
import { type Container, type Host, makeHost } from "./fixtures/host.ts";
import { normalise } from "./fixtures/normalise.ts";
import type { PluginCall } from "./fixtures/plugin-call.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { refused, unchanged } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";

const TIMEOUT_MS = 60_000;
t.setTimeout(5 * TIMEOUT_MS);
const FOLDER = "/run/acme";
const SCRIPT = `#!/bin/sh
call=$(ls ${FOLDER}/calls | wc -l)
mkdir ${FOLDER}/calls/$call
env > ${FOLDER}/calls/$call/env
cat > ${FOLDER}/calls/$call/stdin
echo "acme: $CNI_COMMAND" >&2
[ -e ${FOLDER}/$CNI_COMMAND ] && cat ${FOLDER}/$CNI_COMMAND
[ ! -e ${FOLDER}/$CNI_COMMAND.fails ]
`;
const RESULT = {
  cniVersion: "1.1.0",
  ips: [
    { address: "10.15.0.77/24", gateway: "10.15.0.1" },
    { address: "fd00:15::77/64", gateway: "fd00:15::1" },
  ],
  routes: [{ dst: "10.99.0.0/16" }],
  dns: { nameservers: ["10.15.0.9"] },
};
const NETWORK = bridgeNetwork("net", [], {
  ipam: { type: "acme-ipam", pool: "p1", Nested: { Deep: [1, null, "ü"] } },
  vendor: { kept: true },
});

interface AcmeCall {
  env: Record<string, string>;
  stdin: Record<string, unknown>;
}

class Acme {
  readonly host: Host;
  readonly path: string;

  constructor(host: Host) {
    this.host = host;
    // It is the first that is a file: folders that are missing, or hold one of that name, are passed by.
    this.path = [`${FOLDER}/missing`, `${FOLDER}/decoy`, `${FOLDER}/bin`, BUILT_PLUGINS].join(":");
    for (const folder of ["calls", "bin", "decoy/acme-ipam"]) {
      mkdirSync(host.view(join(FOLDER, folder)), { recursive: true });
    }
    writeFileSync(host.view(`${FOLDER}/bin/acme-ipam`), SCRIPT, { mode: 0o755 });
    this.answer("ADD", RESULT);
  }

  answer(command: string, document: object | string): void {
    const text = typeof document === "string" ? document : JSON.stringify(document);
    writeFileSync(this.host.view(join(FOLDER, command)), text);
  }

  fail(command: string, document: object | string): void {
    this.answer(command, document);
    this.answer(`${command}.fails`, "");
  }

  /** What it was called with since the last time this was asked. */
  calls(): AcmeCall[] {
    const folder = this.host.view(`${FOLDER}/calls`);
    const calls = readdirSync(folder)
      .sort()
      .map((number) => {
        const lines = readFileSync(join(folder, number, "env"), "utf8")
          .trim()
          .split("\n");
        const variables = lines
          .filter((line) => line.startsWith("CNI_"))
          .map((line) => line.split(/=(.*)/s, 2));
        const stdin = JSON.parse(readFileSync(join(folder, number, "stdin"), "utf8"));
        return { env: Object.fromEntries(variables), stdin };
      });
    for (const number of readdirSync(folder)) rmSync(join(folder, number), { recursive: true });
    return calls;
  }

  /** The commands of those calls. */
  commands(): string[] {
    return this.calls().map(({ env }) => env["CNI_COMMAND"] ?? "");
  }
}

async function makeStage(t: Test): Promise<{ host: Host; container: Container; acme: Acme }> {
  const host = await makeHost(t);
  return { host, container: await host.container("c1"), acme: new Acme(host) };
}

await t.test("a foreign plugin is called by the specification", { timeout: TIMEOUT_MS }, async (t) => {
  const { host, container, acme } = await makeStage(t);
  const { path } = acme;
  const args = "IgnoreUnknown=1;K8S_POD_NAME=web;IP=10.15.0.77";
  const attachment = await attach(container, NETWORK, { path, args });
  const env = {
    CNI_CONTAINERID: container.containerId,
    CNI_NETNS: container.path,
    CNI_IFNAME: "eth0",
    CNI_ARGS: args,
    CNI_PATH: path,
  };
  const [added, ...more] = acme.calls();
  t.strictSame(added?.env, { CNI_COMMAND: "ADD", ...env }, "ADD: the environment is the caller's");
  t.strictSame(added?.stdin, NETWORK, "and so is the complete configuration");
  t.strictSame(more, [], "once");

  const ips = RESULT.ips.map((ip) => ({ ...ip, interface: 2 }));
  const routes = [...RESULT.routes, { dst: "0.0.0.0/0", gw: "10.15.0.1" }, { dst: "::/0", gw: "fd00:15::1" }];
  t.match(attachment.result, { ips, routes, dns: RESULT.dns }, "its answer is in the result");
  const { addr_info } = await container.link("eth0");
  const held = addr_info.filter(({ scope }) => scope === "global").map(({ local }) => local);
  t.strictSame(held, ["10.15.0.77", "fd00:15::77"], "and on the interface");
  t.ok(await container.ping("10.15.0.1"), "and its gateway answers");

  const stdin = { ...NETWORK, prevResult: attachment.result };
  t.match(
    await attachment.check(),
    { code: 0, stdout: "", stderr: "acme: CHECK\n" },
    "CHECK, with its stderr",
  );
  t.strictSame(acme.calls(), [{ env: { CNI_COMMAND: "CHECK", ...env }, stdin }], "is passed on");
  t.match(await attachment.del(), { code: 0, stdout: "" }, "DEL");
  t.strictSame(acme.calls(), [{ env: { CNI_COMMAND: "DEL", ...env }, stdin }], "is passed on");

  const gc = { ...NETWORK, "cni.dev/valid-attachments": [{ containerID: "other", ifname: "eth0" }] };
  t.match(await host.cni("bridge", { command: "GC", config: gc, path }), { code: 0, stdout: "" }, "GC");
  t.strictSame(acme.calls(), [{ env: { CNI_COMMAND: "GC", CNI_PATH: path }, stdin: gc }], "is passed on");
  t.match(await host.cni("bridge", { command: "STATUS", config: NETWORK, path }), { code: 0 }, "STATUS");
  const status = { env: { CNI_COMMAND: "STATUS", CNI_PATH: path }, stdin: NETWORK };
  t.strictSame(acme.calls(), [status], "is passed on");
});

await t.test("an answer of an older version", { timeout: TIMEOUT_MS }, async (t) => {
  const { container, acme } = await makeStage(t);
  const old = {
    cniVersion: "0.4.0",
    ips: [{ version: "4", address: "10.15.0.78/24", gateway: "10.15.0.1" }],
  };
  acme.answer("ADD", old);
  const { result } = await attach(container, { ...NETWORK, cniVersion: "0.4.0" }, { path: acme.path });
  t.match(result, { cniVersion: "0.4.0", ips: [{ ...old.ips[0], interface: 2 }] }, "is taken");
  t.ok(await container.ping("10.15.0.1"), "and its gateway answers");
});

const REFUSALS: readonly [name: string, { answer: object | string; fails: boolean }, wanted: object][] = [
  [
    "its error is passed on, code, message and details",
    { answer: { cniVersion: "1.1.0", code: 117, msg: "pool p1 is empty", details: "buy more" }, fails: true },
    { code: 117, msg: "pool p1 is empty", details: "buy more" },
  ],
  [
    "a failure without a word names the plugin",
    { answer: "", fails: true },
    { code: 999, msg: `plugin "${FOLDER}/bin/acme-ipam" exited with status 1`, details: "no error message" },
  ],
  [
    "an answer that is no result",
    { answer: "Segmentation fault", fails: false },
    { code: 6, msg: `plugin "${FOLDER}/bin/acme-ipam" returned no valid result`, details: /./ },
  ],
  [
    "an answer without addresses",
    { answer: { cniVersion: "1.1.0" }, fails: false },
    { code: 999, msg: "IPAM plugin returned missing IP config" },
  ],
];

await t.test("a foreign plugin that fails", { timeout: TIMEOUT_MS }, async (t) => {
  const { host, container, acme } = await makeStage(t);
  const { path } = acme;
  const call: PluginCall = { command: "ADD", config: NETWORK, container, path };
  const before = normalise(await host.snapshot());
  for (const [name, { answer, fails }, wanted] of REFUSALS) {
    if (fails) acme.fail("ADD", answer);
    else acme.answer("ADD", answer);
    const outcome = await host.cni("bridge", call);
    t.equal(outcome.stderr, "acme: ADD\nacme: DEL\n", "what it says on stderr is the caller's to read");
    refused(t, { ...outcome, stderr: "" }, { details: "", ...wanted } as never, name); // typed by the table
    t.strictSame(acme.commands(), ["ADD", "DEL"], "and it gets a DEL, as its ADD may have failed half-way");
    await unchanged(t, host, before, "nothing is left");
    rmSync(host.view(`${FOLDER}/ADD.fails`), { force: true });
  }
});

await t.test("a failure after the foreign plugin's ADD", { timeout: TIMEOUT_MS }, async (t) => {
  const { host, container, acme } = await makeStage(t);
  // somebody's bridge, used before: the kernel keeps traces of a bridge's first port and first time up
  const steps = [
    "link add cni0 address 02:00:00:00:00:15 type bridge",
    "address add 192.168.7.1/24 dev cni0",
    "link add port0 master cni0 type veth peer name port1",
    "link set cni0 up",
    "link set cni0 down",
    "link delete port0",
  ];
  await host.exec("ip", ["-batch", "-"], { input: steps.join("\n") });
  const before = normalise(await host.snapshot());
  const outcome = await host.cni("bridge", { command: "ADD", config: NETWORK, container, path: acme.path });
  const msg = '"cni0" already has an IP address different from 10.15.0.1/24';
  refused(
    t,
    { ...outcome, stderr: "" },
    { code: 7, msg, details: /192.168.7.1\/24.*forceAddress/ },
    "is told",
  );
  t.strictSame(acme.commands(), ["ADD", "DEL"], "and the plugin gets a DEL");
  const left = remains(before, await host.snapshot());
  t.strictSame(left, [], "nothing is left, and the bridge that was there is down again");
});

await t.test("STATUS of a foreign plugin", { timeout: TIMEOUT_MS }, async (t) => {
  const { host, acme } = await makeStage(t);
  const { path } = acme;
  acme.fail("STATUS", { cniVersion: "1.1.0", code: 50, msg: "acme is away" });
  const away = await host.cni("bridge", { command: "STATUS", config: NETWORK, path });
  refused(t, { ...away, stderr: "" }, { code: 50, msg: "acme is away" }, "is the network's");
  const missing = await host.cni("bridge", { command: "STATUS", config: NETWORK, path: `${FOLDER}/missing` });
  const msg = `failed to find plugin "acme-ipam" in path [${FOLDER}/missing]`;
  refused(t, missing, { code: 50, msg, details: /.*/ }, "one that is not installed is code 50");
});

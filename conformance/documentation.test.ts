/** What docs/topologies.md tells a reader to do is done, on a host a section, and prints what it says. */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import t, { type Test } from "tap";
import { type CommandPart, type DocumentSection, readSections } from "./fixtures/document.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { type Feature, IN_SECOND_KERNEL, missing, skip } from "./fixtures/kernel.ts";
import { BUILT_PLUGINS, PROJECT } from "./fixtures/project.ts";
import { connectSwitch } from "./fixtures/wiring.ts";

const TIMEOUT_MS = IN_SECOND_KERNEL ? 280_000 : 120_000;
t.setTimeout(20 * TIMEOUT_MS);

/** What the kernel must have, beside bridges and nf_tables. */
const NEEDS: Readonly<Record<string, readonly Feature[]>> = {
  T8: ["vxlan"],
  T9: ["macvlan"],
  T10: ["macvlan", "8021q"],
  T11: ["ipvlan"],
};
/** What the first kernel may lack; the others are run there, which is faster. */
const ON_SECOND_KERNEL = ["T10", "T11"];
const SETTING = "A host to try on";

const sections = readSections(readFileSync(join(PROJECT, "docs/topologies.md"), "utf8"));
const setting = sections.find(({ title }) => title === SETTING);
const topologies = sections.filter(({ title }) => /^T\d+:/.test(title));

await t.test("docs/topologies.md has a section for each topology", async (t) => {
  const names = topologies.map(({ title }) => title.split(":")[0]);
  t.strictSame(
    names,
    Array.from({ length: 17 }, (_, i) => `T${i + 1}`),
  );
});

for (const section of topologies) {
  if (IN_SECOND_KERNEL && !ON_SECOND_KERNEL.includes(section.title.split(":")[0] ?? "")) continue;
  await t.test(section.title, { timeout: TIMEOUT_MS }, async (t) => {
    const [name = ""] = section.title.split(":");
    const lacks = await missing("bridge", "nf_tables", ...(NEEDS[name] ?? []));
    if (lacks) return skip(t, lacks);
    const isOnOneHost = section.parts.every((part) => part.kind === "file" || part.host === "");
    const hosts = isOnOneHost ? await oneHost(t) : await hostsOnOneWire(t, section);
    for (const part of section.parts) {
      if (part.kind === "file") writeNetwork(hosts.get("") as Host, part.path, part.text);
      else await keep(t, hosts.get(part.host) as Host, part);
    }
  });
}

/** As its own section makes it. */
async function oneHost(t: Test): Promise<ReadonlyMap<string, Host>> {
  const host = await makeHost(t);
  for (const part of setting?.parts ?? []) if (part.kind === "command") await keep(t, host, part);
  return new Map([["", host]]);
}

/** "host1" has 192.0.2.11, and so on. */
async function hostsOnOneWire(t: Test, { parts }: DocumentSection): Promise<ReadonlyMap<string, Host>> {
  const names = new Set(parts.flatMap((part) => (part.kind === "command" ? [part.host] : [])));
  const hub = await makeHost(t, "hub");
  const hosts = new Map<string, Host>();
  for (const name of names) hosts.set(name, await makeHost(t, name));
  const ports = [...hosts.values()].map((host, i) => ({ host, addresses: [`192.0.2.${11 + i}/24`] }));
  await connectSwitch(hub, ports);
  return hosts;
}

function writeNetwork(host: Host, path: string, text: string): void {
  const file = host.view(path);
  if (!existsSync(dirname(file))) mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, text);
}

/** The command is run, ends with 0, and prints these lines in this order, and perhaps others between them. */
async function keep(t: Test, host: Host, { command, printed }: CommandPart): Promise<void> {
  const env = { PATH: `${BUILT_PLUGINS}:${process.env["PATH"]}`, COLUMNS: "80" };
  // what is started with & has its output elsewhere
  const { exitCode, stdout } = await host.exec("bash", ["--norc", "-c", `exec 2>&1\n${command}`], {
    env,
    reject: false,
  });
  const lines = stdout.split("\n");
  t.equal(exitCode, 0, `$ ${command}`, { diagnostic: exitCode !== 0, lines });
  let next = 0;
  for (const line of printed) {
    const found = lines.findIndex((each, i) => i >= next && matches(each, line));
    t.ok(found >= 0, `prints: ${line}`, { lines });
    if (found >= 0) next = found + 1;
  }
}

/** Blanks count as one, and "…" is anything. */
function matches(line: string, promised: string): boolean {
  const [first = "", ...others] = squeezed(promised).split("…");
  let rest = squeezed(line);
  if (!rest.startsWith(first)) return false;
  rest = rest.slice(first.length);
  for (const [i, part] of others.entries()) {
    const at = i === others.length - 1 && part !== "" ? rest.lastIndexOf(part) : rest.indexOf(part);
    if (at < 0) return false;
    rest = rest.slice(at + part.length);
  }
  return others.at(-1) === "" || rest === "";
}

function squeezed(text: string): string {
  return text.trim().replace(/\s+/g, " ").replace(/ ?… ?/g, "…");
}

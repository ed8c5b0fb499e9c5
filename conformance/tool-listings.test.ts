/**
 * Every listing of the tool on terminals of 80 and of 160 columns, as kept in conformance/golden, and as
 * JSON by its schema. WEFT_GOLDEN=write writes what there is now: read it before it is committed.
 */
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { Ajv } from "ajv";
import t, { type Test } from "tap";
import { undocumentedKeys } from "../scripts/man-json.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { LISTING_SCHEMAS } from "./fixtures/listing-schemas.ts";
import { listingOf, makeListedHost } from "./fixtures/listings.ts";
import { BUILT_PLUGINS, PROJECT } from "./fixtures/project.ts";

const TIMEOUT_MS = 180_000;
t.setTimeout(3 * TIMEOUT_MS);
const GOLDEN = join(PROJECT, "conformance", "golden");
const IS_WRITING = process.env["WEFT_GOLDEN"] === "write";
const WIDTHS = [80, 160];
/** A table's head: words in capitals, two spaces apart. */
const HEAD = /^[A-Z][A-Z ]*(?: {2,}[A-Z][A-Z ]*)+$/;
const ESCAPE = "\x1b";

const LISTINGS: Readonly<Record<string, readonly string[]>> = {
  ls: ["ls"],
  inspect: ["inspect", "web"],
  ports: ["ports"],
  fdb: ["fdb"],
  rules: ["rules"],
  "network-ls": ["network", "ls"],
  "network-inspect": ["network", "inspect", "front", "back"],
  topology: ["topology"],
  doctor: ["doctor"],
};

const lacks = await missing("bridge", "nf_tables");

await t.test("listings", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeToolHost(t);
  await makeListedHost(host);
  for (const [name, words] of Object.entries(LISTINGS)) await showListing(t, host, { name, words });
  for (const [name, words] of Object.entries(LISTINGS)) await showJson(t, host, { name, words });

  await host.sysctl("net/ipv4/ip_forward", 0);
  const [first] = (await host.ip("link", "show")).filter(({ ifname }) => ifname.startsWith("veth"));
  await host.exec("ip", ["link", "set", first?.ifname ?? "", "nomaster"]);
  await showListing(t, host, { name: "doctor-findings", words: ["doctor"] });
  await showJson(t, host, { name: "doctor", words: ["doctor"] }, 2);
});

await t.test("listings of a host that has nothing", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeToolHost(t);
  for (const words of ["ls", "ports", "fdb", "rules", "network ls", "topology", "doctor"]) {
    const text = await listingOf(host, { words: words.split(" "), columns: 80 });
    t.notMatch(text, /^exit/m, `weft ${words}`);
    t.notOk(
      text.split("\n").some((line) => HEAD.test(line)),
      "has no table without lines",
    );
    t.match(text, /\S/, "and says so");
  }
});

await t.test("colours are the terminal's alone", { timeout: TIMEOUT_MS }, async (t) => {
  if (!existsSync("/usr/bin/script")) return skip(t, "there is no script(1)");
  if (lacks) return skip(t, lacks);
  const host = await makeToolHost(t);
  await makeListedHost(host);
  const onTerminal = async (words: string, env: Record<string, string>) => {
    const all = { NO_COLOR: undefined, TERM: "xterm", COLUMNS: "100", CNI_PATH: "/opt/cni/bin", ...env };
    const script = ["--quiet", "--return", "--command", `/opt/cni/bin/weft ${words}`, "/dev/null"];
    return (await host.exec("script", script, { env: all })).stdout.replaceAll("\r\n", "\n");
  };
  for (const words of ["ls", "inspect web", "network ls", "rules"]) {
    const coloured = await onTerminal(words, {});
    const plain = await onTerminal(words, { NO_COLOR: "1" });
    t.ok(coloured.includes(ESCAPE), `weft ${words}: colours on a terminal`);
    t.notOk(plain.includes(ESCAPE), "not with NO_COLOR");
    const bare = coloured.replaceAll(new RegExp(`${ESCAPE}\\[[0-9;]*m`, "g"), "");
    const timeless = (text: string) => text.replaceAll(/\d/g, "0").replaceAll(/0+/g, "0");
    t.equal(timeless(bare), timeless(plain), "and they say no more than the text does");
  }
});

async function makeToolHost(t: Test): Promise<Host> {
  const host = await makeHost(t);
  await host.exec(join(BUILT_PLUGINS, "weft"), ["install", "--to", "/opt/cni/bin"]);
  await host.exec("mkdir", ["-p", "/etc/cni/net.d"]);
  return host;
}

interface Named {
  readonly name: string;
  readonly words: readonly string[];
}

async function showListing(t: Test, host: Host, { name, words }: Named): Promise<void> {
  const shown: string[] = [];
  for (const columns of WIDTHS) {
    const text = await listingOf(host, { words, columns });
    const wide = text.split("\n").filter((line) => [...line].length > columns);
    t.strictSame(wide, [], `weft ${words.join(" ")} fits ${columns} columns`);
    t.notOk(text.includes(ESCAPE), "without colours, where there is no terminal");
    t.notOk(/ $/m.test(text), "and no line ends in spaces");
    shown.push(`$ weft ${words.join(" ")}    # ${columns} columns\n${text}`);
  }
  const path = join(GOLDEN, `${name}.txt`);
  const text = shown.join("\n");
  if (IS_WRITING) {
    mkdirSync(GOLDEN, { recursive: true });
    writeFileSync(path, text);
  }
  t.equal(text, existsSync(path) ? readFileSync(path, "utf8") : "", `conformance/golden/${name}.txt`);
}

async function showJson(t: Test, host: Host, { name, words }: Named, exitCode = 0): Promise<void> {
  const env = { CNI_PATH: "/opt/cni/bin" };
  const ended = await host.exec("/opt/cni/bin/weft", [...words, "--json"], { env, reject: false });
  t.equal(ended.exitCode, exitCode, `weft ${words.join(" ")} --json`);
  const validate = new Ajv({ allErrors: true, allowUnionTypes: true }).compile(
    LISTING_SCHEMAS[name] ?? false,
  );
  const document: unknown = JSON.parse(ended.stdout);
  t.strictSame(validate(document) ? [] : validate.errors, [], "is as its schema says");
  t.strictSame(undocumentedKeys(words[0] ?? "", document), [], "and the manual knows its keys");
}

/**
 * `weft migrate` where the runtime's plugins are not: nothing is changed, or it is said who has to exchange
 * them.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { undocumentedKeys } from "../scripts/man-json.ts";
import { filterState } from "./fixtures/filter-state.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { referencePlugins } from "./reference.ts";

const TIMEOUT_MS = 60_000;
t.setTimeout(2 * TIMEOUT_MS);
const WEFT = join(BUILT_PLUGINS, "weft");
const DIRECTORY = "/opt/cni/bin";
const [reference] = await referencePlugins();
const lack = (await missing("bridge", "nf_tables")) ?? reference?.missing;
const NETWORK = {
  cniVersion: "1.0.0",
  name: "front",
  plugins: [
    { type: "bridge", bridge: "br-front", ipMasq: true, ipam: { type: "host-local", subnet: "10.9.0.0/24" } },
    { type: "firewall" },
  ],
};

/** A container that the reference has connected. */
async function makeStage(t: Test, dir: string): Promise<Host> {
  const host = await makeHost(t);
  await host.exec("sh", ["-e", "-c", `mkdir -p /etc/cni/net.d ${DIRECTORY}; cp ${dir}/* ${DIRECTORY}`]);
  writeFileSync(host.view("/etc/cni/net.d/10-front.conflist"), JSON.stringify(NETWORK));
  await host.container("web");
  await host.exec(WEFT, ["add", "front", "web"], { env: { CNI_PATH: DIRECTORY } });
  return host;
}

const migrate = (host: Host, path: string, ...words: string[]) =>
  host.exec(WEFT, ["migrate", ...words], { env: { CNI_PATH: path }, reject: false });

await t.test("a path without the plugins", { timeout: TIMEOUT_MS }, async (t) => {
  if (lack || !reference) return skip(t, lack ?? "no reference");
  const host = await makeStage(t, reference.dir);
  const theirs = await filterState(host);
  for (const words of [[], ["--dry-run"]]) {
    t.match(await migrate(host, "/nowhere", ...words), {
      exitCode: 1,
      stdout: "",
      stderr: /^weft: nothing was changed: bridge, firewall not found in \/nowhere\nset CNI_PATH /,
    });
  }
  t.same(await filterState(host), theirs, "nothing was changed");
  await host.exec(WEFT, ["del", "front", "web"], { env: { CNI_PATH: DIRECTORY } });
});

await t.test("--no-executables", { timeout: TIMEOUT_MS }, async (t) => {
  if (lack || !reference) return skip(t, lack ?? "no reference");
  const host = await makeStage(t, reference.dir);
  const dry = await migrate(host, DIRECTORY, "--no-executables", "--dry-run", "--json");
  const document = JSON.parse(dry.stdout);
  const own = { name: "web (eth0 on front)", plugins: ["bridge", "firewall"], failure: null };
  t.strictSame(document, { executables: [], attachments: [own] }, "--dry-run --json");
  t.strictSame(undocumentedKeys("migrate", document), [], "the manual knows its keys");
  t.match(await migrate(host, DIRECTORY, "--no-executables"), {
    exitCode: 3,
    stdout: "took over web (eth0 on front): bridge, firewall\n",
    stderr: /bridge, firewall in \/opt\/cni\/bin.*\n.*: weft install --to \/opt\/cni\/bin\n$/,
  });
  await host.exec(WEFT, ["install", "--to", DIRECTORY]);
  t.match(await migrate(host, DIRECTORY, "--no-executables"), { exitCode: 0, stdout: "nothing to do\n" });
  await host.exec(WEFT, ["del", "front", "web"], { env: { CNI_PATH: DIRECTORY } });
  const { stdout } = await host.exec("find", ["/run/weft/attachments", "-type", "f"], { reject: false });
  t.equal(stdout, "", "weft's plugins delete what they took over");
});

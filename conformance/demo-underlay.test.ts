/** `weft demo` of the topologies that need what a kernel may lack: VLANs and ipvlan. */
import { join } from "node:path";
import t from "tap";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(2 * TIMEOUT_MS);
/** With the last proof of each. */
const STORIES = [
  { topology: "T10", features: ["8021q", "macvlan"], tells: /✓ outside has received \d+ frames with tag 20/ },
  { topology: "T11", features: ["ipvlan"], tells: /✓ right knows 0 neighbours/ },
] as const;

for (const { topology, features, tells } of STORIES) {
  await t.test(`weft demo ${topology}`, { timeout: TIMEOUT_MS }, async (t) => {
    const lacks = await missing(...features);
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    const demo = await host.exec(join(BUILT_PLUGINS, "weft"), ["demo", topology], { reject: false });
    t.same({ exitCode: demo.exitCode, stderr: demo.stderr }, { exitCode: 0, stderr: "" });
    t.notMatch(demo.stdout, /✗/, "no proof failed");
    t.match(demo.stdout, tells, "the last proof holds");
    t.match(demo.stdout, /✓ nothing is left/, "it is taken down");
    const wide = demo.stdout.split("\n").filter((line) => line.length > 80);
    t.strictSame(wide, [], "it fits 80 columns");
    if (demo.exitCode !== 0) t.comment(demo.stdout);
  });
}

/** `weft completion`: what each shell completes, of commands, options and what there is on the host. */
import t from "tap";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { completingShells } from "./fixtures/shells.ts";

t.setTimeout(120_000);
const lacks = await missing("bridge", "nf_tables");
/** A shell that knows nothing completes files: there are none. */
const IN_EMPTY = ["-c", 'mkdir -p /run/empty; cd /run/empty; exec "$@"', "sh"];
const path = { PATH: `${BUILT_PLUGINS}:${process.env["PATH"]}` };

for (const shell of await completingShells()) {
  await t.test(`${shell.name} completes commands, options, networks and containers`, async (t) => {
    if (lacks) return skip(t, lacks);
    if ("missing" in shell) return skip(t, shell.missing);
    const host = await makeHost(t);
    for (const name of ["web", "db"]) await host.container(name);
    await host.exec("weft", ["network", "create", "blue"], { env: path });
    const env = { ...path, ...shell.env };
    const complete = async (...words: string[]) => {
      const { stdout } = await host.exec("sh", [...IN_EMPTY, ...shell.command, "weft", ...words], { env });
      return stdout.split("\n").filter(Boolean).sort();
    };
    t.strictSame(await complete("tr"), ["trace"]);
    t.strictSame(await complete("network", "dis"), ["disconnect"]);
    t.strictSame(await complete("doctor", "--f"), ["--faults", "--fix"]);
    t.strictSame(await complete("network", "connect", ""), ["blue"]);
    const containers = await complete("network", "connect", "blue", "");
    t.ok(
      ["web", "db"].every((name) => containers.includes(name)),
      "the names of ip netns",
    );
    t.strictSame(await complete("run", "--network", "b"), ["blue"]);
    t.strictSame(await complete("demo", "T17"), ["T17"]);
    t.strictSame(await complete("network", "create", ""), [], "and nothing where a new name is asked for");
  });
}

/** `weft completion bash`: what the shell completes, of commands, options and what there is on the host. */
import t from "tap";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";

t.setTimeout(120_000);
const lacks = await missing("bridge", "nf_tables");

await t.test("a shell completes commands, options, networks and containers", async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  const env = { PATH: `${BUILT_PLUGINS}:${process.env["PATH"]}` };
  for (const name of ["web", "db"]) await host.container(name);
  await host.exec("weft", ["network", "create", "blue"], { env });
  const complete = async (...words: string[]) => {
    const script =
      '. <(weft completion bash); COMP_CWORD=$(($# - 1)) COMP_WORDS=("$@"); _weft; echo "${COMPREPLY[@]}"';
    const { stdout } = await host.exec("bash", ["-c", script, "bash", "weft", ...words], { env });
    return stdout.trim().split(" ");
  };
  t.strictSame(await complete("tr"), ["trace"]);
  t.strictSame(await complete("network", "dis"), ["disconnect"]);
  t.strictSame(await complete("doctor", "--f"), ["--fix", "--faults"]);
  t.match(await complete("network", "connect", ""), ["blue"]);
  const containers = await complete("network", "connect", "blue", "");
  t.ok(
    ["web", "db"].every((name) => containers.includes(name)),
    "the names of ip netns",
  );
  t.match(await complete("run", "--network", "b"), ["blue"]);
  t.strictSame(await complete("nothing", ""), [""], "and nothing where it knows nothing");
});

await t.test("each shell's script is one that it can read", async (t) => {
  const host = await makeHost(t);
  for (const shell of ["bash", "zsh", "fish"]) {
    const { exitCode } = await host.exec("sh", ["-c", `command -v ${shell}`], { reject: false });
    if (exitCode !== 0) t.comment(`no ${shell} here`);
    else
      await host.exec("sh", ["-c", `weft completion ${shell} | ${shell} -n`], {
        env: { PATH: `${BUILT_PLUGINS}:/usr/bin:/bin` },
      });
  }
  t.pass("bash can");
});

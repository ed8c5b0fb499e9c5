/**
 * tap's selinuxContext on a kernel with SELinux, which one without a policy is enough for: it takes the names
 * of its initial contexts, and forbids nothing. Boot with security=selinux selinux=1.
 */
import { readFileSync } from "node:fs";
import t from "tap";
import { type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(TIMEOUT_MS);
const enabled = /\tselinuxfs$/m.test(readFileSync("/proc/filesystems", "utf8"));
const lacks = (await missing("tun")) ?? (enabled ? undefined : "this kernel was booted without SELinux");
if (lacks) {
  skip(t, lacks);
  process.exit();
}

const own = readFileSync("/proc/self/attr/current", "utf8").replaceAll("\0", "").trim();
/** Without a policy everything is what the kernel starts with, and every text is good for a context. */
const hasPolicy = own.includes(":");

const config = (selinuxContext: string) => ({
  cniVersion: "1.1.0",
  name: "net",
  type: "tap",
  mtu: 1400,
  multiQueue: true,
  selinuxContext,
});

/** What strace saw of a call: the programs that were run, and what was written to attr/exec. */
async function traced(host: Host): Promise<{ programs: string[]; written: string[] }> {
  const { stdout } = await host.exec("cat", ["/run/trace"]);
  const programs = [...stdout.matchAll(/execve\("([^"]*)", (\[[^\]]*\])/g)].map(
    ([, file, args]) => `${file} ${args}`,
  );
  const written = [...stdout.matchAll(/write\(\d+<[^>]*\/attr\/exec>, "([^"]*)"/g)];
  return { programs, written: written.map(([, text = ""]) => text) };
}

await t.test("a tap with a label, by a child in that context", async (t) => {
  const host = await makeHost(t);
  const container = await host.container("c1");
  t.comment(`this process is in "${own}"`);
  const under = ["strace", "-f", "-qq", "-e", "trace=execve,write", "-y", "-o", "/run/trace"];
  const call = { config: config(own), container };
  const added = await host.cni("tap", { command: "ADD", ...call, under });
  t.equal(added.code, 0, added.stdout);
  const { programs, written } = await traced(host);
  t.match(programs, [/\/tap /, '/proc/self/exe ["weft-attach-tap", "eth0", "multi_queue"]']);
  t.equal(programs.length, 2, "one more program is run, which is ours");
  t.strictSame(written, [own, "\\n"], "its context is chosen, and that of others no more");
  const { linkinfo, mtu } = await container.link("eth0");
  t.match({ mtu, ...linkinfo?.info_data }, { mtu: 1400, persist: true, multi_queue: true, type: "tap" });

  const known = { ...call, config: { ...config(own), prevResult: added.result } };
  silent(t, await host.cni("tap", { command: "CHECK", ...known }), "CHECK");
  silent(t, await host.cni("tap", { command: "STATUS", config: config(own) }), "STATUS");
  silent(t, await host.cni("tap", { command: "DEL", ...known }), "DEL");
});

await t.test("a context that the policy does not have", async (t) => {
  if (!hasPolicy) return skip(t, "no policy is loaded");
  const host = await makeHost(t);
  const container = await host.container("c1");
  const before = normalise(await host.snapshot());
  const call = { command: "ADD", config: config("no:such:context:s0"), container };
  const wanted = { code: 7, msg: 'invalid "selinuxContext": "no:such:context:s0"', details: /policy/ };
  refused(t, await host.cni("tap", call), wanted, "is refused");
  await unchanged(t, host, before, "with nothing changed");
});

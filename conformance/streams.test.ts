/** stdin and stdout as callers have them: slow, closed, non-blocking, full, and far larger than a pipe. */
import t from "tap";
import { makeHost } from "./fixtures/host.ts";
import { normalise } from "./fixtures/normalise.ts";
import { plainCall, plainConfig } from "./fixtures/plain-call.ts";
import { callPlugin } from "./fixtures/plugin-call.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { answered, refused, unchanged } from "./fixtures/refusal.ts";

const host = await makeHost(t);
const container = await host.container("c1");

/** Sets O_NONBLOCK on a descriptor that the plugin inherits: dd does that to what it reads or writes. */
const NONBLOCK_STDIN = "dd count=0 iflag=nonblock 2> /dev/null";
const NONBLOCK_STDOUT = "dd count=0 oflag=nonblock 2> /dev/null";

/**
 * Calls a plugin through a shell: "$PLUGIN" is its path. What the shell prints is the answer, and
 * its exit status that of the plugin where the script ends with it.
 */
async function through(script: string, plugin = "static", call: { config?: object; stdin?: string } = {}) {
  const plain = plainCall(plugin as "static", "ADD", { container, ...call });
  const under = ["bash", "--norc", "-o", "pipefail", "-c", script, "bash"];
  return callPlugin(host, plugin, { ...plain, under, env: { PLUGIN: `${BUILT_PLUGINS}/${plugin}` } });
}

const RESULT = { cniVersion: "1.1.0", ips: [{ address: "10.1.0.5/24" }] };
const TEXT = JSON.stringify(plainConfig("static"));

await t.test("stdin in every form", async (t) => {
  const cases: [what: string, script: string, stdin: string][] = [
    ["a socket, which is what node makes", '"$PLUGIN"', TEXT],
    ["with a newline", '"$PLUGIN"', `${TEXT}\n`],
    ["with white space around it", '"$PLUGIN"', `\n\n  ${TEXT}  \r\n\n`],
    ["a byte at a time", 'while read -rn1 c; do printf "%s" "$c"; done | "$PLUGIN"', TEXT],
    ["in two halves, half a second apart", '{ head -c 40; sleep 0.5; cat; } | "$PLUGIN"', TEXT],
    ["a pipe that does not block", `{ sleep 0.2; cat; } | { ${NONBLOCK_STDIN}; "$PLUGIN"; }`, TEXT],
    [
      "a slow pipe that does not block",
      `{ head -c 9; sleep 0.3; cat; } | { ${NONBLOCK_STDIN}; "$PLUGIN"; }`,
      TEXT,
    ],
    ["a file", 'cat > /run/stdin; "$PLUGIN" < /run/stdin', TEXT],
    ["a file that is being read from its middle", '{ read -r; "$PLUGIN"; } < <(echo; cat)', TEXT],
    ["a here-document", '"$PLUGIN" <<< "$(cat)"', TEXT],
  ];
  for (const [what, script, stdin] of cases)
    answered(t, await through(script, "static", { stdin }), RESULT, what);
});

await t.test("stdin that is none", async (t) => {
  const before = normalise(await host.snapshot());
  const empty = { code: 6, msg: "error unmarshall network config: unexpected end of JSON input" };
  refused(t, await through('"$PLUGIN" <&-', "bridge"), empty, "closed");
  refused(t, await through('"$PLUGIN" < /dev/null', "bridge"), empty, "/dev/null");
  refused(t, await through(': | "$PLUGIN"', "bridge"), empty, "an empty pipe");
  refused(t, await through('"$PLUGIN" < /etc', "bridge"), { code: 5, msg: /stdin/ }, "a directory");
  await unchanged(t, host, before, "nothing changed");
});

/** A configuration of `megabytes`, all of it something a plugin has to read. */
const large = (megabytes: number) => plainConfig("static", { padding: "x".repeat(megabytes * 1024 * 1024) });
const ROUTES = Array.from({ length: 60_000 }, (_, i) => ({
  dst: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}/32`,
}));
const MANY = plainConfig("static", {
  ipam: { type: "static", addresses: [{ address: "10.1.0.5/24" }], routes: ROUTES },
});
const MANY_RESULT = { ...RESULT, routes: ROUTES };

await t.test("five megabytes in, five megabytes out", async (t) => {
  answered(t, await through('"$PLUGIN"', "static", { config: large(5) }), RESULT, "in");
  answered(
    t,
    await through(`cat | { ${NONBLOCK_STDIN}; "$PLUGIN"; }`, "static", { config: large(5) }),
    RESULT,
    "in, non-blocking",
  );
  const cases: [what: string, script: string][] = [
    ["out", '"$PLUGIN"'],
    ["a reader that begins late", '"$PLUGIN" | { sleep 0.5; cat; }'],
    ["a reader that pauses", '"$PLUGIN" | { head -c 100000; sleep 0.3; cat; }'],
    ["a pipe that does not block", `{ ${NONBLOCK_STDOUT}; "$PLUGIN"; } | { sleep 0.3; cat; }`],
    ["a file", '"$PLUGIN" > /run/stdout; code=$?; cat /run/stdout; exit $code'],
  ];
  for (const [what, script] of cases)
    answered(t, await through(script, "static", { config: MANY }), MANY_RESULT, what);
  const passed = await through('"$PLUGIN"', "loopback", {
    config: plainConfig("loopback", { prevResult: MANY_RESULT }),
  });
  answered(t, passed, MANY_RESULT, "a prevResult that passes through");
});

await t.test("an ADD whose answer nobody takes is undone", async (t) => {
  const before = normalise(await host.snapshot());
  const ipam = { type: "host-local", ranges: [[{ subnet: "10.1.0.0/24" }]] };
  const config = plainConfig("bridge", { ipam });
  // the pipe's other end is gone once the first command has ended
  const cases: [what: string, script: string][] = [
    ["a closed pipe", 'exec 3> >(:); wait $!; "$PLUGIN" >&3'],
    ["a full disk", '"$PLUGIN" > /dev/full'],
  ];
  for (const [what, script] of cases) {
    const { code, stdout, stderr } = await through(script, "bridge", { config });
    t.not(code, 0, `${what}: it is no success`);
    t.equal(stdout, "");
    t.match(stderr, /"code"/, "somebody learns of it");
  }
  const { networks, files } = normalise(await host.snapshot());
  t.strictSame(networks, before.networks, "nothing is left in the kernel");
  t.notOk(files["/var/lib/cni/networks/net/10.1.0.2"], "nor a lease");
  t.strictSame(
    Object.keys(files).filter((path) => path.startsWith("/run/weft/attachments")),
    [],
    "nor a record",
  );
});

await t.test("a DEL whose caller is gone is done all the same", async (t) => {
  const config = plainConfig("bridge");
  t.match(await host.cni("bridge", { command: "ADD", config, container }), { code: 0 });
  const del = plainCall("bridge", "DEL", { container, config });
  const under = ["bash", "--norc", "-c", 'exec 3> >(:); wait $!; "$0" >&3 2>&3'];
  t.equal((await host.cni("bridge", { ...del, under })).code, 0);
  t.strictSame(await host.ip("link", "show", "master", "cni0"), []);
});

await t.test("stderr that is closed or full is no reason to fail", async (t) => {
  answered(t, await through('"$PLUGIN" 2>&-'), RESULT, "closed");
  answered(t, await through('"$PLUGIN" 2> /dev/full'), RESULT, "full");
  const noCommand = 'unset CNI_COMMAND; "$PLUGIN" 2> /dev/full; echo "{}"';
  t.match(await through(noCommand), { code: 0 });
});

await t.test("a standard stream that is closed is not taken for another file", async (t) => {
  // the first file or socket a plugin opens would get the free number, and the answer with it
  const { code, stdout } = await through('"$PLUGIN" >&-', "bridge");
  t.equal(stdout, "");
  t.ok(code === 0 || code === 1, `it ends: ${code}`);
  const left = await host.ip("link", "show", "master", "cni0");
  t.equal(left.length, code === 0 ? 1 : 0, "done or undone");
  await host.cni("bridge", plainCall("bridge", "DEL", { container }));
});

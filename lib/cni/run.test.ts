import { expect, test } from "bun:test";
import { version } from "../../package.json" with { type: "json" };
import { input } from "../testing/probe.ts";

/** The program of a plugin whose ADD does what `add` says, with one other plugin in the same executable. */
const program = (add: string) => `
  import { probe } from "${import.meta.dir}/../testing/probe.ts";
  import { runPlugin } from "${import.meta.dir}/run.ts";
  const { plugin } = probe({ add(call) { ${add} } });
  const loadOwn = async (type) => (type === "other" ? probe({ name: "other" }).plugin : undefined);
  await runPlugin(plugin, { loadOwn });
`;

function run(call: { environment: object; stdin: string }, add = "return {};") {
  const child = Bun.spawnSync({
    cmd: [process.execPath, "-e", program(add)],
    env: { ...call.environment },
    stdin: new TextEncoder().encode(call.stdin),
    stderr: "pipe",
  });
  return { status: child.exitCode, stdout: String(child.stdout), stderr: String(child.stderr) };
}

test("runPlugin() says on stderr what it is when there is no command", () => {
  for (const environment of [{}, { CNI_COMMAND: "" }]) {
    expect(run({ environment, stdin: "" })).toEqual({
      status: 0,
      stdout: "",
      stderr:
        `CNI probe plugin v${version}\n` +
        "CNI protocol versions supported: 0.1.0, 0.2.0, 0.3.0, 0.3.1, 0.4.0, 1.0.0, 1.1.0\n",
    });
  }
});

test("runPlugin() prints the result and exits with 0", () => {
  expect(run(input("ADD"))).toEqual({ status: 0, stdout: '{\n    "cniVersion": "1.1.0"\n}', stderr: "" });
});

test("runPlugin() prints an error in the configuration's version and exits with 1", () => {
  expect(run(input("FOO", { cniVersion: "0.4.0" }))).toEqual({
    status: 1,
    stdout: '{\n    "cniVersion": "0.4.0",\n    "code": 4,\n    "msg": "unknown CNI_COMMAND: FOO"\n}',
    stderr: "",
  });
});

test("runPlugin() prints as an internal error whatever is thrown", () => {
  const { status, stdout, stderr } = run(input("ADD"), "return call.nothing.there;");
  expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
  expect(JSON.parse(stdout)).toMatchObject({ cniVersion: "1.1.0", code: 999 });
});

test("runPlugin() writes a long result completely", () => {
  const { status, stdout } = run(input("ADD"), 'return { vendor: "x".repeat(5_000_000) };');
  expect(status).toBe(0);
  expect(JSON.parse(stdout)["vendor"].length).toBe(5_000_000);
});

test("runPlugin() loads the plugin of its own that the configuration delegates to, and no other", () => {
  const add = "return { own: [...call.own.keys()] };";
  const own = (config: object) => JSON.parse(run(input("ADD", { ...config }), add).stdout)["own"];
  expect(own({ ipam: { type: "other" } })).toEqual(["other"]);
  expect(own({ IPAM: { TYPE: "other" } })).toEqual(["other"]);
  expect(own({ ipam: { type: "foreign" } })).toEqual([]);
  expect(own({ ipam: { type: 5 } })).toBeUndefined(); // refused
  expect(own({})).toEqual([]);
});

test("runPlugin() answers VERSION, and bad variables, though nobody closes its stdin", async () => {
  for (const [CNI_COMMAND, answer] of [
    ["VERSION", '"supportedVersions"'],
    ["DEL", "required env variables [CNI_CONTAINERID,CNI_IFNAME] missing"],
  ] as const) {
    const child = Bun.spawn({
      cmd: [process.execPath, "-e", program("return {};")],
      env: { CNI_COMMAND },
      stdin: "pipe",
      stdout: "pipe",
    });
    expect(await child.stdout.text()).toContain(answer);
    await child.exited;
  }
});

test("runPlugin() answers VERSION in the version it reads", () => {
  const { stdout } = run({ environment: { CNI_COMMAND: "VERSION" }, stdin: '{"cniVersion":"0.4.0"}' });
  expect(stdout).toStartWith('{"cniVersion":"0.4.0","supportedVersions":[');
  expect(stdout).toEndWith("]}\n");
});

test("runPlugin() calls a stdin that cannot be read an I/O failure", () => {
  const child = Bun.spawnSync({
    cmd: ["sh", "-c", 'exec "$0" -e "$1" </', process.execPath, program("return {};")],
    env: { ...input("ADD").environment },
  });
  expect(child.exitCode).toBe(1);
  expect(JSON.parse(String(child.stdout))).toMatchObject({ code: 5, msg: "error reading from stdin" });
});

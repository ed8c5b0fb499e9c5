/**
 * What a plugin refuses before it does anything, in which
 * order and in which words: the same for every plugin.
 */
import t from "tap";
import { makeHost } from "./fixtures/host.ts";
import { normalise } from "./fixtures/normalise.ts";
import {
  COMMANDS,
  CONTAINER_COMMANDS,
  PLUGINS,
  plainCall,
  plainConfig,
  VERSIONS,
} from "./fixtures/plain-call.ts";
import type { PluginCall } from "./fixtures/plugin-call.ts";
import { type Refusal, refused, silent, unchanged } from "./fixtures/refusal.ts";

const host = await makeHost(t);
await host.container("c1");
// in the namespace from the start, so that it is in both snapshots
await host.exec("ip", ["link", "add", "taken0", "type", "veth", "peer", "name", "taken1"]);
const untouched = normalise(await host.snapshot());

const show = (value: unknown): string => JSON.stringify(value) ?? "nothing";

await t.test("without CNI_COMMAND a plugin says what it is, on stderr", async (t) => {
  for (const plugin of PLUGINS) {
    for (const command of [undefined, ""]) {
      const { code, stdout, stderr } = await host.cni(plugin, { env: { CNI_COMMAND: command } });
      const [first, second, ...rest] = stderr.split("\n");
      t.strictSame(
        { code, stdout, rest },
        { code: 0, stdout: "", rest: [""] },
        `${plugin}, ${show(command)}`,
      );
      t.match(first, new RegExp(`^CNI ${plugin} plugin \\S+$`));
      t.equal(second, `CNI protocol versions supported: ${VERSIONS.join(", ")}`);
    }
  }
});

await t.test("VERSION answers on one line, whatever else is there", async (t) => {
  const cases: [what: string, PluginCall, cniVersion: string][] = [
    ["nothing on stdin", { stdin: "" }, "1.1.0"],
    ...VERSIONS.map((version): [string, PluginCall, string] => [
      `the version of the caller, ${version}`,
      { stdin: show({ cniVersion: version }) },
      version,
    ]),
    ["a version to come", { stdin: '{"cniVersion": "1.2.0"}' }, "1.2.0"],
    ["no JSON", { stdin: "no JSON" }, "1.1.0"],
    ["an array", { stdin: "[1]" }, "1.1.0"],
    ["a version that is none", { stdin: '{"cniVersion": 5}' }, "1.1.0"],
    ["an empty version", { stdin: '{"cniVersion": ""}' }, "1.1.0"],
    ["no name", { config: { cniVersion: "0.4.0" } }, "0.4.0"],
    ["variables that no other command takes", { containerId: "-", ifname: "a/b", netns: "/nope" }, "1.1.0"],
    ["an environment with nothing else", { path: "", env: { PATH: undefined } }, "1.1.0"],
  ];
  for (const plugin of PLUGINS) {
    for (const [what, call, cniVersion] of cases) {
      const { code, stdout, stderr } = await host.cni(plugin, { command: "VERSION", ...call });
      const wanted = `${JSON.stringify({ cniVersion, supportedVersions: VERSIONS })}\n`;
      t.strictSame({ code, stdout, stderr }, { code: 0, stdout: wanted, stderr: "" }, `${plugin}: ${what}`);
    }
  }
});

await t.test("a command that is none is refused, after the configuration was read", async (t) => {
  const cases: [what: string, PluginCall, Refusal][] = [
    ["unknown", {}, { code: 4, msg: "unknown CNI_COMMAND: FOO" }],
    ["small letters", { command: "add" }, { code: 4, msg: "unknown CNI_COMMAND: add" }],
    ["a space after it", { command: "ADD " }, { code: 4, msg: "unknown CNI_COMMAND: ADD " }],
    ["no JSON", { stdin: "{" }, { code: 6, msg: /^error unmarshall network config: / }],
    ["no name", { config: {} }, { code: 7, msg: "missing network name" }],
    ["a version that is none", { config: { name: "net", cniVersion: "9.0.0" } }, { code: 4, msg: /FOO/ }],
  ];
  for (const plugin of PLUGINS) {
    for (const [what, call, wanted] of cases)
      refused(
        t,
        await host.cni(plugin, { ...plainCall(plugin, "FOO"), ...call }),
        wanted,
        `${plugin}: ${what}`,
      );
  }
});

await t.test("missing variables are named together", async (t) => {
  const names = { CNI_CONTAINERID: "containerId", CNI_NETNS: "netns", CNI_IFNAME: "ifname" } as const;
  type Name = keyof typeof names;
  const all: Name[] = ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"];
  const absences: Name[][] = [...all.map((name) => [name]), all, ["CNI_CONTAINERID", "CNI_IFNAME"]];
  for (const plugin of PLUGINS) {
    for (const command of CONTAINER_COMMANDS) {
      for (const absent of absences) {
        const required = absent.filter((name) => command !== "DEL" || name !== "CNI_NETNS");
        if (required.length === 0) continue;
        const msg = `required env variables [${required.join(",")}] missing`;
        for (const value of [undefined, ""]) {
          const env = Object.fromEntries(absent.map((name) => [name, value]));
          const call = plainCall(plugin, command, { env, stdin: "no JSON" }); // which would come after
          const name = `${plugin} ${command} ${absent.join()} ${value === "" ? "empty" : "unset"}`;
          refused(t, await host.cni(plugin, call), { code: 4, msg, details: "" }, name);
        }
      }
    }
  }
});

const SPACE = "interface name contains / or : or whitespace characters";
const BAD_VARIABLES: [variable: "containerId" | "ifname", value: string, msg: string][] = [
  ["containerId", "-a", "invalid characters in containerID"],
  ["containerId", "_a", "invalid characters in containerID"],
  ["containerId", ".", "invalid characters in containerID"],
  ["containerId", "..", "invalid characters in containerID"],
  ["containerId", "a/b", "invalid characters in containerID"],
  ["containerId", "a b", "invalid characters in containerID"],
  ["containerId", "a:b", "invalid characters in containerID"],
  ["containerId", "a\n", "invalid characters in containerID"],
  ["containerId", "a\nb", "invalid characters in containerID"],
  ["containerId", "ä", "invalid characters in containerID"],
  ["ifname", ".", "interface name is . or .."],
  ["ifname", "..", "interface name is . or .."],
  ["ifname", "sixteen-bytes-xx", "interface name is too long"],
  ["ifname", "éééééééé", "interface name is too long"],
  ["ifname", "a/b", SPACE],
  ["ifname", "../eth0", SPACE],
  ["ifname", "a:b", SPACE],
  ["ifname", "a b", SPACE],
  ["ifname", " ", SPACE],
  ["ifname", "a\tb", SPACE],
  ["ifname", "eth0\n", SPACE],
  ["ifname", "a\u00a0b", SPACE],
  ["ifname", "a\u2003b", SPACE],
  ["ifname", "a\u0085b", SPACE],
];

await t.test("CNI_CONTAINERID and CNI_IFNAME are looked at before anything else", async (t) => {
  for (const plugin of PLUGINS) {
    for (const command of CONTAINER_COMMANDS) {
      for (const [variable, value, msg] of BAD_VARIABLES) {
        // the other variable is missing, and there is no JSON: both come later
        const other = variable === "containerId" ? "CNI_IFNAME" : "CNI_CONTAINERID";
        const call = plainCall(plugin, command, { [variable]: value, stdin: "", env: { [other]: "" } });
        const details = variable === "containerId" ? value : /^/;
        const name = `${plugin} ${command} ${variable} ${show(value)}`;
        refused(t, await host.cni(plugin, call), { code: 4, msg, details }, name);
      }
    }
  }
  await unchanged(t, host, untouched, "nothing changed: variables");
});

const CUT = "error unmarshall network config: unexpected end of JSON input";
const UNREADABLE = /^error unmarshall network config: ./;
const BAD_NAME = "invalid characters found in network name";
type BadStdin = [what: string, stdin: string, code: number, msg: string | RegExp, details?: string];

const BAD_STDIN: BadStdin[] = [
  ["nothing", "", 6, CUT],
  ["white space", " \n", 6, CUT],
  ["half an object", '{"name": "net"', 6, UNREADABLE],
  ["text", "no JSON", 6, UNREADABLE],
  ["an array", "[]", 6, UNREADABLE],
  ["a string", '"net"', 6, UNREADABLE],
  ["a number", "5", 6, UNREADABLE],
  ["two objects", '{"name": "net"} {"name": "net"}', 6, UNREADABLE],
  ["a comma at the end", '{"name": "net",}', 6, UNREADABLE],
  ["a comment", '{"name": "net"} // here', 6, UNREADABLE],
  ["a byte-order mark", '\ufeff{"name": "net"}', 6, UNREADABLE],
  ["a NUL", '{"name": "net"}\0', 6, UNREADABLE],
  ["depth without end", `{"name": "net", "a": ${"[".repeat(100_000)}`, 6, UNREADABLE],
  ["a name that is a number", '{"name": 5}', 6, UNREADABLE],
  ["a version that is a number", '{"name": "net", "cniVersion": 5}', 6, /./],
  ["no name", "{}", 7, "missing network name"],
  ["no name, and a version that is none", '{"cniVersion": "9.9.9"}', 7, "missing network name"],
  ["name null", '{"name": null}', 7, "missing network name"],
  ["name empty", '{"name": ""}', 7, "missing network name"],
  ["the last of two names", '{"name": "net", "NAME": "-"}', 7, BAD_NAME, "-"],
  ...["-a", ".", "..", "a/b", "../a", "a b", "a:b", "a\n", "ä", "a\0"].map(
    (name): BadStdin => [`name ${show(name)}`, show({ name, cniVersion: "1.1.0" }), 7, BAD_NAME, name],
  ),
];

await t.test("stdin has to be one JSON object with a good name", async (t) => {
  for (const plugin of PLUGINS) {
    for (const [what, stdin, code, msg, details] of BAD_STDIN) {
      const wanted = { code, msg, ...(details === undefined ? {} : { details }) };
      refused(
        t,
        await host.cni(plugin, plainCall(plugin, "ADD", { stdin })),
        wanted,
        `${plugin} ADD: ${what}`,
      );
    }
    for (const command of COMMANDS.filter((each) => each !== "ADD")) {
      for (const [, stdin, code, msg] of BAD_STDIN.filter(([what]) =>
        /^(nothing|text|no name|name "-a")$/.test(what),
      )) {
        const call = plainCall(plugin, command, { stdin });
        refused(t, await host.cni(plugin, call), { code, msg }, `${plugin} ${command}: ${show(stdin)}`);
      }
    }
  }
  await unchanged(t, host, untouched, "nothing changed: stdin");
});

await t.test("a version that the plugin does not speak, or that has no such command", async (t) => {
  const list = VERSIONS.map((version) => `"${version}"`).join(" ");
  const cases: [command: string, version: string, Refusal][] = [];
  for (const command of ["ADD", "DEL"]) {
    for (const version of ["2.0.0", "1.1.1", "0.3.2", "0.0.1"]) {
      const details = `config is "${version}", plugin supports [${list}]`;
      cases.push([command, version, { code: 1, msg: "incompatible CNI versions", details }]);
    }
  }
  for (const [command, since] of [
    ["CHECK", 4],
    ["GC", 6],
    ["STATUS", 6],
  ] as const) {
    for (const version of ["", ...VERSIONS.slice(0, since)])
      cases.push([command, version, { code: 1, msg: `config version does not allow ${command}` }]);
    for (const version of ["1.1.1", "2.0.0"])
      cases.push([command, version, { code: 1, msg: `plugin version does not allow ${command}` }]);
  }
  cases.push(["CHECK", "0.5.0", { code: 1, msg: "incompatible CNI versions" }]);
  for (const plugin of PLUGINS) {
    for (const [command, cniVersion, wanted] of cases) {
      const call = plainCall(plugin, command, { config: plainConfig(plugin, { cniVersion }) });
      const spoken = (VERSIONS as readonly string[]).includes(cniVersion) ? { cniVersion } : {};
      const name = `${plugin} ${command} ${show(cniVersion)}`;
      refused(t, await host.cni(plugin, call), { ...wanted, ...spoken }, name);
    }
    const absent = plainCall(plugin, "CHECK", { config: plainConfig(plugin, { cniVersion: undefined }) });
    const wanted = { code: 1, msg: "config version does not allow CHECK" };
    refused(t, await host.cni(plugin, absent), wanted, `${plugin} CHECK without a version`);
  }
  await unchanged(t, host, untouched, "nothing changed: versions");
});

await t.test("GC and STATUS need no container, and do not look at one", async (t) => {
  for (const plugin of PLUGINS) {
    for (const command of ["GC", "STATUS"]) {
      silent(t, await host.cni(plugin, plainCall(plugin, command)), `${plugin} ${command}`);
      const bad = { containerId: "-", ifname: "a/b", netns: "/nope" };
      silent(t, await host.cni(plugin, plainCall(plugin, command, bad)), `${plugin} ${command}, bad ones`);
    }
  }
});

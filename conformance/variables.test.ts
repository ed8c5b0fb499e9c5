/** CNI_NETNS that is the plugin's own, CNI_NETNS_OVERRIDE, CNI_ARGS and CNI_PATH. */
import t from "tap";
import { makeHost } from "./fixtures/host.ts";
import { type NormalSnapshot, normalise } from "./fixtures/normalise.ts";
import { PLUGINS, type PluginName, plainCall, plainConfig } from "./fixtures/plain-call.ts";
import { refused, silent, unchanged } from "./fixtures/refusal.ts";

const host = await makeHost(t);
const container = await host.container("c1");
await host.exec("ln", ["-s", "/proc/self/ns/net", "/run/own"]);
const untouched = normalise(await host.snapshot());

/** The host without the bridge of the cases before, whose carrier the kernel takes a second to give up. */
async function settled(): Promise<NormalSnapshot> {
  await host.exec("ip", ["link", "delete", "cni0"], { reject: false });
  return normalise(await host.snapshot());
}

await t.test("the plugin's own namespace is refused before anything is changed", async (t) => {
  const code = 8;
  const msg = "plugin's netns and netns from CNI_NETNS should not be the same";
  for (const plugin of PLUGINS) {
    for (const command of ["ADD", "DEL"]) {
      for (const netns of ["/proc/self/ns/net", "/proc/1/ns/net", host.path, "/run/own"]) {
        const call = plainCall(plugin, command, { netns });
        refused(t, await host.cni(plugin, call), { code, msg }, `${plugin} ${command} ${netns}`);
      }
      for (const value of ["", "0", "no", "false"]) {
        const call = plainCall(plugin, command, { netns: host.path, env: { CNI_NETNS_OVERRIDE: value } });
        const name = `${plugin} ${command}, CNI_NETNS_OVERRIDE=${value}`;
        refused(t, await host.cni(plugin, call), { code, msg }, name);
      }
    }
  }
  await unchanged(t, host, untouched, "nothing changed");
});

await t.test("CNI_NETNS_OVERRIDE allows it", async (t) => {
  for (const plugin of PLUGINS) {
    for (const value of ["1", "true"]) {
      const call = { netns: host.path, env: { CNI_NETNS_OVERRIDE: value } };
      const added = await host.cni(plugin, plainCall(plugin, "ADD", call));
      t.match(added, { code: 0, stderr: "" }, `${plugin} ADD, CNI_NETNS_OVERRIDE=${value}`);
      silent(t, await host.cni(plugin, plainCall(plugin, "DEL", call)), `${plugin} DEL`);
    }
  }
  await host.exec("ip", ["link", "set", "lo", "up"]); // loopback's DEL sets it down
});

await t.test("a namespace that is none", async (t) => {
  const before = await settled();
  const gone = `failed to open netns "/nope": failed to Statfs "/nope": no such file or directory`;
  for (const plugin of ["bridge", "loopback"] as const) {
    for (const [netns, msg] of [
      ["/nope", gone],
      ["/etc/hostname", /^failed to open netns "\/etc\/hostname": /],
      ["/proc/self/ns/pid", /^failed to open netns "\/proc\/self\/ns\/pid": /],
      ["/run", /^failed to open netns "\/run": /],
    ] as const) {
      refused(
        t,
        await host.cni(plugin, plainCall(plugin, "ADD", { netns })),
        { msg },
        `${plugin} ADD ${netns}`,
      );
    }
  }
  for (const plugin of PLUGINS) {
    silent(t, await host.cni(plugin, plainCall(plugin, "DEL", { netns: "/nope" })), `${plugin} DEL /nope`);
  }
  await unchanged(t, host, before, "nothing changed");
});

const KUBERNETES = [
  "IgnoreUnknown=1",
  "K8S_POD_NAMESPACE=default",
  "K8S_POD_NAME=web-0",
  "K8S_POD_INFRA_CONTAINER_ID=0123",
  "K8S_POD_UID=a-b-c",
].join(";");

const GOOD_ARGS: [plugin: PluginName, args: string][] = [
  ...PLUGINS.flatMap((plugin): [PluginName, string][] => [
    [plugin, ""],
    [plugin, KUBERNETES],
    [plugin, "IgnoreUnknown=true;FOO=bar"],
    [plugin, "FOO=bar;IgnoreUnknown=1"],
    [plugin, "IgnoreUnknown=1"],
  ]),
  ["bridge", "MAC=02:11:22:33:44:55"],
  ["bridge", "MAC=02:11:22:33:44:55;IgnoreUnknown=1"],
  ["host-local", "IP=10.1.0.9"],
  ["host-local", "IP=10.1.0.9/24"],
  ["static", "IP=10.1.0.9/24"],
  ["static", "IP=10.1.0.9/24;GATEWAY=10.1.0.1"],
];

await t.test("CNI_ARGS with nothing wrong", async (t) => {
  for (const [plugin, args] of GOOD_ARGS) {
    const added = await host.cni(plugin, plainCall(plugin, "ADD", { args }));
    t.match(added, { code: 0, stderr: "" }, `${plugin} ADD ${args}`);
    silent(t, await host.cni(plugin, plainCall(plugin, "DEL", { args })), `${plugin} DEL ${args}`);
  }
});

const BAD_ARGS: [args: string, msg: string][] = [
  ["FOO=bar", 'ARGS: unknown args ["FOO=bar"]'],
  ["FOO=bar;BAR=foo", 'ARGS: unknown args ["FOO=bar" "BAR=foo"]'],
  ["FOO=bar;IgnoreUnknown=0", 'ARGS: unknown args ["FOO=bar"]'],
  ["FOO=bar;IgnoreUnknown=false", 'ARGS: unknown args ["FOO=bar"]'],
  ["ignoreunknown=1", 'ARGS: unknown args ["ignoreunknown=1"]'],
  ["mac=02:11:22:33:44:55", 'ARGS: unknown args ["mac=02:11:22:33:44:55"]'],
  ["ip=10.1.0.9/24", 'ARGS: unknown args ["ip=10.1.0.9/24"]'],
  ["FOO", 'ARGS: invalid pair "FOO"'],
  ["FOO=a=b", 'ARGS: invalid pair "FOO=a=b"'],
  ["IgnoreUnknown=1;FOO", 'ARGS: invalid pair "FOO"'],
  ["IgnoreUnknown=1;", 'ARGS: invalid pair ""'],
  [";", 'ARGS: invalid pair ""'],
];

await t.test("CNI_ARGS with something wrong", async (t) => {
  const before = await settled();
  for (const plugin of ["bridge", "host-local", "static"] as const) {
    for (const [args, msg] of BAD_ARGS) {
      const call = plainCall(plugin, "ADD", { args });
      refused(t, await host.cni(plugin, call), { code: 4, msg }, `${plugin} ${args}`);
    }
  }
  for (const args of ["IgnoreUnknown=maybe", "IgnoreUnknown="]) {
    refused(t, await host.cni("static", plainCall("static", "ADD", { args })), { msg: /ARGS/ }, args);
  }
  await unchanged(t, host, before, "nothing changed");
});

await t.test("an argument that bridge understands does not trouble its IPAM plugin", async (t) => {
  const ipam = { type: "host-local", ranges: [[{ subnet: "10.2.0.0/24" }]] };
  const config = plainConfig("bridge", { ipam });
  const mac = "02:11:22:33:44:55";
  const call = { config, container, args: `MAC=${mac}` };
  const { result } = await host.cni("bridge", { command: "ADD", ...call });
  t.match(result, { interfaces: [{}, {}, { mac }], ips: [{ address: "10.2.0.2/24" }] });
  t.match(await container.link("eth0"), { address: mac });
  const prevResult = { ...config, prevResult: result };
  silent(t, await host.cni("bridge", { command: "CHECK", ...call, config: prevResult }), "CHECK");
  silent(t, await host.cni("bridge", { command: "DEL", ...call }), "DEL");

  const before = await settled();
  for (const args of [`MAC=${mac};FOO=bar`, "FOO=bar", `MAC=${mac};IP=10.2.0.7`]) {
    const msg = /^ARGS: unknown args \["(FOO=bar|IP=10\.2\.0\.7)"\]$/;
    refused(t, await host.cni("bridge", { command: "ADD", ...call, args }), { code: 4, msg }, args);
  }
  await unchanged(t, host, before, "nothing changed");
});

await t.test("CNI_PATH is needed where something has to be found", async (t) => {
  const config = plainConfig("bridge", { ipam: { type: "nosuch" } });
  const before = await settled();
  for (const [path, msg] of [
    [undefined, "no paths provided"],
    ["", "no paths provided"],
    ["/nope", 'failed to find plugin "nosuch" in path [/nope]'],
    ["/nope:/etc", 'failed to find plugin "nosuch" in path [/nope /etc]'],
  ] as const) {
    for (const command of ["ADD", "DEL", "STATUS"]) {
      const call = plainCall("bridge", command, { config, env: { CNI_PATH: path } });
      refused(t, await host.cni("bridge", call), { msg }, `bridge ${command}, CNI_PATH ${path}`);
    }
  }
  await unchanged(t, host, before, "nothing changed");
  for (const plugin of PLUGINS) {
    const wanted = { code: 4, msg: "required env variables [CNI_PATH] missing" };
    const call = plainCall(plugin, "GC", { env: { CNI_PATH: undefined } });
    refused(t, await host.cni(plugin, call), wanted, `${plugin} GC, the only command that has to have it`);
  }
  for (const plugin of PLUGINS) {
    for (const command of ["ADD", "DEL", "STATUS"]) {
      const { code } = await host.cni(plugin, plainCall(plugin, command, { env: { CNI_PATH: undefined } }));
      t.equal(code, 0, `${plugin} ${command} without CNI_PATH`);
    }
  }
});

await t.test("a name of an IPAM plugin that is none", async (t) => {
  const before = await settled();
  for (const type of ["../host-local", "/usr/lib/cni/host-local", "a/b", "./host-local"]) {
    const call = plainCall("bridge", "ADD", { config: plainConfig("bridge", { ipam: { type } }) });
    refused(t, await host.cni("bridge", call), { msg: `invalid plugin name: ${type}` }, type);
  }
  await unchanged(t, host, before, "nothing changed");
});

await t.test("variables of others are none of a plugin's business", async (t) => {
  const env = {
    TRACEPARENT: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    BAGGAGE: "a=b",
    CNI_FUTURE: "1",
    LANG: "de_DE.UTF-8",
    BUN_OPTIONS: "--version",
    NODE_OPTIONS: "--require=/nope",
  };
  for (const plugin of PLUGINS)
    silent(t, await host.cni(plugin, plainCall(plugin, "STATUS", { env })), plugin);
});

/** weft add, del, check, gc and status: the built executables driven by hand, without another runtime. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t, { type Test } from "tap";
import { type Host, makeHost } from "./fixtures/host.ts";
import { normalise } from "./fixtures/normalise.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import type { Ended } from "./fixtures/running.ts";

const WEFT = join(BUILT_PLUGINS, "weft");
const RESULTS = "/var/lib/cni/results";

const NETWORK = {
  cniVersion: "1.1.0",
  name: "net",
  plugins: [
    {
      type: "bridge",
      bridge: "br0",
      isDefaultGateway: true,
      capabilities: { mac: true },
      ipam: { type: "host-local", ranges: [[{ subnet: "10.9.0.0/24" }]] },
    },
  ],
};

/** A host with the network in /etc/cni/net.d and a container "c1", and weft to be run there. */
async function prepare(t: Test, network: object = NETWORK) {
  const host = await makeHost(t);
  const container = await host.container("c1");
  await host.exec("mkdir", ["-p", "/etc/cni/net.d"]);
  writeFileSync(host.view("/etc/cni/net.d/10-net.conflist"), JSON.stringify(network));
  const weft = (words: string, variables: readonly string[] = []): Promise<Ended> =>
    host.exec("env", [...variables, WEFT, ...words.split(" ")], { reject: false });
  return { host, container, weft };
}

async function resultsOf(host: Host): Promise<string[]> {
  const { stdout } = await host.exec("ls", [RESULTS], { reject: false });
  return stdout.split("\n").filter(Boolean);
}

await t.test("weft add connects, weft check finds it so, weft del leaves nothing", async (t) => {
  const { host, container, weft } = await prepare(t);
  t.match(await weft("status net"), { exitCode: 0, stdout: "", stderr: "" });
  const added = await weft("add net c1", ['CAP_ARGS={"mac": "02:00:00:00:00:07", "ips": ["10.9.0.9/24"]}']);
  t.match(added, { exitCode: 0, stderr: "" });
  t.match(JSON.parse(added.stdout), {
    cniVersion: "1.1.0",
    interfaces: [
      { name: "br0" },
      {},
      { name: "eth0", mac: "02:00:00:00:00:07", sandbox: "/var/run/netns/c1" },
    ],
    ips: [{ address: "10.9.0.2/24" }],
  });
  t.ok(await container.ping("10.9.0.1"));
  t.match(await weft("check net c1"), { exitCode: 0, stdout: "", stderr: "" });
  t.match(await resultsOf(host), [/^net-cnitool-[0-9a-f]{20}-eth0$/]);

  await container.exec("ip", ["address", "flush", "dev", "eth0"]);
  t.match(await weft("check net c1"), {
    exitCode: 2,
    stderr: /^weft: plugin "bridge" failed CHECK with code 100:/,
  });

  t.match(await weft("del net c1"), { exitCode: 0, stdout: "", stderr: "" });
  t.same(await resultsOf(host), []);
  t.match(await weft("del net c1"), { exitCode: 0, stderr: /no result of an ADD/ });
  t.match(await weft("gc net"), { exitCode: 0, stdout: "nothing was left behind\n", stderr: "" });
  t.same(
    (await host.ip("link", "show")).map(({ ifname }) => ifname),
    ["lo"],
  );
});

await t.test("weft add takes everything back when a later plugin fails", async (t) => {
  const { host, weft } = await prepare(t, { ...NETWORK, plugins: [...NETWORK.plugins, { type: "refuses" }] });
  await host.exec("mkdir", ["-p", "/opt/cni/bin"]);
  const script = `#!/bin/sh\n[ $CNI_COMMAND = DEL ] || { echo '{"code": 120, "msg": "no"}'; exit 1; }\n`;
  writeFileSync(host.view("/opt/cni/bin/refuses"), script, { mode: 0o755 });
  const { networks: before } = await host.snapshot();
  t.match(await weft("add net c1"), {
    exitCode: 2,
    stdout: "",
    stderr:
      'weft: plugin "refuses" failed ADD with code 120: no\nDEL was run on every plugin: nothing is left\n',
  });
  await weft("gc net"); // the bridge goes with its network
  const { networks, files } = await host.snapshot();
  t.same({ ...networks["host"], sysctls: {} }, { ...before["host"], sysctls: {} });
  t.same(networks["c1"], before["c1"]);
  t.notOk(Object.keys(files).some((path) => path.endsWith("/10.9.0.2")));
  t.same(await resultsOf(host), []);
});

await t.test("weft add refuses what is there, and harms nothing", async (t) => {
  const { host, weft } = await prepare(t);
  await weft("add net c1");
  const before = normalise(await host.snapshot());
  t.match(await weft("add net c1"), {
    exitCode: 1,
    stderr:
      'weft: "c1" is on network "net" already, as eth0: weft network disconnect takes it off, or choose another --ifname\n',
  });
  await host.exec("rm", ["-r", RESULTS]);
  t.match(await weft("add net c1"), {
    exitCode: 1,
    stderr: /^weft: "c1" is on network "net" already, as eth0, and no result of that is kept: /,
  });
  t.same(normalise(await host.snapshot()), before);
});

await t.test("weft gc removes what a vanished container left, and keeps the others", async (t) => {
  const { host, container, weft } = await prepare(t);
  const other = await host.container("c2");
  await weft("add net c1");
  await weft("add net c2");
  await container.remove();
  t.match(await weft("gc net"), {
    exitCode: 0,
    stdout: /^removed \S+ \(eth0 on net\): \/var\/run\/netns\/c1 is gone\n$/,
  });
  t.equal((await resultsOf(host)).length, 1);
  const { files } = await host.snapshot();
  const leases = Object.keys(files).filter((path) => /\/10\.9\.0\.\d+$/.test(path));
  t.same(leases, ["/var/lib/cni/networks/net/10.9.0.3"]);
  t.ok(await other.ping("10.9.0.1"));
});

await t.test(
  "weft gc keeps a container whose result is not in /var/lib/cni, and names what it takes",
  async (t) => {
    const { host, container, weft } = await prepare(t);
    await weft("add net c1");
    await host.exec("rm", ["-r", RESULTS]);
    const lease = "/var/lib/cni/networks/net/10.9.0.9";
    const dead = "printf 'dead\\r\\neth0' > ";
    await host.exec("sh", [
      "-c",
      `${dead}${lease}; mkdir /var/lib/cni/networks/old; ${dead}${lease.replace("net/", "old/")}`,
    ]);
    const stdout = `removed ${lease} of dead\n`;
    t.match(await weft("gc net"), { exitCode: 0, stdout, stderr: "" });
    t.ok(await container.ping("10.9.0.1"), "it lives");
    const { files } = await host.snapshot();
    const leases = Object.keys(files).filter((path) => /\/10\.9\.0\.\d+$/.test(path));
    t.same(leases, ["/var/lib/cni/networks/net/10.9.0.2", "/var/lib/cni/networks/old/10.9.0.9"]);
    t.match(await weft("gc net"), { exitCode: 0, stdout: "nothing was left behind\n", stderr: "" });
  },
);

await t.test("weft says what is wrong before anything is begun", async (t) => {
  const { host, weft } = await prepare(t);
  const refused = async (words: string, message: RegExp, variables: readonly string[] = []) =>
    t.match(await weft(words, variables), { exitCode: 1, stdout: "", stderr: message }, words);
  await refused("add absent c1", /^weft: no network "absent" in \/etc\/cni\/net\.d: it has net\n$/);
  await refused("add net c1", /^weft: cannot read networks: ENOENT/, ["NETCONFPATH=/nowhere"]);
  await refused("add net c1", /failed to find plugin "bridge" in path \[\/nowhere\]/, ["CNI_PATH=/nowhere"]);
  await refused(
    "add net absent",
    /no container "absent": ip netns has c1, host\nip netns add absent makes one/,
  );
  await refused("add net c1 --ifname a/b", /interface name contains \//);
  await refused("add net c1", /CNI_ARGS: "IP" is not KEY=value/, ["CNI_ARGS=IP"]);
  await refused("check net c1", /"c1" is not on network "net" as eth0/);
  await refused("add net", /missing required argument 'container'\n\(--help says more\)/);
  await refused("ad net c1", /unknown command 'ad'/);
  const { files } = await host.snapshot();
  const locks = ["/run/weft/locks/attachments", "/run/weft/locks/network:net"];
  t.same(Object.keys(files), locks); // what is locked, and no more
  const nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", WEFT, "add", "net", "c1"];
  t.match(await host.exec("setpriv", nobody, { reject: false }), {
    exitCode: 1,
    stderr: /(EPERM|EACCES).*\nrun as root\n$/,
  });
});

/**
 * host-device with one end of a veth pair as the device: packets through it, how it is named, what is
 * refused, and what CHECK notices. What becomes of it afterwards is in host-device-life.test.ts, the
 * reference plugin beside it in host-device-reference.test.ts, hardware in host-device-pci.test.ts.
 */
import t, { type Test } from "tap";
import { attach, bridgeNetwork } from "./fixtures/attachment.ts";
import { type Container, makeHost } from "./fixtures/host.ts";
import {
  addDevice,
  claimsOf,
  DEVICE,
  deviceIn,
  deviceNetwork,
  FAR_ADDRESSES,
  FAR_END,
  LEASED,
  makeStage,
} from "./fixtures/host-device.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { answered, refused, silent, unchanged } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(6 * TIMEOUT_MS);
const lacks = await missing("veth");
if (lacks) {
  skip(t, lacks);
  process.exit();
}

function run(name: string, act: (t: Test) => Promise<void>): Promise<unknown> {
  return t.test(name, { timeout: TIMEOUT_MS }, act);
}

await run("packets pass through the device, and it comes back as it was", async (t) => {
  const { host, container } = await makeStage(t);
  const before = normalise(await host.snapshot());
  t.strictSame(await deviceIn(host), DEVICE);
  const call = { config: deviceNetwork(), container };
  const { ifname, address, mtu } = DEVICE;
  const interfaces = [{ name: "eth0", mac: address, mtu, sandbox: container.path }];
  const gateways = ["10.9.0.1", "fd00:9::1"];
  const ips = LEASED.map((address, index) => ({ interface: 0, address, gateway: gateways[index] }));
  const added = await host.cni("host-device", { command: "ADD", ...call });
  answered(t, added, { cniVersion: "1.1.0", interfaces, ips }, "ADD");

  const inside = await deviceIn(container, "eth0");
  const wanted = { ...DEVICE, ifname: "eth0", ifalias: ifname, addresses: LEASED };
  t.strictSame(inside, wanted, "its alias is the name it had");
  t.equal(await deviceIn(host), undefined);
  for (const far of FAR_ADDRESSES) t.ok(await container.ping(far), `${far} answers`);
  for (const lease of LEASED) t.ok(await host.ping(lease.replace(/\/.*/, "")), `${lease} answers`);
  const [neighbour] = await host.ip("neighbour", "show", "10.9.0.2");
  t.match(neighbour, { dev: FAR_END, lladdr: address }, "with the MAC of the device");

  const known = { ...call, config: { ...call.config, prevResult: added.result } };
  silent(t, await host.cni("host-device", { command: "CHECK", ...known }), "CHECK");
  silent(t, await host.cni("host-device", { command: "DEL", ...known }), "DEL");
  t.strictSame(await deviceIn(host), DEVICE, "name, MAC, MTU, alias, up, addresses");
  silent(t, await host.cni("host-device", { command: "DEL", ...known }), "the second DEL");
  t.strictSame(remains(before, await host.snapshot()), []);
});

await run("the device is named by one key", async (t) => {
  const { host, container } = await makeStage(t);
  await host.exec("ip", ["link", "property", "add", "dev", DEVICE.ifname, "altname", "wan"]);
  const long = "an-alternative-name-of-the-device";
  await host.exec("ip", ["link", "property", "add", "dev", DEVICE.ifname, "altname", long]);
  // its name is the first there is, once it is this
  const { ifname } = DEVICE;
  const rename = `ip link set ${ifname} down; ip link set ${ifname} name aaa0; ip link set aaa0 up`;
  const ways: [keys: object, script?: string][] = [
    [{ device: DEVICE.ifname }],
    [{ device: "wan" }],
    [{ device: long }],
    [{ DEVICE: DEVICE.ifname }],
    [{ hwaddr: DEVICE.address }],
    [{ hwaddr: DEVICE.address.replaceAll(":", "-") }],
    [{ hwaddr: "0200.0000.0077" }],
    [{ hwAddr: DEVICE.address.toUpperCase() }],
    [{ hwaddr: DEVICE.address }, `ip link add br0 address ${DEVICE.address} type bridge`],
    [{ kernelpath: "/sys/devices/virtual/" }, rename],
  ];
  for (const [keys, script = "true"] of ways) {
    await host.exec("sh", ["-c", script]);
    const config = { ...deviceNetwork(), device: undefined, ...keys };
    const attachment = await attach(container, config);
    t.match(await deviceIn(container, "eth0"), { address: DEVICE.address }, JSON.stringify(keys));
    silent(t, await attachment.check(), "CHECK");
    silent(t, await attachment.del(), "DEL");
  }
});

await run("a configuration that names none is refused", async (t) => {
  const { host, container } = await makeStage(t);
  const before = normalise(await host.snapshot());
  const unspecified = 'specify either "device", "hwaddr", "kernelpath" or "pciBusID"';
  const absent = /^failed to find host device: no interface of this host has "/;
  const cases: [keys: object, code: number, msg: string | RegExp][] = [
    [{}, 7, unspecified],
    [{ device: "" }, 7, unspecified],
    [{ device: DEVICE.ifname, hwaddr: DEVICE.address }, 7, unspecified],
    [{ device: DEVICE.ifname, runtimeConfig: { deviceID: "0000:00:04.0" } }, 7, unspecified],
    [{ device: "no/name" }, 7, 'invalid "device": "no/name"'],
    [{ device: "x".repeat(128) }, 7, /^invalid "device"/],
    [{ hwaddr: "02:00" }, 7, 'invalid "hwaddr": "02:00"'],
    [{ kernelpath: "devices/virtual" }, 7, 'invalid "kernelpath": "devices/virtual"'],
    [{ kernelpath: "/sys/devices/../class" }, 7, 'invalid "kernelpath": "/sys/devices/../class"'],
    [{ pciBusID: "../x" }, 7, 'invalid "pciBusID": "../x"'],
    [{ device: 1 }, 7, /device/],
    [{ device: "none0" }, 7, absent],
    [{ device: "none0".repeat(5) }, 7, absent],
    [{ hwaddr: "02:00:00:00:00:99" }, 7, absent],
    [{ kernelpath: "/sys/devices/none" }, 7, absent],
    [{ pciBusID: "ffff:ff:1f.7" }, 7, absent],
    [{ runtimeConfig: { deviceID: "mlx5_core.sf.99" } }, 7, absent],
  ];
  for (const [keys, code, msg] of cases) {
    const config = { ...deviceNetwork(), device: undefined, ...keys };
    const name = JSON.stringify(keys).slice(0, 80);
    refused(t, await host.cni("host-device", { command: "ADD", config, container }), { code, msg }, name);
    silent(t, await host.cni("host-device", { command: "DEL", config, container }), `${name}: DEL`);
  }
  t.strictSame(remains(before, await host.snapshot()), []);
});

await run("a name that is taken here or there is in nobody's way", async (t) => {
  const { host, container } = await makeStage(t);
  const dummy = (name: string) => ["link", "add", name, "type", "veth", "peer", "name", `${name}-x`];
  await container.ip(...dummy(DEVICE.ifname)); // the name it comes with
  await host.ip(...dummy("eth0")); // the name it comes back with
  const attachment = await attach(container, deviceNetwork());
  t.match(await deviceIn(container, "eth0"), { address: DEVICE.address, ifalias: DEVICE.ifname });
  silent(t, await attachment.del(), "DEL");
  t.strictSame(await deviceIn(host), DEVICE, "it has its name again");

  for (const name of ["dev0", "dev1"]) {
    await attach(container, deviceNetwork());
    await host.ip(...dummy(DEVICE.ifname)); // meanwhile
    silent(t, await attachment.del(), "DEL, with its name another's");
    const links = await host.ip("link", "show");
    const back = links.find(({ ifalias }) => ifalias === DEVICE.ifname);
    t.match(back, { ifname: /^dev\d+$/, address: DEVICE.address }, `it is called as ${name} or the like`);
    t.ok(back?.flags.includes("UP"));
    silent(t, await attachment.del(), "the second DEL");
    t.strictSame(await claimsOf(host), []);
    await host.ip("link", "delete", DEVICE.ifname);
    // before Linux 6.2 nothing is renamed while it is up
    await host.ip("link", "set", back?.ifname ?? "", "down");
    await host.ip("link", "set", back?.ifname ?? "", "name", DEVICE.ifname);
    await host.ip("link", "set", DEVICE.ifname, "alias", DEVICE.ifalias, "up");
  }
});

await run("what no container can have is refused, and stays where it is", async (t) => {
  const { host, container } = await makeStage(t);
  await container.ip("link", "add", "eth0", "type", "veth", "peer", "name", "x0");
  const ports = (await missing("bridge")) ? [] : ["br0"];
  for (const name of ports) {
    await host.ip("link", "add", name, "type", "bridge");
    await host.ip("link", "set", FAR_END, "master", name);
  }
  const before = normalise(await host.snapshot());
  const add = (keys: Record<string, unknown>, call: object = {}) =>
    host.cni("host-device", { command: "ADD", config: deviceNetwork(keys), container, ...call });
  const free = { ifname: "eth1" };
  refused(t, await add({}), { code: 4, msg: /"eth0" already exists/ }, "a taken CNI_IFNAME");
  refused(
    t,
    await add({ device: "lo" }, free),
    { code: 7, msg: 'device "lo" is the loopback interface' },
    "lo",
  );
  refused(
    t,
    await add({}, { ...free, netns: "/run/netns/none" }),
    { code: 4, msg: /^failed to open netns/ },
    "",
  );
  for (const name of ports) {
    const port = { code: 7, msg: `device "${FAR_END}" is a port of "${name}"`, details: /nomaster$/ };
    refused(t, await add({ device: FAR_END }, free), port, "a port of a bridge");
    const immovable = { code: 7, msg: `device "${name}" cannot be a container's`, details: /EINVAL/ };
    refused(t, await add({ device: name }, free), immovable, "a bridge");
  }
  await unchanged(t, host, before, "nothing has changed");
});

await run("a device is one container's", async (t) => {
  const { host, container } = await makeStage(t);
  const second = await host.container("c2");
  const attachment = await attach(container, deviceNetwork());
  const inUse = {
    code: 11,
    msg: `device "${DEVICE.ifname}" is in use: container "${container.containerId}" has it as "eth0"`,
    details: /^on network "net", in "\/run\/netns\/c1"/,
  };
  const configs = [
    deviceNetwork(),
    deviceNetwork({ name: "other" }),
    deviceNetwork({ device: undefined, hwaddr: DEVICE.address }),
  ];
  const before = normalise(await host.snapshot());
  for (const config of configs) {
    const add = await host.cni("host-device", { command: "ADD", config, container: second });
    refused(t, add, inUse, `ADD on ${config.name}`);
    silent(t, await host.cni("host-device", { command: "DEL", config, container: second }), "DEL");
  }
  const again = await host.cni("host-device", { command: "ADD", config: deviceNetwork(), container });
  refused(t, again, { code: 4, msg: /"eth0" already exists/ }, "ADD again");
  const moved = { containerId: container.containerId, netns: second.path, ifname: "eth0" };
  const twice = await host.cni("host-device", { command: "ADD", config: deviceNetwork(), ...moved });
  refused(t, twice, { code: 4, msg: /already has "eth0" on network "net"/ }, "in another namespace");
  t.strictSame(remains(before, await host.snapshot()), [], "nothing has changed");
  silent(t, await attachment.del(), "DEL");
  const next = await attach(second, deviceNetwork());
  t.match(await deviceIn(second, "eth0"), { address: DEVICE.address }, "the next has it");
  silent(t, await next.del(), "its DEL");
  t.strictSame(await deviceIn(host), DEVICE);
});

await run("of many at once one gets the device", async (t) => {
  const host = await makeHost(t);
  await addDevice(host);
  const containers: Container[] = [];
  for (const name of ["c1", "c2", "c3", "c4", "c5", "c6"]) containers.push(await host.container(name));
  const config = deviceNetwork({ ipam: {} });
  for (let round = 1; round <= 3; round++) {
    const added = await Promise.all(
      containers.map((container) => host.cni("host-device", { command: "ADD", config, container })),
    );
    t.equal(added.filter(({ code }) => code === 0).length, 1, `round ${round}: one`);
    t.strictSame(new Set(added.map(({ error }) => error?.code)), new Set([undefined, 11]));
    const deleted = await Promise.all(
      containers.map((container) => host.cni("host-device", { command: "DEL", config, container })),
    );
    for (const outcome of deleted) silent(t, outcome, "DEL");
    t.strictSame(await deviceIn(host), DEVICE, "it is back");
  }
});

await run("DEL of a refused attachment leaves the interface to the other", async (t) => {
  const { host, container } = await makeStage(t);
  await host.ip("link", "add", "wan1", "type", "veth", "peer", "name", "far1");
  const first = await attach(container, deviceNetwork());
  const other = deviceNetwork({ name: "other", device: "wan1" });
  for (const config of [other, { ...other, device: DEVICE.ifname }, { ...other, device: undefined }]) {
    const add = await host.cni("host-device", { command: "ADD", config, container });
    t.equal(add.code, 1, "ADD of the same interface");
    silent(t, await host.cni("host-device", { command: "DEL", config, container }), "its DEL");
    silent(t, await first.check(), "the first has its device");
  }
  silent(t, await first.del(), "DEL");

  if (await missing("bridge")) return;
  const bridged = await attach(container, bridgeNetwork("blue", ["10.1.0.0/24"]));
  await container.ip("link", "set", "eth0", "alias", DEVICE.ifname);
  refused(
    t,
    await host.cni("host-device", { command: "ADD", config: other, container }),
    { msg: /exists/ },
    "",
  );
  silent(t, await host.cni("host-device", { command: "DEL", config: deviceNetwork(), container }), "DEL");
  silent(t, await bridged.check(), "a bridge's veth is none of its business");
});

await run("a program's device is not moved", async (t) => {
  const { host, container } = await makeStage(t);
  const before = normalise(await host.snapshot());
  for (const key of ["DPDKMode", "dpdkmode"]) {
    const attachment = await attach(container, deviceNetwork({ [key]: true }));
    const interfaces = [{ name: "eth0", sandbox: container.path }];
    t.match(attachment.result, { interfaces, ips: [{ interface: 0 }, { interface: 0 }] }, "ADD");
    t.strictSame(await deviceIn(host), DEVICE, "it stays");
    silent(t, await attachment.check(), "CHECK");
    await host.exec("sh", ["-c", "rm /var/lib/cni/networks/net/10.9.0.*"]);
    refused(t, await attachment.check(), { msg: /./ }, "CHECK without the lease");
    silent(t, await attachment.del(), "DEL");
  }
  t.strictSame(remains(before, await host.snapshot()), []);
});

await run("DNS settings of IPAM are kept, those of the network come first", async (t) => {
  const { container } = await makeStage(t);
  const dns = { nameservers: ["10.9.0.53"], domain: "example.com" };
  const ipam = { type: "static", addresses: [{ address: "10.9.0.9/24" }], dns };
  const own = { nameservers: ["10.1.1.1"] };
  for (const [keys, wanted] of [
    [{ ipam }, dns],
    [{ ipam, dns: own }, own],
    [{ ipam: {}, dns: own }, own],
    [{ ipam, DPDKMode: true }, dns],
  ] as const) {
    const attachment = await attach(container, deviceNetwork(keys));
    t.strictSame(attachment.result.dns, wanted);
    silent(t, await attachment.del(), "DEL");
  }
});

/** What somebody did to a good attachment, and what CHECK says. */
const TAMPERINGS: readonly (readonly [script: string, msg: RegExp])[] = [
  ["address del 10.9.0.9/24 dev eth0", /^Failed to match addr 10\.9\.0\.9\/24/],
  ["address del fd00:9::9/64 dev eth0", /^Failed to match addr fd00:9::9\/64/],
  ["route del 10.8.0.0/16", /^Expected Route /],
  ["link set eth0 down", /^Container interface eth0 is down$/],
  ["link set eth0 address 02:00:00:00:00:78", /Mac doesn't match/],
  ["link set eth0 mtu 1300", /MTU doesn't match/],
  ["link set eth0 name eth7", /^Interface name eth0 not found$/],
];

await run("CHECK notices what is not as it was", async (t) => {
  const { host, container } = await makeStage(t);
  const addresses = [{ address: "10.9.0.9/24" }, { address: "fd00:9::9/64" }];
  const ipam = { type: "static", addresses, routes: [{ dst: "10.8.0.0/16" }] };
  for (const [command, msg] of TAMPERINGS) {
    const attachment = await attach(container, deviceNetwork({ ipam }));
    silent(t, await attachment.check(), `before ${command}`);
    // a kernel before 6.2 renames nothing that is up
    if (command.includes(" name ")) await container.ip("link", "set", "eth0", "down");
    await container.ip(...command.split(" "));
    refused(t, await attachment.check(), { code: 100, msg }, command);
    silent(t, await attachment.del(), "DEL");
    t.strictSame(await deviceIn(host), DEVICE, "it is back as it was");
  }
  const attachment = await attach(container, deviceNetwork());
  await host.exec("rm", [`/var/lib/cni/networks/net/${attachment.address}`]);
  refused(t, await attachment.check(), { msg: /^host-local: / }, "without its lease");
  const unknown = await host.cni("host-device", { command: "CHECK", config: attachment.config, container });
  refused(t, unknown, { code: 7, msg: "required prevResult missing" }, "without prevResult");
  silent(t, await attachment.del(), "DEL");
});

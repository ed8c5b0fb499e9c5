/**
 * T15, addresses: each option of host-local and static does what it says, what they refuse they refuse by
 * name and leave nothing. A foreign IPAM plugin is in foreign-ipam.test.ts.
 */
import t, { type Test } from "tap";
import { type Attachment, attach, bridgeNetwork, type NetworkConfig } from "./fixtures/attachment.ts";
import { type Container, type Host, makeHost } from "./fixtures/host.ts";
import { normalise } from "./fixtures/normalise.ts";
import type { PluginCall } from "./fixtures/plugin-call.ts";
import { type Refusal, refused, silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(5 * TIMEOUT_MS);
const REMEDY = "every address is leased: add a range, or run GC to release what is no longer used";

function hostLocal(ipam: object, keys: Record<string, unknown> = {}): NetworkConfig {
  return bridgeNetwork("net", [], { ipam: { type: "host-local", ...ipam }, ...keys });
}

/** Attaches the next container of the host: "c1", "c2" … */
async function attachNext(host: Host, config: NetworkConfig, call: PluginCall = {}): Promise<Attachment> {
  return attach(await nextContainer(host), config, call);
}

function nextContainer(host: Host): Promise<Container> {
  return host.container(`c${host.containers.size + 1}`);
}

/** One refused ADD that changes nothing. */
async function refusedNext(t: Test, host: Host, config: NetworkConfig, wanted: Refusal & PluginCall) {
  const { msg, code, details, ...call } = wanted;
  const container = await nextContainer(host);
  const before = normalise(await host.snapshot());
  const outcome = await host.cni("bridge", { command: "ADD", config, container, ...call });
  refused(t, outcome, { msg, code, details } as Refusal, `refused by name: ${msg}`);
  t.strictSame(remains(before, await host.snapshot()), [], "and nothing is left of it");
}

/** The addresses of eth0 that a configuration gave, as ip shows them. */
async function heldBy({ container }: Attachment): Promise<string[]> {
  const { addr_info } = await container.link("eth0");
  return addr_info.filter(({ scope }) => scope === "global").map((it) => `${it.local}/${it.prefixlen}`);
}

await t.test("host-local: subnet and gateway", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const config = hostLocal({ subnet: "10.15.0.0/24", gateway: "10.15.0.254" });
  const first = await attachNext(host, config);
  t.same(await heldBy(first), ["10.15.0.1/24"], "the first address is free, since the gateway is another");
  const routes = await first.container.ip("route", "show", "default");
  t.match(routes, [{ gateway: "10.15.0.254", dev: "eth0" }], "the gateway is the default route");
  t.ok(await first.container.ping("10.15.0.254"), "and answers");
  t.same(
    await heldBy(await attachNext(host, config)),
    ["10.15.0.2/24"],
    "the next container has the next address",
  );
});

await t.test("host-local: a range, its round and its end", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const config = hostLocal({ subnet: "10.15.0.0/24", rangeStart: "10.15.0.100", rangeEnd: "10.15.0.102" });
  const all = [
    await attachNext(host, config),
    await attachNext(host, config),
    await attachNext(host, config),
  ];
  const held = (await Promise.all(all.map(heldBy))).flat();
  const expected = ["10.15.0.100/24", "10.15.0.101/24", "10.15.0.102/24"];
  t.strictSame(held, expected, "addresses of the range, with the prefix length of the subnet");
  const msg =
    "failed to allocate for range 0: no IP addresses available in range set: 10.15.0.100-10.15.0.102";
  await refusedNext(t, host, config, { code: 11, msg, details: REMEDY });
  const [, second] = all;
  silent(t, await second!.del(), "one is released"); // there are three
  t.same(await heldBy(await attachNext(host, config)), ["10.15.0.101/24"], "and leased again");
});

await t.test("host-local: an address that is asked for", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const config = hostLocal({ subnet: "10.15.0.0/24" });
  const ips = (...list: string[]) => ({ args: { cni: { ips: list } } });
  const ask = (address: string) => ({ args: `IgnoreUnknown=1;IP=${address}` });
  const byArgs = await attachNext(host, config, ask("10.15.0.50"));
  t.same(await heldBy(byArgs), ["10.15.0.50/24"], "IP in CNI_ARGS");
  t.ok(await host.ping("10.15.0.50"), "is reached");
  const byConvention = await attachNext(host, { ...config, ...ips("10.15.0.60/24") });
  t.same(await heldBy(byConvention), ["10.15.0.60/24"], "args.cni.ips");
  const runtimeConfig = { ips: ["10.15.0.70"] };
  t.same(
    await heldBy(await attachNext(host, { ...config, runtimeConfig })),
    ["10.15.0.70/24"],
    "runtimeConfig.ips",
  );

  const range = "range 0: requested";
  const taken = "IP address 10.15.0.50 is not available in range set 10.15.0.1-10.15.0.254";
  const refusals: (Refusal & PluginCall)[] = [
    { ...ask("10.15.0.50"), code: 11, msg: `failed to allocate for ${range} ${taken}` },
    { ...ask("10.15.0.1"), code: 7, msg: `failed to allocate for ${range} ip 10.15.0.1 is subnet's gateway` },
    { ...ask("10.99.0.1"), code: 7, msg: "failed to allocate all requested IPs: 10.99.0.1" },
    { ...ask("10.15.0.999"), code: 7, msg: "invalid IP address 10.15.0.999" },
  ];
  for (const wanted of refusals) await refusedNext(t, host, config, { details: /./, ...wanted });
  const msg = "failed to allocate all requested IPs: 10.15.0.81";
  await refusedNext(
    t,
    host,
    { ...config, ...ips("10.15.0.80", "10.15.0.81") },
    { code: 7, msg, details: /./ },
  );
  silent(t, await byArgs.del(), "the first container ends");
  t.same(
    await heldBy(await attachNext(host, config, ask("10.15.0.50"))),
    ["10.15.0.50/24"],
    "its address is free",
  );
});

await t.test("host-local: two ranges", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const [low, high] = ["10.15.0.10", "10.15.0.200"].map((only) => {
    return { subnet: "10.15.0.0/24", rangeStart: only, rangeEnd: only };
  });
  const oneSet = hostLocal({ ranges: [[low, high]] });
  const [a, b] = [await attachNext(host, oneSet), await attachNext(host, oneSet)];
  t.same([await heldBy(a), await heldBy(b)], [["10.15.0.10/24"], ["10.15.0.200/24"]], "one after the other");
  t.ok(await a.container.ping("10.15.0.200"), "and they reach each other");
  const none = "failed to allocate for range 0: no IP addresses available in range set: ";
  const msg = `${none}10.15.0.10-10.15.0.10,10.15.0.200-10.15.0.200`;
  await refusedNext(t, host, oneSet, { code: 11, msg, details: REMEDY });

  const wide = { subnet: "10.16.0.0/24" };
  const narrow = { subnet: "10.17.0.0/24", rangeStart: "10.17.0.8", rangeEnd: "10.17.0.9" };
  const keys = { name: "two", bridge: "br-two", isDefaultGateway: false };
  const twoSets = hostLocal({ ranges: [[wide], [narrow]] }, keys);
  const [c, d] = [await attachNext(host, twoSets), await attachNext(host, twoSets)];
  t.same(await heldBy(c), ["10.16.0.2/24", "10.17.0.8/24"], "an address of each set");
  for (const address of d.addresses) t.ok(await c.container.ping(address), `${address} is reached`);
  const second =
    "failed to allocate for range 1: no IP addresses available in range set: 10.17.0.8-10.17.0.9";
  await refusedNext(t, host, twoSets, { code: 11, msg: second, details: REMEDY });
});

await t.test(
  "host-local: routes, DNS, directory, ranges of the runtime",
  { timeout: TIMEOUT_MS },
  async (t) => {
    const host = await makeHost(t);
    await host.exec("sh", [
      "-c",
      'printf "%s" "$1" > /run/resolv.conf',
      "sh",
      "nameserver 10.15.0.9\nsearch a.example b\n",
    ]);
    const routes = [
      { dst: "10.99.0.0/16" },
      { dst: "10.98.0.0/16", gw: "10.15.0.9", priority: 7, mtu: 1300, advmss: 1200 },
      { dst: "10.97.0.0/16", table: 97, scope: 0 },
    ];
    const ipam = {
      ranges: [],
      routes: routes.slice(0, 3),
      dataDir: "/run/leases",
      resolvConf: "/run/resolv.conf",
    };
    const runtimeConfig = { ipRanges: [[{ subnet: "10.15.0.0/24", rangeStart: "10.15.0.30" }]] };
    const { container, result } = await attachNext(host, hostLocal(ipam, { runtimeConfig }));
    t.same(result.ips, [{ interface: 2, address: "10.15.0.30/24", gateway: "10.15.0.1" }], "ipRanges");
    t.same(result.dns, { nameservers: ["10.15.0.9"], search: ["a.example", "b"] }, "resolvConf");
    const table = await container.ip("route", "show", "10.98.0.0/16");
    const metrics = [{ mtu: 1300, advmss: 1200 }];
    t.match(
      table,
      [{ gateway: "10.15.0.9", metric: 7, metrics }],
      "a route with a gateway and metrics of its own",
    );
    t.match(
      await container.ip("route", "show", "10.99.0.0/16"),
      [{ gateway: "10.15.0.1" }],
      "else by the gateway",
    );
    t.match(
      await container.ip("route", "show", "table", "97"),
      [{ dst: "10.97.0.0/16" }],
      "a route in a table",
    );
    const { stdout } = await host.exec("cat", ["/run/leases/net/10.15.0.30"]);
    t.equal(stdout, `${container.containerId}\r\neth0`, "dataDir holds the lease");
    t.notOk(
      (await host.exec("ls", ["/var/lib/cni/networks"], { reject: false })).stdout,
      "and no other directory",
    );
  },
);

await t.test("static: what the configuration names", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  const dns = { nameservers: ["10.15.0.9"], domain: "example", search: ["a"], options: ["ndots:2"] };
  const addresses = [
    { address: "10.15.0.5/24", gateway: "10.15.0.1" },
    { address: "fd00:15::5/64", gateway: "fd00:15::1" },
  ];
  const ipam = { type: "static", addresses, routes: [{ dst: "10.99.0.0/16" }], dns };
  const config = bridgeNetwork("net", [], { ipam });
  const first = await attachNext(host, config);
  t.same(await heldBy(first), ["10.15.0.5/24", "fd00:15::5/64"], "addresses of both families");
  for (const gateway of ["10.15.0.1", "fd00:15::1"])
    t.ok(await first.container.ping(gateway), `${gateway} answers`);
  t.same(first.result.dns, dns, "DNS settings");
  t.match(await first.container.ip("route", "show", "10.99.0.0/16"), [{ gateway: "10.15.0.1" }], "a route");
  silent(t, await first.check(), "CHECK is content");

  const runtimeConfig = { ips: ["10.15.0.6/24"] };
  const second = await attachNext(host, { ...config, runtimeConfig });
  t.same(await heldBy(second), ["10.15.0.6/24"], "runtimeConfig.ips replaces them");
  t.ok(await second.container.ping("10.15.0.5"), "and they reach each other");
  const bare = bridgeNetwork("net", [], { ipam: { type: "static" } });
  const third = await attachNext(host, bare, { args: "IgnoreUnknown=1;IP=10.15.0.7/24;GATEWAY=10.15.0.1" });
  t.same(await heldBy(third), ["10.15.0.7/24"], "IP and GATEWAY in CNI_ARGS");
  t.ok(await third.container.ping("10.15.0.1"), "with its gateway");
  const noCidr = { type: "static", addresses: [{ address: "10.15.0.8" }] };
  const msg = "the 'address' field is expected to be in CIDR notation, got: '10.15.0.8'";
  await refusedNext(t, host, bridgeNetwork("net", [], { ipam: noCidr }), { code: 7, msg, details: /./ });
  await refusedNext(t, host, bare, { code: 999, msg: "IPAM plugin returned missing IP config" });
  silent(t, await first.del(), "DEL says nothing");
});

await t.test(
  "mtu: a packet of that size passes whole, a bigger one does not",
  { timeout: TIMEOUT_MS },
  async (t) => {
    const host = await makeHost(t);
    const config = bridgeNetwork("net", ["10.15.0.0/24", "fd00:15::/64"], { mtu: 1400 });
    const [a, b] = [await attachNext(host, config), await attachNext(host, config)];
    t.strictSame(
      a.result.interfaces?.map(({ mtu }) => mtu),
      [1400, 1400, 1400],
      "the result says so of all three",
    );
    const mtus = [
      (await host.link("cni0")).mtu,
      (await a.hostEnd()).mtu,
      (await a.container.link("eth0")).mtu,
    ];
    t.strictSame(mtus, [1400, 1400, 1400], "and so does ip");
    const headers = [28, 48];
    for (const [family, overhead] of headers.entries()) {
      for (const to of [b.addresses[family] ?? "", ["10.15.0.1", "fd00:15::1"][family] ?? ""]) {
        const size = 1400 - overhead;
        t.ok(await a.container.ping(to, { size, df: true }), `1400 bytes to ${to} with DF`);
        t.notOk(await a.container.ping(to, { size: size + 1, df: true }), "1401 bytes do not");
        t.ok(await a.container.ping(to, { size: 3000 }), "3000 bytes in fragments");
      }
    }
  },
);

/**
 * How keys of a configuration are read: in any case, the last one wins, null and unknown ones are nothing.
 */
import t from "tap";
import { makeHost } from "./fixtures/host.ts";
import { plainCall } from "./fixtures/plain-call.ts";
import { answered, silent } from "./fixtures/refusal.ts";

const host = await makeHost(t);
const container = await host.container("c1");

const A = '{"address": "10.1.0.5/24"}';
const B = '{"address": "10.1.0.6/24"}';
const FIVE = { cniVersion: "1.0.0", ips: [{ address: "10.1.0.5/24" }] };
const SIX = { cniVersion: "1.0.0", ips: [{ address: "10.1.0.6/24" }] };

/** Text, because an object has each key once. */
const STATIC: [what: string, stdin: string, wanted: object][] = [
  ["as they are", `{"cniVersion": "1.0.0", "name": "n", "ipam": {"addresses": [${A}]}}`, FIVE],
  ["capitals", `{"CNIVERSION": "1.0.0", "NAME": "n", "IPAM": {"ADDRESSES": [${A}]}}`, FIVE],
  ["small letters", `{"cniversion": "1.0.0", "name": "n", "ipam": {"addresses": [${A}]}}`, FIVE],
  [
    "inside a list",
    '{"cniVersion": "1.0.0", "name": "n", "ipam": {"addresses": [{"ADDress": "10.1.0.5/24"}]}}',
    FIVE,
  ],
  [
    "the last",
    `{"cniVersion": "1.0.0", "name": "n", "ipam": {"addresses": [${A}], "addresses": [${B}]}}`,
    SIX,
  ],
  [
    "the last in any case",
    `{"cniVersion": "1.0.0", "name": "n", "ipam": {"addresses": [${A}], "Addresses": [${B}]}}`,
    SIX,
  ],
  [
    "the last, also when the first is exact",
    `{"cniVersion": "9.9.9", "CniVersion": "1.0.0", "name": "n", "ipam": {"addresses": [${A}]}}`,
    FIVE,
  ],
  [
    "null after a value",
    `{"cniVersion": "1.0.0", "name": "n", "ipam": {"addresses": [${A}], "dns": null, "routes": null}}`,
    FIVE,
  ],
  [
    "unknown ones",
    `{"cniVersion": "1.0.0", "name": "n", "x": {"y": [1e999]}, "ipam": {"addresses": [${A}], "mtu": "y"}}`,
    FIVE,
  ],
  [
    "keys of the runtime",
    `{"cniVersion": "1.0.0", "name": "n", "capabilities": {"ips": true}, "disableCheck": true, "cni.dev/other": 1, "ipam": {"addresses": [${A}]}}`,
    FIVE,
  ],
  [
    "keys that are special in JavaScript",
    `{"cniVersion": "1.0.0", "name": "n", "__proto__": {"ipam": {}}, "constructor": 1, "toString": 2, "ipam": {"addresses": [${A}], "__proto__": 1}}`,
    FIVE,
  ],
  ["white space", `\r\n\t {"cniVersion": "1.0.0",\r\n"name": "n", "ipam": {"addresses": [${A}]}} \r\n`, FIVE],
  [
    "escapes",
    `{"\\u0063niVersion": "1.0.0", "name": "n", "ipam": {"addresses": [{"address": "10.1.0.5\\/24"}]}}`,
    FIVE,
  ],
  [
    "args in any case",
    `{"cniVersion": "1.0.0", "name": "n", "ARGS": {"CNI": {"IPS": ["10.1.0.6/24"]}}, "ipam": {"addresses": [${A}]}}`,
    SIX,
  ],
  [
    "runtimeConfig in any case",
    `{"cniVersion": "1.0.0", "name": "n", "runtimeconfig": {"Ips": ["10.1.0.6/24"]}, "ipam": {"addresses": [${A}]}}`,
    SIX,
  ],
];

await t.test("static reads keys as Go does", async (t) => {
  for (const [what, stdin, wanted] of STATIC)
    answered(t, await host.cni("static", plainCall("static", "ADD", { stdin })), wanted, what);
});

const BRIDGE: [what: string, keys: string, bridge: object][] = [
  ["capitals", '"BRIDGE": "br7", "MTU": 1400, "ISGATEWAY": true', { ifname: "br7", mtu: 1400 }],
  ["small letters", '"bridge": "br7", "isgateway": true, "hairpinmode": true', { ifname: "br7", mtu: 1500 }],
  [
    "null is the default",
    '"bridge": null, "mtu": null, "isGateway": null, "vlan": null',
    { ifname: "cni0", mtu: 1500 },
  ],
  ["null after a value changes nothing", '"bridge": "br7", "BRIDGE": null', { ifname: "br7" }],
  ["the last", '"bridge": "br7", "Bridge": "br8"', { ifname: "br8" }],
  ["null for no ipam", '"ipam": null', { ifname: "cni0" }],
  ["an empty ipam", '"ipam": {}', { ifname: "cni0" }],
  ["an empty type of ipam", '"ipam": {"type": ""}', { ifname: "cni0" }],
];

await t.test("bridge reads keys as Go does", async (t) => {
  for (const [what, keys, wanted] of BRIDGE) {
    const call = { container, stdin: `{"cniVersion": "1.0.0", "name": "n", ${keys}}` };
    const added = await host.cni("bridge", { command: "ADD", ...call });
    t.match(added, { code: 0, stderr: "" }, `ADD, ${what}`);
    const bridges = await host.ip("link", "show", "type", "bridge");
    t.match(bridges, [wanted], what);
    t.equal(bridges.length, 1);
    silent(t, await host.cni("bridge", { command: "DEL", ...call }), `DEL, ${what}`);
    for (const { ifname } of bridges) await host.exec("ip", ["link", "delete", ifname]);
  }
});

await t.test("hairpinmode and promiscmode in any case reach the kernel", async (t) => {
  const call = { container, stdin: '{"cniVersion": "1.0.0", "name": "n", "HairPinMode": true}' };
  await host.cni("bridge", { command: "ADD", ...call });
  const [port] = await host.ip("link", "show", "master", "cni0");
  t.match(port, { linkinfo: { info_slave_data: { hairpin: true } } });
  silent(t, await host.cni("bridge", { command: "DEL", ...call }), "DEL");
});

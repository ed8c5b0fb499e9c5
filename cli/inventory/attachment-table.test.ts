import { expect, test } from "bun:test";
import { attachmentJson } from "./attachment-json.ts";
import { formatAttachments, formatPublished } from "./attachment-table.ts";
import { ATTACHMENTS } from "./attachments.golden.ts";

test("formatAttachments() in 80 columns", () => {
  expect(formatAttachments(ATTACHMENTS, 80).split("\n")).toEqual([
    "CONTAINER                  NETWORK  IFNAME  ADDRESSES        HOST          STATE",
    "web                        blue     eth0    172.17.0.2 …     veth1a2b3c4d  up",
    "kube-system/coredns-5d78…  cbr0     eth0    10.244.17.203    vethdeadbeef  down",
    "printer                    lan      eth0    192.0.2.100      eth0          up",
    "cnitool-add51f7279f19f5d…  routed   eth0    -                -             gone",
  ]);
});

test("formatAttachments() in 160 columns", () => {
  expect(formatAttachments(ATTACHMENTS, 160).split("\n")).toEqual([
    "CONTAINER                             NETWORK  IFNAME  ADDRESSES              HOST          BRIDGE   PORTS                                STATE",
    "web                                   blue     eth0    172.17.0.2 fd00:17::2  veth1a2b3c4d  docker0  8080->80/tcp 192.0.2.1:5353->53/udp  up",
    "kube-system/coredns-5d78c9869d-x2k4p  cbr0     eth0    10.244.17.203          vethdeadbeef  cni0     -                                    down",
    "printer                               lan      eth0    192.0.2.100            eth0          macvlan  -                                    up",
    "cnitool-add51f7279f19f5d1fc9          routed   eth0    -                      -             -        -                                    gone",
  ]);
});

test("formatAttachments() in 40 columns keeps whole what is asked for most", () => {
  expect(formatAttachments(ATTACHMENTS.slice(0, 2), 40).split("\n")).toEqual([
    "CONTAINER    IFNAME  HOST          STATE",
    "web          eth0    veth1a2b3c4d  up",
    "kube-syste…  eth0    vethdeadbeef  down",
  ]);
});

test.each([
  [{ hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "" }, "8080->80/tcp"],
  [{ hostPort: 53, containerPort: 53, protocol: "udp", hostIP: "192.0.2.1" }, "192.0.2.1:53->53/udp"],
  [{ hostPort: 1, containerPort: 2, protocol: "sctp", hostIP: "2001:db8::1" }, "[2001:db8::1]:1->2/sctp"],
])("formatPublished() writes %j as Docker does", (port, text) => {
  expect(formatPublished([port])).toEqual([text]);
});

test("formatPublished() writes a run of ports in one", () => {
  const port = (hostPort: number, containerPort = hostPort, protocol = "tcp", hostIP = "") => ({
    hostPort,
    containerPort,
    protocol,
    hostIP,
  });
  const udp = (hostPort: number) => port(hostPort, hostPort, "udp");
  expect(
    formatPublished([port(80), udp(80), port(81), udp(81), port(82), port(83, 90), port(84, 91)]),
  ).toEqual(["80-82->80-82/tcp", "80-81->80-81/udp", "83-84->90-91/tcp"]);
  expect(formatPublished([port(80), port(81, 81, "tcp", "127.0.0.1")])).toHaveLength(2);
  expect(formatPublished([])).toEqual([]);
});

test("attachmentJson() has every key, null for what is not known", () => {
  const keys = ATTACHMENTS.map((each) => Object.keys(attachmentJson(each)));
  for (const each of keys) expect(each).toEqual(keys[0] ?? []);
  expect(attachmentJson(ATTACHMENTS[3] as (typeof ATTACHMENTS)[number])).toMatchObject({
    hostInterface: null,
    bridge: null,
    mac: null,
    kind: null,
    state: "gone",
    isOurs: false,
  });
  expect(JSON.stringify(ATTACHMENTS.map(attachmentJson))).toContain('"hostIfindex":107');
});

import { expect, test } from "bun:test";
import { containerIdOf } from "../runtime/attachment.ts";
import { parseNetworkList } from "../runtime/network-list.ts";
import type { Attached } from "./host.ts";
import { publishingElsewhere, reattaching } from "./reattaching.ts";

const NETNS = "/var/run/netns/web";
const PORTS = [{ hostPort: 8080, containerPort: 80, protocol: "tcp", hostIP: "" }];

function attached(main: object, more: Partial<Attached> = {}): Attached {
  const list = parseNetworkList(JSON.stringify({ cniVersion: "1.0.0", name: "blue", plugins: [main] }));
  const made: Partial<Attached> = {
    network: "blue",
    containerId: containerIdOf(NETNS),
    ifname: "eth0",
    container: "web",
    netns: NETNS,
    ports: [],
    isOurs: true,
    list,
    main: list.plugins[0],
    result: {
      interfaces: [{ name: "br0" }, { name: "eth0", mac: "02:00:00:00:00:07", sandbox: NETNS }],
      ips: [
        { address: { address: { family: 4, value: 0x0ae00002n }, length: 24 }, interface: 1 },
        {
          address: { address: { family: 6, value: 0xfd000000000000000000000000000002n }, length: 64 },
          interface: 1,
        },
      ],
    },
    ...more,
  };
  return made as Attached; // of the rest nothing is asked
}

const LEASED = { type: "bridge", ipam: { type: "host-local" } };

test("reattaching() gives the container the addresses, the MAC and the ports that it had", () => {
  expect(String(reattaching(attached({ ...LEASED, capabilities: { ips: true } }, { ports: PORTS })))).toBe(
    "weft del blue /var/run/netns/web --ifname eth0 && weft add blue /var/run/netns/web --ifname eth0 " +
      "--ip 10.224.0.2 --ip fd00::2 --mac 02:00:00:00:00:07 -p 8080:80/tcp",
  );
});

test("reattaching() asks for no more than the plugins give", () => {
  const del =
    "weft del blue /var/run/netns/web --ifname eth0 && weft add blue /var/run/netns/web --ifname eth0";
  expect(String(reattaching(attached(LEASED)))).toBe(`${del} --ip 10.224.0.2 --mac 02:00:00:00:00:07`);
  expect(String(reattaching(attached({ type: "ipvlan", ipam: { type: "dhcp" } })))).toBe(del);
  expect(String(reattaching(attached(LEASED, { isOurs: false })))).toBe(del);
});

test("reattaching() leaves a runtime's container to the runtime", () => {
  const containerId = "0123456789ab".repeat(5);
  const of = (more: Partial<Attached>) => String(reattaching(attached(LEASED, { containerId, ...more })));
  const args = [
    ["K8S_POD_NAMESPACE", "default"],
    ["K8S_POD_NAME", "web"],
  ] as const;
  const cached = { args } as unknown as NonNullable<Attached["cached"]>; // of the rest nothing is asked
  expect(of({ cached })).toBe(`crictl stopp ${containerId}`);
  const netns = "/run/netns/netns-01234567-89ab-cdef-0123-456789abcdef";
  expect(of({ netns })).toBe(`podman restart ${containerId}`);
  expect(of({ container: "we'b\n;id" })).toBe(": restart 'we'\\''b\n;id' by its runtime");
  expect(String(publishingElsewhere(attached(LEASED, { containerId }), PORTS))).toBe(
    ": publish other ports of web by its runtime",
  );
});

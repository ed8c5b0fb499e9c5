/**
 * Where ours does something else than the reference plugins, on purpose: how it shows, in which cases, and
 * why. A case of conformance/differential*.test.ts fails on a line that is not in this list, and on a
 * difference of this list that has not occurred in it.
 */

export interface Difference {
  /** What ours does. */
  what: string;
  why: string;
  /** The lines it shows in, any of these: what the reference has, then " | ", then what we have. */
  lines: readonly RegExp[];
  /** The cases it must occur in, by name: any of these. */
  cases: readonly RegExp[];
  /** The reference plugins it must occur with. Default: all. */
  references?: readonly string[];
}

/** Where the reference leaves the bridge's MAC to the kernel. */
const NO_GATEWAY = [
  /^bridge: (nothing|IPv4$|IPv6|dual stack|hairpin|promiscuous|MAC|isolated|container|duplicate)/,
  /^bridge: (a set|two sets$|route attr|dns|another|one that exists, with)/,
];
const IPV6 = [/^bridge: (IPv6|dual stack|gateway of two|default gateway$|forced|routes|0\.|1\.)/];

export const DIFFERENCES: readonly Difference[] = [
  {
    what: "Links carry an alias that names container, interface and network.",
    why: "Plain `ip link` tells whose a veth is, and DEL and GC find it when everything else is lost.",
    lines: [/^(added|after): networks\.host\.links\.[^:]+\.ifalias: nothing \| "weft:/],
    cases: [/^bridge: /],
  },
  {
    what: "Results have the MTU of interfaces.",
    why: "Version 1.1.0 of the specification has the field; 1.0.0 readers ignore it.",
    lines: [/^added: result\.interfaces\.[^:]+\.mtu: nothing \| \d+$/],
    cases: [/^(bridge|loopback): (?!0\.|after others)/],
  },
  {
    what: "The bridge has a MAC of its own from the start, and keeps it.",
    why:
      "The kernel gives it the lowest of its ports: it changes as containers come and go, behind the back of " +
      "every ARP cache. The reference pins it only when it adds a gateway's address.",
    lines: [
      /^added: result\.interfaces\.(veth of c1 \w+)\.mac: "MAC of host cni0" \| "MAC of host \1"$/,
      /^added: networks\.host\.links\.(veth of c1 \w+)\.address: "MAC of host cni0" \| "MAC of host \1"$/,
      /^(added|after): networks\.host\.fdb: .*"mac":"MAC of host (cni0|veth of c1 \w+)","ifname"/,
      /^after: networks\.host\.links\.cni0\.address: "00:00:00:00:00:00" \| "MAC of host cni0"$/,
      /^after: networks\.host\.links\.cni0\.linkinfo\.info_data\.(bridge|root)_id: "8000.0:0:0:0:0:0" \| /,
    ],
    cases: NO_GATEWAY,
  },
  {
    what: "The port of the bridge has no IPv6 address of its own, so that accept_ra means nothing on it.",
    why: "A port takes part in nothing but the bridge: a link-local address there only answers to neighbours.",
    lines: [
      /^added: networks\.host\.links\.veth of c1 \w+\.addr_info: .*link-local of host veth.* \| nothing$/,
      /^added: networks\.host\.routes6: .*"dev":"veth of c1 \w+".* \| nothing$/,
      /^added: networks\.host\.sysctls\.ipv6\/conf\/veth of c1 \w+\/accept_ra: "0" \| "1"$/,
    ],
    cases: [/^bridge: /],
  },
  {
    what: "The link-local address of a bridge that ADD made waits for no duplicate detection.",
    why: "It is made from a MAC of its own. Until it is there, the host forwards no IPv6 to a container.",
    lines: [
      /^(added|after): networks\.host\.sysctls\.ipv6\/conf\/(cni0|bridge-15-bytes)\/accept_dad: "1" \| "0"$/,
    ],
    cases: [/^bridge: (?!one that exists|forced)/],
  },
  {
    what: "The veth has the kernel's queue length.",
    why: "The reference asks for 0 by not asking: its netlink library sends it always.",
    lines: [/^added: networks\.(host|c1)\.links\.[^:]+\.txqlen: nothing \| 1000$/],
    cases: [/^bridge: /],
  },
  {
    what: "The lease folder has the boot's id beside the leases.",
    why: "Leases of an earlier boot are known and given back. The reference passes by a file of that name.",
    lines: [/: files\.\/(var\/lib\/cni\/networks|run\/cni\/own)\/net\/boot_id: nothing \| /],
    cases: [
      /^host-local: /,
      /^bridge: (?!nothing|container|routes|route attr|default gateway beside|dns|.*without IPAM)/,
    ],
  },
  {
    what: "Attachment records, locks and an index of leases are kept under /run/weft.",
    why: "DEL and GC know what to undo after a kill at any point; leases are found without reading them all.",
    lines: [/: files\.\/run\/weft\/(attachments|locks|leases)\/[^:]+.*: nothing \| /],
    cases: [/^(bridge|host-local): /],
  },
  {
    what: "IPv6 addresses are added without duplicate detection, for good.",
    why: "The address comes from IPAM, which gives it once; the reference turns detection off by a sysctl.",
    lines: [/^(added|after): networks\.(host|c1)\.links\.(cni0|eth0)\.addr_info: .*"fd01::/],
    cases: IPV6,
  },
  {
    what: "The container announces an IPv6 address that it got.",
    why: "Neighbours that knew the address's last owner learn of the new one at once (ndisc_notify).",
    lines: [/^added: networks\.c1\.sysctls\.ipv6\/conf\/eth0\/ndisc_notify: "0" \| "1"$/],
    cases: [...IPV6, /^bridge: duplicate/],
  },
  {
    what: "IPv6 addresses stay when the interface goes down for a while.",
    why: "1.9.1 does it, too.",
    lines: [/^added: networks\.c1\.sysctls\.ipv6\/conf\/eth0\/keep_addr_on_down: "0" \| "1"$/],
    cases: IPV6,
    references: ["1.1.1"],
  },
  {
    what: "Empty DNS settings are left out from version 1.0.0 on.",
    why: "1.9.1 does it, too.",
    lines: [/^(added|ADD \w+.*): result\.dns: \{\} \| nothing$/],
    cases: [/: (?!.*0\.[24]\.0|.*0\.3\.1|after others|dns|.*dns$|.*resolvConf)/],
    references: ["1.1.1"],
  },
  {
    what: "A bridge that was there keeps its accept_ra.",
    why: "What others want of their bridge is theirs to say.",
    lines: [/^(added|after): networks\.host\.sysctls\.ipv6\/conf\/cni0\/accept_ra: "0" \| "1"$/],
    cases: [/^bridge: (one that exists|forced)/],
  },
  {
    what: "CHECK of a bridge without IPAM succeeds.",
    why: "The reference asks an IPAM plugin that there is not.",
    lines: [
      /^checked: exit: 1 \| 0$/,
      /^checked: error: \{"code":999,"msg":"no plugin name provided"\} \| nothing$/,
    ],
    cases: [/^bridge: (nothing|container|.*without IPAM)/],
  },
  {
    what: "Routes have the MTU and the largest segment that were asked for.",
    why: "Version 1.1.0 of the specification has the keys; the reference reads them and does nothing.",
    lines: [/^added: networks\.c1\.routes4: .*"dst":"10\.7\.0\.0\/16".*"table":"100"/],
    cases: [/^bridge: route attributes/],
  },
  {
    what: "CHECK finds a route that took its gateway from the address, and one in another table.",
    why: "The reference looks for it as it was configured, and in the main table alone.",
    lines: [
      /^checked: exit: 1 \| 0$/,
      /^checked: error: \{"code":999,"msg":"Expected Route .* not found in routing table"\} \| nothing$/,
    ],
    cases: [/^bridge: route attributes/],
  },
  {
    what: "CHECK finds a route that took its gateway from the address.",
    why: "1.9.1 does it, too.",
    lines: [
      /^checked: exit: 1 \| 0$/,
      /^checked: error: \{"code":999,"msg":"Expected Route .* not found in routing table"\} \| nothing$/,
    ],
    cases: [/^bridge: default gateway beside/],
    references: ["1.1.1"],
  },
  {
    what: "A bridge whose only port is off has not been on for a moment.",
    why: "The container's end is never set up; the reference sets it up, and down again.",
    lines: [/^(added|after): networks\.host\.(links\.cni0\.addr_info|routes6): .*\bcni0".* \| nothing$/],
    cases: [/^bridge: container interface off/],
  },
  {
    what: "Errors have a code that says what they are.",
    why: "7 for a wrong request, 4 for a second ADD, 11 for a pool that is full, 100 for what CHECK found.",
    lines: [/^(ADD|CHECK) .*: error\.code: 999 \| (4|7|11|100)$/],
    cases: [
      /^host-local: (again|nothing there|round robin|two interfaces|two ranges|requests|the whole)/,
      /^host-local: (a set that is full|a gateway at the end|a \/126)/,
      /^static: (CNI_ARGS|args)$/,
    ],
  },
  {
    what: "A wrong IP of CNI_ARGS is refused in the words of any wrong address.",
    why: "The details name CNI_ARGS; the reference's words are those of its parser.",
    lines: [
      /^ADD .*: error\.msg: "ARGS: error parsing .*invalid IP address (.*)" \| "invalid IP address \1"$/,
    ],
    cases: [/^host-local: requests by CNI_ARGS/],
  },
  {
    what: "DEL, CHECK and an ADD that is refused make no folder for the network, and move no cursor.",
    why: "They have nothing to write.",
    lines: [
      /^(ADD|DEL|CHECK) .*: files\..*\/net\/lock: "" \| nothing$/,
      /^ADD .*: files\..*\/net\/last_reserved_ip\.[01]: "[^"]+" \| /,
    ],
    cases: [/^host-local: (nothing there|requests (beyond|by CNI_ARGS|by args))/],
  },
  {
    what: "What CHECK finds has code 100, and no space at its end.",
    why: "Codes from 100 on are a plugin's own; 999 says that nobody thought of it.",
    lines: [/^checked: error\.code: 999 \| 100$/, /^checked: error\.msg: "(Bridge interface .*) " \| "\1"$/],
    cases: [/^bridge: one that exists, and is promiscuous/],
  },
  {
    what: "loopback answers in the version of the configuration.",
    why: "The specification asks for it; the reference prints the newest shape under an old version.",
    lines: [/^added: result\.(interfaces|ips|order|ip4|ip6|dns)(\.|: )/],
    cases: [/^loopback: 0\./],
  },
  {
    what: "DNS settings of static are passed on.",
    why: "1.9.1 does it, too.",
    lines: [/^added: result\.dns\.\w+: nothing \| /],
    cases: [/^bridge: dns of IPAM/],
    references: ["1.1.1"],
  },
];

/** Returns what a case has to complain of: lines that nobody chose, and choices that have become none. */
export function unexplained(
  name: string,
  reference: string,
  lines: readonly string[],
  differences: readonly Difference[] = DIFFERENCES,
): string[] {
  const expected = differences.filter(
    ({ cases, references }) => matches(cases, name) && (references?.includes(reference) ?? true),
  );
  const missing = expected.filter(({ lines: patterns }) => !lines.some((line) => matches(patterns, line)));
  return [
    ...lines.filter((line) => !expected.some(({ lines: patterns }) => matches(patterns, line))),
    ...missing.map(({ what }) => `occurs no more: ${what}`),
  ];
}

function matches(patterns: readonly RegExp[], text: string): boolean {
  return patterns.some((pattern) => pattern.test(text));
}

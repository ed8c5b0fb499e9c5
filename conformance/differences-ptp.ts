/** differences.ts, for ptp. */
import type { Difference } from "./differences.ts";

const HAS_IPV6 = /^ptp: (dual|IPv6|ipMasq|routes|0\.)/;
const HAS_IPV4 = /^ptp: (?!IPv6)/;

export const PTP_DIFFERENCES: readonly Difference[] = [
  {
    what: "The host's end carries an alias that names container, interface and network.",
    why: "Plain `ip link` tells whose a veth is, and DEL and GC find it when everything else is lost.",
    lines: [/^added: networks\.host\.links\.veth of c1 \w+\.ifalias: nothing \| "weft:net\/c1-/],
    cases: [/./],
  },
  {
    what: "Results have the MTU of interfaces.",
    why: "Version 1.1.0 of the specification has the field; 1.0.0 readers ignore it.",
    lines: [/^added: result\.interfaces\.[^:]+\.mtu: nothing \| \d+$/],
    cases: [/^ptp: (?!0\.)/],
  },
  {
    what: "The veth has the kernel's queue length.",
    why: "The reference asks for 0 by not asking: its netlink library sends it always.",
    lines: [/^added: networks\.(host|c1)\.links\.[^:]+\.txqlen: nothing \| 1000$/],
    cases: [/./],
  },
  {
    what: "Attachment records, locks and an index of leases are kept under /run/weft, the boot's id beside the leases.",
    why: "DEL and GC know what to undo after a kill at any point; leases of an earlier boot are known as such.",
    lines: [
      /^(added|after): files\.\/run\/weft\/(attachments|locks|leases)\/[^:]+.*: nothing \| /,
      /^(added|after): files\.\/var\/lib\/cni\/networks\/net\/boot_id: nothing \| /,
    ],
    cases: [/./],
  },
  {
    what: "The host's routes to containers have scope link.",
    why: "Of scope host are the host's own addresses: a routing daemon tells nobody of those.",
    lines: [
      /^added: networks\.host\.routes4: \{"type":"unicast","dst":"10\.\d\.0\..*"scope":"host",.* \| nothing$/,
      /^added: networks\.host\.routes4: nothing \| \{"type":"unicast","dst":"10\.\d\.0\..*"scope":"link",/,
    ],
    cases: [HAS_IPV4],
  },
  {
    what: "The kernel makes no route to the subnet.",
    why: "The reference lets it, and deletes it: for a moment the subnet is on the link.",
    lines: [
      /^added: networks\.c1\.links\.\w+\.addr_info: \{"family":"inet".* \| nothing$/,
      /^added: networks\.c1\.links\.\w+\.addr_info: nothing \| \{"family":"inet".*"noprefixroute":true/,
    ],
    cases: [HAS_IPV4],
  },
  {
    what: "IPv6 addresses are added without duplicate detection; so is the host's link-local one.",
    why: "There are two on the link, each with addresses that nobody else has. The reference waits 1.5 s.",
    lines: [
      /^added: networks\.c1\.links\.\w+\.addr_info: \{"family":"inet6","local":"fd01::\w+",[^|]* \| nothing$/,
      /^added: networks\.c1\.links\.\w+\.addr_info: nothing \| .*"nodad":true,"noprefixroute":true\}$/,
      /^added: networks\.host\.links\.veth of .*\.addr_info: \{"family":"inet6",.* \| nothing$/,
      /^added: networks\.host\.links\.veth of .*\.addr_info: nothing \| .*"nodad":true\}$/,
    ],
    cases: [HAS_IPV6],
  },
  {
    what: "No interface of the pair detects duplicates.",
    why: "Until its link-local address is there, an end asks for no neighbour.",
    lines: [/^added: networks\.(host|c1)\.sysctls\.ipv6\/conf\/[^/]+\/accept_dad: "1" \| "0"$/],
    cases: [/./],
  },
  {
    what: "The container announces its addresses.",
    why: "As the interfaces of all plugins do; here only the host could know an address's last owner.",
    lines: [
      /^added: networks\.c1\.sysctls\.ipv4\/conf\/\w+\/arp_notify: "0" \| "1"$/,
      /^added: networks\.c1\.sysctls\.ipv6\/conf\/\w+\/ndisc_notify: "0" \| "1"$/,
    ],
    cases: [/./],
  },
  {
    what: "IPv6 addresses stay when the interface goes down for a while.",
    why: "1.9.1 does it, too.",
    lines: [/^added: networks\.c1\.sysctls\.ipv6\/conf\/\w+\/keep_addr_on_down: "0" \| "1"$/],
    cases: [HAS_IPV6],
    references: ["1.1.1"],
  },
  {
    what: "Empty DNS settings are left out from version 1.0.0 on.",
    why: "1.9.1 does it, too.",
    lines: [/^added: result\.dns: \{\} \| nothing$/],
    cases: [/^ptp: (?!0\.|dns)/],
    references: ["1.1.1"],
  },
];

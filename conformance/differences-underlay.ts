/** differences.ts, for the plugins whose interface has a master, or none: macvlan, ipvlan, vlan, dummy. */
import type { Difference } from "./differences.ts";

export const UNDERLAY_DIFFERENCES: readonly Difference[] = [
  {
    what: "The container's link carries an alias that names container, interface and network.",
    why: "DEL and GC know it for theirs whatever else is lost, and so does who reads `ip link`.",
    lines: [/^added: networks\.c1\.links\.(eth0|net1)\.ifalias: nothing \| "weft:net\/c1-/],
    cases: [/./],
  },
  {
    what: "Results have the MTU of the interface.",
    why: "Version 1.1.0 of the specification has the field; 1.0.0 readers ignore it.",
    lines: [/^added: result\.interfaces\.(eth0|net1)\.mtu: nothing \| \d+$/],
    cases: [/^\w+: (?!0\.)/],
  },
  {
    what: "Records and an index of leases are kept under /run/weft, the boot's id beside the leases.",
    why: "DEL and GC know what to undo after a kill; leases of an earlier boot are known as such.",
    lines: [
      /^(added|after): files\.\/run\/weft\/(attachments|claims|locks|leases)\/[^:]+.*: nothing \| /,
      /^(added|after): files\.\/var\/lib\/cni\/networks\/net\/boot_id: nothing \| /,
    ],
    cases: [/./],
  },
  {
    what: "ndisc_notify is left alone where there is no IPv6 address.",
    why: "There is nothing to announce.",
    lines: [/^added: networks\.c1\.sysctls\.ipv6\/conf\/(eth0|net1)\/ndisc_notify: "1" \| "0"$/],
    cases: [/^(macvlan|ipvlan): (?!dual|0\.4|1\.0|nothing)/],
  },
  {
    what: "The container announces the addresses that it got.",
    why: "Neighbours that knew the address's last owner learn of the new one; macvlan's do of the reference's.",
    lines: [
      /^added: networks\.c1\.sysctls\.ipv4\/conf\/eth0\/arp_notify: "0" \| "1"$/,
      /^added: networks\.c1\.sysctls\.ipv6\/conf\/eth0\/ndisc_notify: "0" \| "1"$/,
    ],
    cases: [/^(vlan|dummy): dual/],
  },
  {
    what: "The link-local address waits for no duplicate detection.",
    why: "It is made from the link's own MAC, and no neighbour can be asked for until it is there.",
    lines: [
      /^added: networks\.c1\.links\.eth0\.addr_info: .*link-local of c1 eth0/,
      /^added: networks\.c1\.routes6: nothing \| .*"type":"local","dst":"link-local of c1 eth0"/,
      /^added: networks\.c1\.sysctls\.ipv6\/conf\/eth0\/accept_dad: "1" \| "0"$/,
    ],
    cases: [/^(macvlan|ipvlan|vlan): (dual stack|0\.4\.0|1\.0\.0|l3)$/],
  },
  {
    what: "A dummy's IPv6 addresses are added without duplicate detection.",
    why: "It is on no wire, so nobody else can have them.",
    lines: [
      /^added: networks\.c1\.links\.eth0\.addr_info: .*"fd01::2"/,
      /^added: networks\.c1\.sysctls\.ipv6\/conf\/eth0\/accept_dad: "-1" \| "0"$/,
    ],
    cases: [/^dummy: dual/],
  },
];

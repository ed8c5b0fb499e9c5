import { expect, test } from "bun:test";
import { parseAddress } from "../netaddr/address.ts";
import { parseMac } from "../netaddr/mac.ts";
import { hex } from "../testing/golden.ts";
import { arpAnnouncement, neighbourAdvertisement } from "./announce.ts";

const MAC = parseMac("02:42:0a:2a:00:09");

test("arpAnnouncement() is a request for the own address, to all", () => {
  // $ tcpdump -vv: ARP, Ethernet (len 6), IPv4 (len 4), Request who-has 10.42.0.9 tell 10.42.0.9
  const expected = hex(`
    ffffffffffff 02420a2a0009 0806                         // to all, from the container, ARP
    0001 0800 06 04 0001                                   // Ethernet, IPv4, ARPOP_REQUEST
    02420a2a0009 0a2a0009  000000000000 0a2a0009           // sender, target
    000000000000000000000000000000000000                   // up to the least length
  `);
  expect(arpAnnouncement(MAC, parseAddress("10.42.0.9")).toHex()).toBe(expected.toHex());
});

test("neighbourAdvertisement() tells all nodes, and overrides what they knew", () => {
  // $ tcpdump -vv: fd42::9 > ff02::1: [icmp6 sum ok] neighbor advertisement, tgt is fd42::9, Flags [override]
  const expected = hex(
    `
    333300000001 02420a2a0009 86dd                         // to all nodes, from the container, IPv6
    60000000 0020 3a ff                                    // 32 bytes of ICMPv6, hop limit 255
    fd420000000000000000000000000009 ff020000000000000000000000000001
    88 00 4f93 20000000 fd420000000000000000000000000009   // neighbour advertisement, Override, target
    02 01 02420a2a0009                                     // its link-layer address
  `,
  );
  expect(neighbourAdvertisement(MAC, parseAddress("fd42::9")).toHex()).toBe(expected.toHex());
});

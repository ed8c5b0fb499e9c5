import { expect, test } from "bun:test";
import { setting, settingName } from "./setting.ts";

test.each([
  ["net/ipv4/ip_forward", "sysctl -w net.ipv4.ip_forward=1"],
  ["net/ipv6/conf/br-front/accept_ra", "sysctl -w net.ipv6.conf.br-front.accept_ra=1"],
  ["net/ipv4/conf/eth0.10/forwarding", "sysctl -w net/ipv4/conf/eth0.10/forwarding=1"],
  ["net/ipv4/conf/a;b/forwarding", "sysctl -w 'net.ipv4.conf.a;b.forwarding'=1"],
])("setting() of %s", (key, command) => {
  expect(`${setting(key, 1)}`).toBe(command);
});

test("settingName() has dots where each is a level", () => {
  expect(settingName("net/ipv6/conf/all/forwarding")).toBe("net.ipv6.conf.all.forwarding");
  expect(settingName("net/ipv6/conf/br.5/disable_ipv6")).toBe("net/ipv6/conf/br.5/disable_ipv6");
});

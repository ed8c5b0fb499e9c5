/** The second kernel has what it is there for: this file runs in it, from a-second-kernel.test.ts. */
import t from "tap";
import { makeHost } from "./fixtures/host.ts";
import { IN_SECOND_KERNEL, missing, skip } from "./fixtures/kernel.ts";

await t.test("a VLAN device on a cable carries its tag to the other end", async (t) => {
  const lacks = await missing("8021q");
  if (lacks && IN_SECOND_KERNEL) return t.fail(lacks);
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  const outside = await host.outside();
  await host.exec("ip", ["link", "add", "link", "uplink0", "name", "vlan10", "type", "vlan", "id", "10"]);
  await host.exec("ip", ["address", "add", "10.10.0.1/24", "dev", "vlan10"]);
  const capture = await outside.capture("eth0", "vlan 10");
  await host.exec("ip", ["link", "set", "vlan10", "up"]);
  await host.ping("10.10.0.2");
  t.match(await capture.frame(/Request who-has 10.10.0.2/), /vlan 10/);
  await capture.stop();
});

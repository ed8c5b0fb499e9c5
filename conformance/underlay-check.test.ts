/**
 * CHECK of macvlan, ipvlan, vlan and dummy finds what somebody has changed since ADD, and says what. DEL
 * copes with all of it.
 */
import t from "tap";
import { attach } from "./fixtures/attachment.ts";
import { skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { refused, silent } from "./fixtures/refusal.ts";
import { remains } from "./fixtures/remains.ts";
import {
  lacksFor,
  makeUnderlay,
  UNDERLAY_TYPES,
  type UnderlayType,
  wireAddresses,
} from "./fixtures/underlay.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(4 * TIMEOUT_MS);
const routes = [{ dst: "0.0.0.0/0" }, { dst: "::/0" }, { dst: "10.7.0.0/16", gw: "192.0.2.9" }];
const LEASES = "/var/lib/cni/networks/net";
const ADDRESSES = "ip address add 192.0.2.50/24 dev eth0; ip address add 2001:db8:1::50/64 dev eth0 nodad";
const ROUTE = "ip route add 10.7.0.0/16 via 192.0.2.9";
const ROUTES = "ip route replace default via 192.0.2.2; ip route replace default via 2001:db8:1::2";

interface Tampering {
  readonly what: string;
  /** A shell script, in the container's network namespace and the host's mount namespace. */
  readonly script: string;
  /** What CHECK's message or details say. */
  readonly says: RegExp;
  /** Depends on no kernel, nor on the kind of link: macvlan's case, on the first kernel, is enough. */
  readonly once?: true;
  /** Default: all four. */
  readonly types?: readonly UnderlayType["type"][];
  /** Of the configuration. */
  readonly keys?: Readonly<Record<string, unknown>>;
  /** Runs on the host instead. */
  readonly onHost?: boolean;
}

const TAMPERINGS: readonly Tampering[] = [
  { what: "an address removed", script: "ip address delete 192.0.2.50/24 dev eth0", says: /192\.0\.2\.50/ },
  {
    what: "an IPv6 address removed",
    once: true,
    script: "ip address delete 2001:db8:1::50/64 dev eth0",
    says: /2001:db8:1::50/,
  },
  {
    what: "another prefix length",
    once: true,
    script: `ip address flush dev eth0; ${ADDRESSES.replace("/24", "/25")}; ${ROUTES}; ${ROUTE}`,
    says: /192\.0\.2\.50/,
  },
  { what: "the default route removed", script: "ip route delete default", says: /0\.0\.0\.0|default/ },
  {
    what: "the IPv6 default route removed",
    once: true,
    script: "ip -6 route delete default",
    says: /::|default/,
  },
  { what: "another route removed", once: true, script: "ip route delete 10.7.0.0/16", says: /10\.7\.0\.0/ },
  {
    what: "a route by another gateway",
    once: true,
    script: "ip route replace 10.7.0.0/16 via 192.0.2.8",
    says: /10\.7\.0\.0/,
  },
  { what: "the link down", script: "ip link set eth0 down", says: /down|not up/i },
  {
    what: "another MAC",
    script: "ip link set eth0 address 02:00:00:00:00:77",
    says: /02:00:00:00:00:77|mac/i,
    types: ["macvlan", "vlan", "dummy"],
  },
  { what: "another MTU", script: "ip link set eth0 mtu 1400", says: /mtu/i },
  {
    what: "another mode",
    script: "ip link set eth0 type macvlan mode private",
    says: /private/,
    types: ["macvlan"],
  },
  {
    what: "another length of the broadcast queue",
    keys: { bcqueuelen: 500 },
    script: "ip link set eth0 type macvlan bcqueuelen 77",
    says: /bcqueuelen/i,
    types: ["macvlan"],
  },
  { what: "another mode", script: "ip link set eth0 type ipvlan mode l3", says: /l3/, types: ["ipvlan"] },
  {
    what: "another flag",
    script: "ip link set eth0 type ipvlan private",
    says: /private/,
    types: ["ipvlan"],
  },
  { what: "the link deleted", script: "ip link delete eth0", says: /eth0/ },
  {
    what: "a link of another kind in its place",
    script: `mac=$(ip -br link show dev eth0 | tr -s ' ' | cut -d' ' -f3); ip link delete eth0
      ip link add eth0 address $mac type veth peer name eth9; ip link set eth9 up; ip link set eth0 up
      ${ADDRESSES}; ${ROUTES}; ${ROUTE}`,
    says: /veth|kind|type/i,
  },
  {
    what: "the master deleted",
    keys: { master: "other0" },
    script: "ip link delete other0; ip link add other0 type veth peer name other1; ip link set other0 up",
    says: /eth0|other0/,
    onHost: true,
    types: ["macvlan", "ipvlan", "vlan"],
  },
  {
    what: "the same on another master",
    script: `mac=$(ip netns exec c1 ip -br link show dev eth0 | tr -s ' ' | cut -d' ' -f3)
      ip -n c1 link delete eth0
      ip link add link other0 name x1 address $mac type macvlan mode bridge
      ip link set x1 netns c1 name eth0
      ip netns exec c1 sh -e -c 'ip link set eth0 up; ${ADDRESSES}; ${ROUTES}; ${ROUTE}'`,
    says: /other0|eth0/,
    onHost: true,
    types: ["macvlan"],
  },
  { what: "a lease deleted", once: true, script: `rm ${LEASES}/192.0.2.50`, says: /./, onHost: true },
  {
    what: "another's lease",
    once: true,
    script: `printf 'somebody\\r\\neth0' > ${LEASES}/192.0.2.50`,
    says: /./,
    onHost: true,
  },
];

for (const underlayType of UNDERLAY_TYPES) {
  const { type, network } = underlayType;
  const lacks = await lacksFor(underlayType);
  await t.test(`CHECK of ${type}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const { host } = await makeUnderlay(t);
    const container = await host.container("c1");
    const other = "ip link add other0 type veth peer name other1; ip link set other0 up";
    await host.exec("sh", ["-c", other]);
    const before = normalise(await host.snapshot());
    const config = { ...network, ipam: { ...wireAddresses(), routes } };
    const untouched = await attach(container, config);
    silent(t, await untouched.check(), "untouched: content");
    await container.exec("sh", [
      "-e",
      "-c",
      "ip address add 10.9.9.9/32 dev eth0; ip route add 10.8.0.0/16 dev eth0",
    ]);
    silent(t, await untouched.check(), "another address and another route are nobody's business");
    const blind = await host.cni(type, { command: "CHECK", container, config });
    refused(t, blind, { code: 7, msg: /prevResult/, details: /|./ }, "without prevResult it is refused");
    silent(t, await untouched.del(), "DEL");
    const cases = TAMPERINGS.filter(
      ({ once, types }) => (types?.includes(type) ?? true) && !(once && type !== "macvlan"),
    );
    for (const { what, keys, script, says, onHost } of cases) {
      await host.exec("sh", ["-c", `rm -rf ${LEASES}`]); // .50 again
      const attachment = await attach(container, { ...config, ...keys });
      await (onHost ? host : container).exec("sh", ["-e", "-c", script]);
      const outcome = await attachment.check();
      refused(t, outcome, { code: 100, msg: /./, details: /|./ }, `${what}: CHECK fails`);
      t.match(`${outcome.error?.msg} ${outcome.error?.details ?? ""}`, says, "and says what is wrong");
      silent(t, await attachment.del(), "DEL");
      await container.exec("sh", ["-c", "ip link delete eth0 2> /dev/null || true"]); // not ours any more
    }
    await host.exec("rm", ["-rf", LEASES]);
    t.strictSame(remains(before, await host.snapshot()).filter(isOurs), [], "nothing is left");
  });
}

/** The interface that stands in for the master, and what the container's lo got, are this test's own. */
function isOurs(line: string): boolean {
  return !/other[01]|networks\.c1\..*("dev":"lo"|\.lo\.)/.test(line);
}

/**
 * Beside the rules of others, with packets: a FORWARD that drops, as Docker leaves it, with its own bridge
 * and published port, and a service address that kube-proxy leads to one of our containers. Neither loses a
 * rule, nor its place; both go on working, and so do ours.
 */
import t, { type Test } from "tap";
import { attachChain, type Chain } from "./fixtures/chain.ts";
import { filteredNetwork, publishedPort } from "./fixtures/filtered-network.ts";
import { type Container, type Host, makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { filterBridgedFrames, savedTables } from "./fixtures/packet-filter.ts";
import { greet, reaches, type Target } from "./fixtures/reach.ts";
import { silent } from "./fixtures/refusal.ts";
import type { Outside } from "./fixtures/wiring.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(3 * TIMEOUT_MS);
const SUBNETS = ["10.50.0.0/24", "fd00:50::/64"];
const OURS = 8050;
const THEIRS = 9050;
const SERVICE = "10.96.0.10";
const lacks = await missing("bridge", "br_netfilter", "nf_tables");

// As Docker 28 has them for one network and one port, and kube-proxy for one service with one endpoint.
const DOCKER = `
*filter
:FORWARD DROP
:DOCKER -
:DOCKER-USER -
:DOCKER-FORWARD -
:DOCKER-CT -
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A DOCKER-FORWARD -j DOCKER-CT
-A DOCKER-FORWARD -o docker0 -j DOCKER
-A DOCKER-FORWARD -i docker0 -j ACCEPT
-A DOCKER-CT -o docker0 -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p tcp -m tcp --dport 80 -j ACCEPT
-A DOCKER -d 172.17.0.2/32 ! -i docker0 -o docker0 -p udp -m udp --dport 80 -j ACCEPT
-A DOCKER ! -i docker0 -o docker0 -j DROP
COMMIT
*nat
:DOCKER -
-A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER
-A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER
-A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE
-A DOCKER ! -i docker0 -p tcp -m tcp --dport ${THEIRS} -j DNAT --to-destination 172.17.0.2:80
-A DOCKER ! -i docker0 -p udp -m udp --dport ${THEIRS} -j DNAT --to-destination 172.17.0.2:80
COMMIT
`;
const KUBE = (endpoint: string) => `
*nat
:KUBE-SERVICES -
:KUBE-SVC-WEB -
:KUBE-POSTROUTING -
-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES
-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING
-A KUBE-SERVICES -d ${SERVICE}/32 -p tcp -m tcp --dport 80 -j KUBE-SVC-WEB
-A KUBE-SERVICES -d ${SERVICE}/32 -p udp -m udp --dport 80 -j KUBE-SVC-WEB
-A KUBE-SVC-WEB -p tcp -m tcp -j DNAT --to-destination ${endpoint}:80
-A KUBE-SVC-WEB -p udp -m udp -j DNAT --to-destination ${endpoint}:80
-A KUBE-POSTROUTING -m mark ! --mark 0x4000/0x4000 -j RETURN
-A KUBE-POSTROUTING -j MASQUERADE
COMMIT
`;

/** A container as Docker would have made it. */
async function dockerContainer(host: Host): Promise<Container> {
  const container = await host.container("docker");
  const lines = [
    "ip link add docker0 type bridge",
    "ip address add 172.17.0.1/16 dev docker0",
    "ip link add veth0 master docker0 type veth peer name eth0 netns docker",
    "ip link set docker0 up; ip link set veth0 up",
    "ip -n docker link set eth0 up; ip -n docker address add 172.17.0.2/16 dev eth0",
    "ip -n docker route add default via 172.17.0.1",
    "echo 1 > /proc/sys/net/ipv4/ip_forward",
  ];
  await host.exec("sh", ["-e", "-c", lines.join("\n")]);
  await restore(host, DOCKER);
  await greet(container, [80]);
  return container;
}

async function restore(host: Host, rules: string): Promise<void> {
  await host.exec("iptables-restore", ["--noflush"], { input: rules });
}

/** The lines of others are all there, and in the order they had. */
function undisturbed(t: Test, before: readonly string[], after: readonly string[], name: string): void {
  const rest = after.values();
  const missed = before.filter((line) => {
    for (const other of rest) if (other === line) return false;
    return true;
  });
  t.same(missed, [], name);
}

const target = (name: string, way: string, address: string, port: number, reached = true): Target => {
  return { name, way, address, port, reached };
};

for (const filtered of [0, 1] as const) {
  await t.test(
    `beside Docker and kube-proxy, bridge-nf-call ${filtered}`,
    { timeout: TIMEOUT_MS },
    async (t) => {
      if (lacks) return skip(t, lacks);
      const host = await makeHost(t);
      await filterBridgedFrames(host, filtered);
      const outside = await host.outside();
      const second = await host.outside();
      await Promise.all([outside, second].map((netns) => greet(netns, [80])));
      const docker = await dockerContainer(host);
      const theirs = await savedTables(host);
      const config = filteredNetwork("net", SUBNETS, { portmap: {}, firewall: {} });
      const runtime = { portMappings: publishedPort(OURS, 80) };
      const c1 = await attachChain(await host.container("c1"), config, { runtime });
      const c2 = await attachChain(await host.container("c2"), config);
      await greet(c1.container, [80]);
      undisturbed(t, theirs, await savedTables(host), "ADD leaves the rules of others, in their order");
      await restore(host, KUBE(c1.address(4)));

      await outside.exec("ip", ["route", "add", second.address4, "via", outside.hostAddress4]);
      await second.exec("ip", ["route", "add", outside.address4, "via", second.hostAddress4]);
      await outside.exec("ip", ["route", "add", SERVICE, "via", outside.hostAddress4]);
      await showFlows(t, { outside, second, docker, c1, c2 });
      for (const chain of [c1, c2]) silent(t, await chain.check(), "CHECK is content");

      const withKube = await savedTables(host);
      const c3 = await attachChain(await host.container("c3"), config);
      silent(t, await c3.del(), "DEL says nothing");
      undisturbed(t, withKube, await savedTables(host), "another comes and goes, nothing else does");
      for (const chain of [c1, c2]) silent(t, await chain.del(), "DEL says nothing");
      const after = await savedTables(host);
      undisturbed(t, theirs, after, "the last DEL leaves the rules of others");
      const more = after.filter((line) => !withKube.includes(line));
      t.same(more, [], "and brings nothing");
      const stays = [target("docker", "published", outside.hostAddress4, THEIRS)];
      await reaches(t, outside, stays, "Docker's published port still works");
    },
  );
}

interface Places {
  readonly outside: Outside;
  readonly second: Outside;
  readonly docker: Container;
  readonly c1: Chain;
  readonly c2: Chain;
}

async function showFlows(t: Test, { outside, second, docker, c1, c2 }: Places): Promise<void> {
  const { hostAddress4, hostAddress6 } = outside;
  const ours = [
    target("c1", "published", hostAddress4, OURS),
    target("c1", "published", hostAddress6, OURS),
    target("c1", "as a service", SERVICE, 80),
  ];
  const theirs = target("docker", "published", hostAddress4, THEIRS);
  const away = [
    target(outside.name, "directly", outside.address4, 80),
    target(outside.name, "directly", outside.address6, 80),
  ];
  const dropped = target(second.name, "directly", second.address4, 80, false);
  await Promise.all([
    reaches(
      t,
      outside,
      [...ours, theirs, dropped],
      "an outside host: published ports, not what FORWARD drops",
    ),
    reaches(t, c2.container, [...ours, theirs, ...away], "a container of ours"),
    reaches(t, c1.container, [...away, theirs], "the one that publishes"),
    reaches(
      t,
      docker,
      [target("c1", "published", hostAddress4, OURS), ...away.slice(0, 1)],
      "one of Docker's",
    ),
  ]);
}

/**
 * `weft doctor`: faults in files and what is left of containers that are gone; `weft gc` without a network.
 * Each is caused, named, mended by the command it printed, and gone.
 */
import { writeFileSync } from "node:fs";
import t from "tap";
import { type FaultCase, makeDoctorStage, showFamilies, WEFT } from "./fixtures/doctor-stage.ts";
import { makeHost } from "./fixtures/host.ts";
import { changesSince, hostState } from "./fixtures/host-state.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";
import { referencePlugins } from "./reference.ts";

t.setTimeout(1_200_000);
const lacks = await missing("bridge", "br_netfilter", "nf_tables");
const NETWORKS = "/etc/cni/net.d";
/** Where runtimes look for plugins. */
const INSTALLED = { CNI_PATH: "/opt/cni/bin" };
const [installed] = await referencePlugins();

/** A network beside the others, made of "apart" with other words. */
function network(name: string, ...changes: readonly string[]): string {
  const words = [`s/apart/${name}/g`, "s/10.5.0/10.55.0/", ...changes];
  return `sed '${words.join("; ")}' ${NETWORKS}/10-apart.conflist > ${NETWORKS}/50-${name}.conflist`;
}

/** The reference's plugin in place of what is there, whose other links stay as they are. */
function exchange(directory: string, plugin: string): string {
  return `cp ${installed?.dir}/${plugin} ${directory}/new; mv ${directory}/new ${directory}/${plugin}`;
}

/** What c2 is known by on its network. */
const SHOW =
  "{ ip -n c2 -br -4 address show eth0 | grep -o '10\\.9.*'; ip -n c2 -br link show eth0 | grep -o 'UP .*<'; }";

const LEFTOVERS: readonly FaultCase[] = [
  {
    fault: "attachment-unfinished",
    cause: "rm $(grep -l netns/c2 /var/lib/cni/results/*)",
    subject: "c2 (eth0 on front)",
    evidence: /^bridge, firewall, masquerade recorded it, and there is no result: ADD was cut off/,
    remedy: "weft del front /var/run/netns/c2 --ifname eth0",
    isSafe: false,
    after: "weft add front c2",
  },
  {
    fault: "attachment-gone",
    cause: "ip netns del c2",
    evidence: /its namespace \/var\/run\/netns\/c2 is gone/,
    after: "ip netns add c2; weft add front c2",
  },
  {
    fault: "attachment-gone",
    by: "the interfaces of two",
    cause: "ip -n c2 link del eth0; ip -n i1 link del eth0",
    subject: "i1 (eth0 on apart) and 1 more",
    evidence: /there is no eth0 in \/var\/run\/netns\/i1/,
    after: "weft add front c2; weft add apart i1",
  },
  {
    fault: "interface-renamed",
    cause: `
ip -n c2 link set eth0 down; ip -n c2 link set eth0 name lan0; ip -n c2 link set lan0 up
weft gc; ip -n c2 link show lan0`,
    subject: "c2 (eth0 on front)",
    evidence: /there is no eth0 in \/var\/run\/netns\/c2, and lan0 there is its interface/,
    after: "weft del front c2; weft add front c2",
  },
  {
    fault: "veth-orphaned",
    cause: "ip link add veth01234567 master br-front type veth peer name stray",
    evidence: /in the bridge of containers, and its other end stray is on the host/,
  },
  {
    fault: "veth-orphaned",
    by: "its end in the bridge, which has a name that somebody chose",
    cause: "ip link add mine0 master br-front type veth peer name mine1; ip link set mine0 up",
    isSafe: false,
  },
  {
    fault: "veth-orphaned",
    by: "its alias",
    cause: "ip link add veth01234567 type veth peer name stray; ip link set veth01234567 alias weft:a/b/eth0",
  },
  {
    fault: "lease-orphaned",
    cause: `
printf 'dead\\r\\neth0' > /var/lib/cni/networks/front/10.9.0.77
mkdir /var/lib/cni/networks/old; printf 'dead\\r\\neth0' > /var/lib/cni/networks/old/10.8.0.7`,
  },
  {
    fault: "rule-orphaned",
    cause: `nft add element inet weft masq4 '{ "br-front" . 10.9.0.99 comment "front/dead/eth0" }'`,
    evidence: /set masq4 of table inet weft: of dead on network front/,
  },
  {
    fault: "rule-orphaned",
    by: "iptables, of a network without a file",
    cause: `
note='name: "old" id: "dead"'
iptables -t nat -N CNI-012345678901234567890123
iptables -t nat -A CNI-012345678901234567890123 -d 10.8.0.0/24 -m comment --comment "$note" -j ACCEPT
iptables -t nat -A POSTROUTING -s 10.8.0.7 -m comment --comment "$note" -j CNI-012345678901234567890123`,
    evidence: /of table nat of iptables: of dead on network old/,
  },
  {
    fault: "claim-orphaned",
    cause: "mkdir -p /run/weft/ports/tcp/9999; ln -s front/dead/eth0 /run/weft/ports/tcp/9999/0.0.0.0",
  },
  {
    fault: "claim-orphaned",
    by: "a setting",
    cause: `dir='/run/weft/claims/route_localnet br-front'; mkdir -p "$dir"; : > "$dir/dead:eth0:front"`,
  },
  {
    fault: "connection-stale",
    cause: `
conntrack -I -p udp -s 192.0.2.2 -d 192.0.2.1 --sport 5555 --dport 8081 --dst-nat 10.9.0.200 -t 60 \\
  --status ASSURED,SEEN_REPLY`,
    evidence: /1 to 192\.0\.2\.1 lead to 10\.9\.0\.200/,
  },
  { fault: "record-damaged", cause: "echo '{' > /run/weft/attachments/front/damaged:eth0:bridge" },
  {
    fault: "record-damaged",
    by: "of a container that lives",
    cause: `
${SHOW} > /run/was
file=$(grep -l netns/c2 /run/weft/attachments/front/*:firewall); echo '{' > $file`,
    evidence: /c2 \(eth0 on front\) lives/,
    also: ["attachment-differs"],
    after: `${SHOW} | diff /run/was -`,
  },
];

const ADDRESSES: readonly FaultCase[] = [
  { fault: "lease-missing", cause: "rm /var/lib/cni/networks/front/10.9.0.2" },
  { fault: "lease-missing", by: "all of them", cause: "rm -r /var/lib/cni/networks" },
  {
    fault: "lease-missing",
    by: "another has it",
    cause: "printf 'other\\r\\neth0' > /var/lib/cni/networks/front/10.9.0.2",
    evidence: /10\.9\.0\.2 is leased to other eth0/,
  },
  {
    fault: "subnets-overlap",
    cause: network("more", "s/10.55.0/10.9.0/"),
    evidence: /10\.9\.0\.0\/24 of network front|10\.9\.0\.0\/24 overlaps/,
    editor: "sed -i s/10.9.0/10.55.0/",
    after: `rm ${NETWORKS}/50-more.conflist`,
  },
  {
    fault: "subnets-overlap",
    by: "of weft network create",
    cause:
      "weft network create mine --subnet 10.7.0.0/24; ip link add vpn up type bridge; ip route add 10.7.0.0/25 dev vpn",
    evidence: /a route to 10\.7\.0\.0\/25 by vpn, and its subnet is 10\.7\.0\.0\/24/,
    editor: "sed -i s/10.7.0/10.78.0/",
    after: "weft network rm mine; ip link del vpn",
  },
  {
    fault: "subnets-overlap",
    by: "a connected subnet around it, and not the routes of a VPN",
    cause: `
ip link add vpn up type bridge
for wide in 0.0.0.0/1 128.0.0.0/1 10.0.0.0/8 10.9.0.0/16 fd00::/8; do ip route add $wide dev vpn; done
weft doctor
ip addr add 10.9.1.1/16 dev vpn noprefixroute`,
    subject: "front",
    evidence: /this host has a route to 10\.9\.0\.0\/16 by vpn, and its subnet is 10\.9\.0\.0\/24/,
    isUnmended: true,
    editor: "true",
    after: "ip link del vpn",
  },
  {
    fault: "subnets-overlap",
    by: "two on one bridge",
    cause: network("more", "s/br-more/br-apart/", "s/10.55.0/10.5.0/"),
    evidence: /overlaps 10\.5\.0\.1-10\.5\.0\.254 of network/,
    editor: "sed -i s/10.5.0/10.55.0/",
    after: `rm ${NETWORKS}/50-more.conflist`,
  },
  {
    fault: "pool-full",
    cause: `${network("small", "s#10.55.0.0/24#10.55.0.0/30#")}; ip netns add s1; weft add small s1`,
    evidence: /every address of 10\.55\.0\.1-10\.55\.0\.2 is leased/,
    editor: "sed -i s#/30#/29#",
    after: `weft del small s1; ip netns del s1; weft gc small; rm ${NETWORKS}/50-small.conflist`,
  },
];

const CONFIGURATION: readonly FaultCase[] = [
  { fault: "network-unreadable", cause: `echo '{' > ${NETWORKS}/60-bad.conflist`, evidence: /JSON/ },
  { fault: "network-twice", cause: `cp ${NETWORKS}/10-front.conflist ${NETWORKS}/60-front.conflist` },
  {
    fault: "version-refused",
    cause: network("more", 's/"cniVersion":"1.0.0"/"cniVersion":"0.2.0"/'),
    evidence: /it is of 0\.2\.0, and firewall speaks 0\.3\.0/,
    editor: "sed -i s/0.2.0/1.0.0/",
    after: `rm ${NETWORKS}/50-more.conflist`,
  },
  {
    fault: "version-refused",
    by: "of nobody's",
    cause: network("more", 's/"cniVersion":"1.0.0"/"cniVersion":"9.0.0"/'),
    evidence: /"cniVersion" is "9\.0\.0"/,
    editor: "sed -i s/9.0.0/1.0.0/",
    after: `rm ${NETWORKS}/50-more.conflist`,
  },
  {
    fault: "network-refused",
    cause: network("more", 's/"icc":false/"ingressPolicy":"strange"/'),
    evidence: /firewall answers STATUS with 7: unknown ingress policy: "strange"/,
    editor: "sed -i s/strange/open/",
    after: `rm ${NETWORKS}/50-more.conflist`,
  },
  {
    fault: "master-missing",
    cause: `
cat > ${NETWORKS}/50-wire.conflist <<END
{"cniVersion": "1.0.0", "name": "wire", "plugins": [{"type": "macvlan", "master": "absent0"}]}
END`,
    evidence: /"master" is absent0, and this host has (?!.*\b(lo|br-front)\b).*uplink0/,
    editor: "sed -i s/absent0/uplink0/",
    after: `rm ${NETWORKS}/50-wire.conflist`,
  },
  {
    fault: "master-down",
    cause: `
ip link add below0 type veth peer name below1; ip link set below1 up
cat > ${NETWORKS}/50-wire.conflist <<END
{"cniVersion": "1.0.0", "name": "wire", "plugins": [{"type": "macvlan", "master": "below0"}]}
END`,
    evidence: /below0 is down/,
    after: `rm ${NETWORKS}/50-wire.conflist; ip link del below0`,
  },
];

const PLUGINS: readonly FaultCase[] = [
  { fault: "plugin-missing", env: INSTALLED, cause: "true", evidence: /no plugin "\w+" in \/opt\/cni\/bin/ },
  {
    fault: "plugin-version",
    env: INSTALLED,
    // whatever else is of that number in it: it is asked for its version alone
    cause: `
own=$(weft --version); other=$(weft --version | tr 0-9 7)
sed "s/$own/$other/g" ${BUILT_PLUGINS}/weft > /opt/cni/bin/new; chmod +x /opt/cni/bin/new
mv /opt/cni/bin/new /opt/cni/bin/portmap`,
    evidence: /of version 7\.7\.7, and this is /,
  },
  {
    fault: "plugins-mixed",
    env: INSTALLED,
    cause: exchange("/opt/cni/bin", "portmap"),
    also: ["version-refused"],
    evidence: /of weft's, \/opt\/cni\/bin\/portmap not/,
  },
  {
    fault: "plugins-mixed",
    by: "all of them another's",
    env: INSTALLED,
    cause: `for plugin in bridge ptp host-local portmap firewall; do ${exchange("/opt/cni/bin", "$plugin")}; done`,
    also: ["version-refused"],
    evidence: /weft's plugins have attached i1 \(eth0 on apart\), \/opt\/cni\/bin\/bridge, .* not/,
  },
  {
    fault: "plugin-shadowed",
    by: "CNI_PATH",
    env: { CNI_PATH: "/opt/first:/opt/cni/bin" },
    cause: `mkdir /opt/first; ${exchange("/opt/first", "portmap")}`,
    also: ["plugins-mixed", "version-refused"],
    subject: "/opt/first",
    evidence: /portmap there are found, and not weft's in \/opt\/cni\/bin: CNI_PATH looks in \/opt\/first, /,
  },
  {
    fault: "plugin-shadowed",
    by: "containerd",
    cause: `
${exchange("/opt/first", "portmap")}
mkdir -p /etc/containerd; cat > /etc/containerd/config.toml <<END
version = 3
[plugins."io.containerd.cri.v1.runtime".cni]
bin_dirs = ["/opt/first", "/opt/cni/bin"]
END`,
    subject: "/opt/first",
    evidence: /containerd \(\/etc\/containerd\/config\.toml\) looks in \/opt\/first, /,
  },
];

await t.test("containers that cannot be seen stay as they are", { timeout: 120_000 }, async (t) => {
  if (lacks) return skip(t, lacks);
  const { host, outside } = await makeDoctorStage(t);
  const pings = () => host.containers.get("c1")?.ping(outside.address4);
  t.ok(await pings(), "c1 reaches the world");
  const before = await hostState(host);
  // as in a pod that has not the host's mounts
  const blind = (words: readonly string[]) =>
    host.exec("unshare", ["-m", "sh", "-c", 'mount -t tmpfs t /run/netns; exec "$@"', "sh", WEFT, ...words], {
      reject: false,
    });
  for (const words of [["gc"], ["gc", "front"]]) {
    t.match(
      await blind(words),
      { exitCode: 1, stderr: /cannot see the containers' namespaces here: of .* lives, and / },
      `weft ${words.join(" ")} does nothing`,
    );
  }
  const { exitCode, stdout } = await blind(["doctor", "--fix", "--yes", "--json"]);
  t.equal(exitCode, 2, "weft doctor --fix mends nothing");
  t.match(JSON.parse(stdout), { findings: [{ fault: "container-unseen", isSafe: false }], mended: [] });
  t.equal((await blind(["network", "prune", "--yes"])).exitCode, 0, "no network is pruned");
  t.strictSame(await changesSince(before, host), [], "nothing is changed");
  t.ok(await pings(), "and c1 lives");
});

await t.test("a container without a pair, likewise", { timeout: 120_000 }, async (t) => {
  const lack = lacks ?? (await missing("macvlan"));
  if (lack) return skip(t, lack);
  const host = await makeHost(t);
  await host.container("d1");
  await host.exec("ip", ["link", "add", "wire0", "type", "veth", "peer", "name", "wire1"]);
  const ipam = { type: "host-local", subnet: "10.4.0.0/24" };
  const plugins = [{ type: "macvlan", master: "wire0", ipam }];
  const file = { cniVersion: "1.0.0", name: "alone", plugins };
  await host.exec("mkdir", ["-p", NETWORKS]);
  writeFileSync(host.view(`${NETWORKS}/10-alone.conflist`), JSON.stringify(file));
  await host.exec(WEFT, ["add", "alone", "d1"]);
  const before = await hostState(host);
  for (const script of [
    "mount -t tmpfs t /run/netns",
    "mount --bind /run/weft /mnt; mount -t tmpfs t /run; mkdir /run/weft; mount --bind /mnt /run/weft",
    "umount /run/netns/d1",
  ]) {
    const blind = `${script}; exec ${WEFT} gc`;
    t.match(
      await host.exec("unshare", ["-m", "sh", "-e", "-c", blind], { reject: false }),
      { exitCode: 1, stderr: /cannot see the containers' namespaces here: of d1 \(eth0 on alone\) / },
      script,
    );
  }
  t.strictSame(await changesSince(before, host), [], "nothing is changed");
  await host.exec("ip", ["netns", "del", "d1"]);
  t.match(await host.exec(WEFT, ["gc"]), { stdout: /^removed d1 \(eth0 on alone\): .* is gone$/m }, "gone");
});

await showFamilies(t, { LEFTOVERS, ADDRESSES, CONFIGURATION }, lacks);
await showFamilies(t, { PLUGINS }, lacks ?? installed?.missing);

/**
 * What the host's packet filter says to containers: one packet of each network is followed to the uplink, and
 * one from there to each network's first published port, as `weft trace` does.
 */
import { type Address, type Family, formatAddress, isLinkLocal } from "../../../lib/netaddr/address.ts";
import { parsePrefix } from "../../../lib/netaddr/prefix.ts";
import { parseService, readQuestion } from "../../trace/endpoints.ts";
import { World } from "../../trace/node.ts";
import { type Leg, trace } from "../../trace/trace.ts";
import type { Evidence } from "../../trace/trail.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, hostSideOf, isRoutedByHost, nameOf } from "../host.ts";

/** What a container asks of the world: a port that somebody may have closed is as good as any. */
const WEB = "443";
/** Rules of weft's and of the reference's firewall drop what they were asked to. */
const INTENDED = /^(inet|bridge) weft|CNI-/;

interface Uplink {
  readonly gateway: Address;
  /** The host's own address there. */
  readonly own: Address;
}

export function checkForward(host: Host): Finding[] {
  const routed = host.attachments.filter(({ state }) => state === "up");
  if (routed.length === 0) return [];
  const world = new World(host.view);
  return ([4, 6] as const).flatMap((family) => {
    const uplink = uplinkOf(host, family);
    if (!uplink) return [];
    const mine = routed.filter((attached) => isRoutedByHost(host, attached, family));
    return [...Map.groupBy(mine, ({ network }) => network).values()].flatMap((attachments) => {
      const [first] = attachments;
      if (!first || isInternal(first)) return [];
      const publishing = attachments.find(({ ports }) => ports.length > 0);
      const out = outward(host, world, { attached: first, family, uplink });
      if (out.length > 0 || !publishing) return out; // the same remedy
      return inward(host, world, { attached: publishing, family, uplink });
    });
  });
}

function uplinkOf({ stack }: Host, family: Family): Uplink | undefined {
  const route = stack.routes.find(({ dst, gateway }) => dst.length === 0 && gateway?.family === family);
  const { gateway, oif } = route ?? {};
  if (!gateway || isLinkLocal(gateway) || oif === undefined) return undefined;
  const own = stack.addresses.find(
    ({ prefix, ifindex }) =>
      ifindex === oif && prefix.address.family === family && !isLinkLocal(prefix.address),
  );
  return own && { gateway, own: own.prefix.address };
}

/** A network that is to reach nobody, and be reached by nobody. */
function isInternal({ list }: Attached): boolean {
  return list?.plugins.some(({ type, internal }) => type === "firewall" && internal === true) ?? false;
}

interface Question {
  readonly attached: Attached;
  readonly family: Family;
  readonly uplink: Uplink;
}

function outward(host: Host, world: World, { attached, family, uplink }: Question): Finding[] {
  const from = attached.addresses.find((text) => parsePrefix(text).address.family === family);
  if (from === undefined) return [];
  const source = formatAddress(parsePrefix(from).address);
  const dropped = follow(host, world, { from: source, to: uplink.gateway, port: WEB });
  return dropped ? [told(host, attached, `from ${source} to the uplink`, dropped)] : [];
}

function inward(host: Host, world: World, { attached, uplink }: Question): Finding[] {
  const port = attached.ports.find(({ hostIP, protocol }) => hostIP === "" && protocol !== "sctp");
  if (!port) return [];
  const from = formatAddress(uplink.gateway);
  const dropped = follow(host, world, { from, to: uplink.own, port: `${port.hostPort}/${port.protocol}` });
  return dropped ? [told(host, attached, `from the uplink to port ${port.hostPort}`, dropped)] : [];
}

/** The rule of the host's forward hook that ends it; undefined where none does, or what was meant to. */
function follow(
  { view }: Host,
  world: World,
  { from, to, port }: { from: string; to: Address; port: string },
): Evidence | undefined {
  const question = readQuestion(view, world, [from, formatAddress(to), parseService(port)], {});
  const { verdict, there, back } = trace(world, question);
  if (verdict !== "dropped") return undefined;
  return [there, back].flatMap((leg) => (leg?.verdict === "dropped" ? (endOf(leg, world) ?? []) : []))[0];
}

function endOf({ hops }: Leg, { host }: World): Evidence | undefined {
  const last = hops.at(-1);
  const rule = last?.evidence.findLast(({ kind }) => kind === "rule");
  const isForwarding = last?.place === host.name && last.text.startsWith("forward");
  return isForwarding && rule && !INTENDED.test(`${rule.table} ${rule.chain}`) ? rule : undefined;
}

function told(host: Host, attached: Attached, what: string, rule: Evidence): Finding {
  const side = hostSideOf(host, attached)?.name ?? "";
  const evidence = `what goes ${what} is dropped by ${rule.text}`;
  return finding("forward-dropped", { subject: nameOf(attached), evidence, remedy: accepting(side, rule) });
}

/** Before whatever drops: what the container sends, the answers, and what is for published ports. */
function accepting(side: string, { table = "", chain = "" }: Evidence): string {
  if (table.includes("firewalld")) return `firewall-cmd --zone=trusted --add-interface=${side}`;
  const program = iptablesOf(table);
  if (program === undefined) {
    const rules = [`iifname ${side} accept`, `oifname ${side} ct state established,related accept`];
    return [...rules, `oifname ${side} ct status dnat accept`]
      .map((rule) => `nft insert rule ${table} ${chain} ${rule}`)
      .join(" && ");
  }
  const answers = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT";
  return `${program} -I FORWARD -i ${side} -j ACCEPT && ${program} -I FORWARD -o ${side} ${answers} -j ACCEPT`;
}

/** The program whose table it is; undefined for one of nftables' own. */
function iptablesOf(table: string): string | undefined {
  const legacy = /legacy/.test(table);
  if (/ip6 filter|ip6tables/.test(table)) return legacy ? "ip6tables-legacy" : "ip6tables";
  if (/ip filter|iptables/.test(table)) return legacy ? "iptables-legacy" : "iptables";
  return undefined;
}

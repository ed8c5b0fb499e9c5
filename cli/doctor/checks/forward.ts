/**
 * What the host's packet filters say to containers: of each network a packet is followed to the uplink, to a
 * neighbour, and from the uplink and the host to each published port, as `weft trace` does.
 */
import {
  type Address,
  type Family,
  formatAddress,
  isLinkLocal,
  parseAddress,
} from "../../../lib/netaddr/address.ts";
import { parsePrefix } from "../../../lib/netaddr/prefix.ts";
import { parseService, readQuestion } from "../../trace/endpoints.ts";
import { World } from "../../trace/node.ts";
import { type Leg, type TraceResult, trace } from "../../trace/trace.ts";
import type { Evidence } from "../../trace/trail.ts";
import { type Finding, finding } from "../finding.ts";
import { type Attached, type Host, hostSideOf, isRoutedByHost, nameOf } from "../host.ts";

/** What a container asks of the world: a port that somebody may have closed is as good as any. */
const WEB = "443";
const PING = "ping";
const LOCALHOST = "127.0.0.1";
/** Rules of weft's and of the reference's firewall drop what they were asked to. */
const INTENDED = /^(inet|bridge) weft|CNI-/;
/** Each is followed through the whole host. */
const PORTS_MAX = 64;

interface Uplink {
  readonly gateway: Address;
  /** The host's own address there. */
  readonly own: Address;
}

interface Surroundings {
  readonly host: Host;
  readonly world: World;
  readonly family: Family;
  readonly uplink: Uplink | undefined;
}

export function checkForward(host: Host): Finding[] {
  const up = host.attachments.filter(({ state }) => state === "up");
  if (up.length === 0) return [];
  const world = new World(host.view);
  return ([4, 6] as const).flatMap((family) => {
    const surroundings = { host, world, family, uplink: uplinkOf(host, family) };
    const mine = up.filter((attached) => isRoutedByHost(host, attached, family));
    return [...Map.groupBy(mine, ({ network }) => network).values()].flatMap((attachments) =>
      networkDropped(surroundings, attachments),
    );
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

/** Of what one rule or policy drops, one finding: its remedy is the network's. */
function networkDropped(surroundings: Surroundings, attachments: readonly Attached[]): Finding[] {
  const [first, second] = attachments;
  if (!first) return [];
  const { uplink, family } = surroundings;
  const isInternal = firewallOf(first)?.["internal"] === true;
  const source = addressOf(first, family);
  const more = attachments.length - 1;
  const subject = more > 0 ? `${nameOf(first)} and ${more} more` : nameOf(first);
  const tell = (what: string, rule: Evidence) => {
    const side = hostSideOf(surroundings.host, first)?.name ?? "";
    const evidence = `what goes ${what} is dropped by ${rule.text}`;
    return [finding("forward-dropped", { subject, evidence, remedy: accepting(side, rule) })];
  };
  if (uplink && source && !isInternal) {
    const rule = droppedBy(surroundings, { from: source, to: uplink.gateway, port: WEB });
    if (rule) return tell(`from ${source} to the uplink`, rule);
  }
  const neighbour = second && areNeighbours(first, second) ? addressOf(second, family) : undefined;
  if (source && neighbour) {
    const rule = droppedBy(surroundings, { from: source, to: parseAddress(neighbour), port: PING });
    if (rule) return tell(`from ${source} to its neighbour ${neighbour}`, rule);
  }
  return isInternal ? [] : portsDropped(surroundings, attachments, tell);
}

function portsDropped(
  surroundings: Surroundings,
  attachments: readonly Attached[],
  tell: (what: string, rule: Evidence) => Finding[],
): Finding[] {
  const { uplink, family } = surroundings;
  const published = attachments.flatMap((attached) =>
    attached.ports
      .filter(({ hostIP, protocol }) => hostIP === "" && protocol !== "sctp")
      .map(({ hostPort, protocol }) => ({ attached, hostPort, port: `${hostPort}/${protocol}` })),
  );
  for (const { attached, hostPort, port } of published.slice(0, PORTS_MAX)) {
    const ways = [
      ...(uplink ? [{ from: formatAddress(uplink.gateway), to: uplink.own, what: "the uplink" }] : []),
      ...(family === 4 ? [{ from: "host", to: parseAddress(LOCALHOST), what: "this host" }] : []),
    ];
    for (const { what, ...way } of ways) {
      const diverted = divertedBy(surroundings, attached, { ...way, port });
      if (diverted) return [portDiverted(attached, hostPort, diverted)];
      const rule = droppedBy(surroundings, { ...way, port });
      if (rule) return tell(`from ${what} to port ${hostPort}`, rule);
    }
  }
  return [];
}

function firewallOf({ list }: Attached) {
  return list?.plugins.find(({ type }) => type === "firewall");
}

/** Whether they are to reach each other by a bridge. */
function areNeighbours(one: Attached, other: Attached): boolean {
  if (one.bridge === undefined || one.bridge !== other.bridge) return false;
  const firewall = firewallOf(one);
  const isApart = firewall?.["icc"] === false || firewall?.["ingressPolicy"] === "isolated";
  return !isApart && one.main?.["portIsolation"] !== true;
}

function addressOf({ addresses }: Attached, family: Family): string | undefined {
  const prefix = addresses.map(parsePrefix).find(({ address }) => address.family === family);
  return prefix && formatAddress(prefix.address);
}

interface Way {
  readonly from: string;
  readonly to: Address;
  readonly port: string;
}

function follow({ host, world }: Surroundings, { from, to, port }: Way): TraceResult {
  return trace(world, readQuestion(host.view, world, [from, formatAddress(to), parseService(port)], {}));
}

/** The rule of this host that ends it; undefined where none does, or what was meant to. */
function droppedBy(surroundings: Surroundings, way: Way): Evidence | undefined {
  const { verdict, there, back } = follow(surroundings, way);
  if (verdict !== "dropped") return undefined;
  const legs = [there, back].filter((leg) => leg?.verdict === "dropped");
  return legs.flatMap((leg) => (leg ? (endOf(leg, surroundings.world) ?? []) : []))[0];
}

function endOf({ hops }: Leg, { host }: World): Evidence | undefined {
  const last = hops.at(-1);
  const rule = last?.evidence.findLast(({ kind }) => kind === "rule");
  const isHere = last?.place === host.name;
  return isHere && rule && !INTENDED.test(`${rule.table} ${rule.chain}`) ? rule : undefined;
}

/** The rule of another's that translates what is for a published port to somebody else. */
function divertedBy(surroundings: Surroundings, attached: Attached, way: Way): Evidence | undefined {
  const { there } = follow(surroundings, way);
  const { place, addresses } = { place: surroundings.world.host.name, addresses: attached.addresses };
  const own = addresses.map((text) => formatAddress(parsePrefix(text).address));
  const translated = there.hops.find(
    ({ place: at, text }) => at === place && text.includes(": translated to"),
  );
  if (!translated || own.some((address) => translated.text.includes(address))) return undefined;
  const rule = translated.evidence.findLast(({ kind }) => kind === "rule");
  return rule && !INTENDED.test(`${rule.table} ${rule.chain}`) ? rule : undefined;
}

function portDiverted(attached: Attached, hostPort: number, rule: Evidence): Finding {
  const { table = "", chain = "", text } = rule;
  const handle = /handle (\d+)/.exec(text)?.[1];
  const evidence = `what is for its port ${hostPort} goes elsewhere by ${text}`;
  const remedy =
    handle === undefined
      ? `${table.startsWith("ip6") ? "ip6tables" : "iptables"}-legacy -t nat -S ${chain}`
      : `nft delete rule ${table} ${chain} handle ${handle}`;
  return finding("port-diverted", { subject: nameOf(attached), evidence, remedy });
}

/** Before whatever drops: what the container sends, the answers, and what is for published ports. */
function accepting(side: string, { table = "", chain = "" }: Evidence): string {
  if (table.includes("firewalld")) return `firewall-cmd --zone=trusted --add-interface=${side}`;
  if (table.startsWith("bridge ")) return `nft insert rule ${table} ${chain} accept`;
  const program = iptablesOf(table);
  const isForward = /forward/i.test(chain) || program === undefined;
  if (program === undefined) {
    const rules = [`iifname ${side} accept`, `oifname ${side} ct state established,related accept`];
    return [...rules, `oifname ${side} ct status dnat accept`]
      .map((rule) => `nft insert rule ${table} ${chain} ${rule}`)
      .join(" && ");
  }
  const answers = "-m conntrack --ctstate RELATED,ESTABLISHED,DNAT";
  if (!isForward) return `${program} -I ${chain} -i ${side} ${answers} -j ACCEPT`;
  return `${program} -I FORWARD -i ${side} -j ACCEPT && ${program} -I FORWARD -o ${side} ${answers} -j ACCEPT`;
}

/** The program whose table it is; undefined for one of nftables' own. */
function iptablesOf(table: string): string | undefined {
  const legacy = /legacy/.test(table);
  if (/ip6 filter|ip6tables/.test(table)) return legacy ? "ip6tables-legacy" : "ip6tables";
  if (/ip filter|iptables/.test(table)) return legacy ? "iptables-legacy" : "iptables";
  return undefined;
}

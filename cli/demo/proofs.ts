/** What holds of every endpoint on a bridge that is a gateway. */
import type { Outcome, Protocol } from "./echo.ts";
import type { BridgeEndpoint, Endpoint, RoutedEndpoint } from "./endpoint.ts";
import { look, lookJson } from "./look.ts";
import type { Interface, Stage } from "./stage.ts";

/** The cable: the container's end, the host's end, the bridge it is plugged into, and the name on it. */
export function proveCable(stage: Stage, endpoint: BridgeEndpoint): void {
  const { hostEnd, bridge } = endpoint;
  const port = provePair(stage, endpoint);
  stage.narrator.proof(`${hostEnd} is a port of ${port?.master}`, { holds: port?.master === bridge });
  proveAlias(stage, endpoint);
}

/** The two ends know each other. @returns the host's */
export function provePair(
  stage: Stage,
  { sandbox, ifname, hostEnd }: BridgeEndpoint | RoutedEndpoint,
): Interface | undefined {
  const inside = stage.interface(ifname, sandbox);
  const outside = stage.interface(hostEnd);
  stage.narrator.proof(
    `${ifname}@if${inside?.link_index} of ${sandbox} is a cable to ${hostEnd}, the host's interface ${outside?.ifindex}`,
    {
      holds:
        inside !== undefined &&
        inside.link_index === outside?.ifindex &&
        outside?.link_index === inside.ifindex,
    },
  );
  return outside;
}

function proveAlias({ narrator }: Stage, { ifname, hostEnd, network }: BridgeEndpoint): void {
  const alias = /alias (\S+)/.exec(look(`ip link show ${hostEnd}`).stdout)?.[1] ?? "";
  narrator.proof(`its alias tells whose it is: ${alias}`, {
    holds: alias.startsWith(`weft:${network}/`) && alias.endsWith(`/${ifname}`),
  });
}

/** The addresses are those of the result, and nothing waits for duplicate detection. */
export function proveAddresses(stage: Stage, { sandbox, ifname, addresses }: Endpoint): void {
  const held = stage.addresses(ifname, sandbox);
  stage.narrator.proof(`${ifname} of ${sandbox} has ${held.join(" and ")}`, {
    holds: held.join() === addresses.join(),
  });
}

export function proveDefaultRoute(
  stage: Stage,
  { sandbox, bridge, bridgeAddresses }: BridgeEndpoint,
  family: 4 | 6,
): void {
  const routes = lookJson<{ dst: string; gateway?: string }>(`ip -j -${family} -n ${sandbox} route`);
  const gateways = routes.filter(({ dst }) => dst === "default").map(({ gateway }) => gateway ?? "");
  const isBridge = bridgeAddresses.some((address) => address.split("/")[0] === gateways[0]);
  stage.narrator.proof(
    `the default route of ${sandbox} is ${gateways.join(", ") || "missing"}, which is ${bridge}`,
    { holds: gateways.length === 1 && isBridge },
  );
}

/** Whom to ask, and what must come of it. */
export interface Question {
  readonly protocol?: Protocol;
  readonly address: string;
  readonly port: number;
  /** The server that answers; undefined when none may. */
  readonly by?: string | undefined;
  /** Whom it sees: the source that the packets have in the end. */
  readonly seen?: string;
  readonly because?: string;
}

/** A client in a sandbox, or on the host, asks servers; by TCP unless it says otherwise. */
export function proveAnswers({ narrator }: Stage, client: string, ...questions: readonly Question[]): void {
  const inside = client === "host" ? "" : `ip netns exec ${client} `;
  const words = questions.map(({ protocol = "tcp", address, port }) => `${protocol}:${port}:${address}`);
  const outcomes = lookJson<Outcome>(`${inside}weft demo --role client ${words.join(" ")}`);
  for (const [i, { protocol = "tcp", address, port, by, seen, because }] of questions.entries()) {
    const outcome = outcomes[i] ?? { error: "nobody was asked" };
    const isAnswered = "name" in outcome;
    const told = isAnswered ? `${outcome.name} answers and sees ${outcome.seen}` : silence(outcome.error);
    const where = `${address.includes(":") ? `[${address}]` : address}:${port}/${protocol}`;
    narrator.proof(`${client} asks ${where}: ${told}${because ? ` (${because})` : ""}`, {
      holds: isAnswered ? outcome.name === by && (!seen || outcome.seen === seen) : by === undefined,
    });
  }
}

function silence(error: string): string {
  return { ECONNREFUSED: "refused", ETIMEDOUT: "no answer" }[error] ?? error;
}

/** What holds of every endpoint on a bridge that is a gateway. */
import type { Endpoint } from "./endpoint.ts";
import { look, lookJson, type Stage } from "./stage.ts";

/** The cable: the container's end, the host's end, the bridge it is plugged into, and the name on it. */
export function proveCable(stage: Stage, { sandbox, ifname, hostEnd, bridge, network }: Endpoint): void {
  const inside = stage.interface(ifname, sandbox);
  const outside = stage.interface(hostEnd);
  const { narrator } = stage;
  narrator.proof(
    `${ifname}@if${inside?.link_index} of ${sandbox} is a cable to ${hostEnd}, the host's interface ${outside?.ifindex}`,
    {
      holds:
        inside !== undefined &&
        inside.link_index === outside?.ifindex &&
        outside?.link_index === inside.ifindex,
    },
  );
  narrator.proof(`${hostEnd} is a port of ${outside?.master}`, { holds: outside?.master === bridge });
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
  { sandbox, bridge, bridgeAddresses }: Endpoint,
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

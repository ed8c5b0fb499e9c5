/** One interface of a sandbox on a network, as `weft add` made it. */
import { parseResult, type Result } from "../../lib/cni/result.ts";
import { formatPrefix } from "../../lib/netaddr/prefix.ts";

export interface Endpoint {
  readonly sandbox: string;
  readonly network: string;
  readonly ifname: string;
  readonly mac: string;
  /** As `ip addr` takes them: "172.17.0.2/16". */
  readonly addresses: readonly string[];
  /** The host's end of the veth pair. */
  readonly hostEnd: string;
  readonly bridge: string;
  readonly bridgeAddresses: readonly string[];
  readonly result: Result;
}

/** @param printed what `weft add` printed for a network of the bridge plugin */
export function readEndpoint(
  where: Pick<Endpoint, "sandbox" | "network" | "ifname">,
  printed: string,
  bridgeAddresses: (bridge: string) => readonly string[],
): Endpoint {
  const result = parseResult(JSON.parse(printed), "1.1.0");
  const [bridge, hostEnd, inside] = result.interfaces ?? [];
  if (!bridge || !hostEnd || !inside) throw new Error(`the result lacks an interface: ${printed}`);
  return {
    ...where,
    mac: inside.mac ?? "",
    addresses: (result.ips ?? []).map(({ address }) => formatPrefix(address)),
    hostEnd: hostEnd.name,
    bridge: bridge.name,
    bridgeAddresses: bridgeAddresses(bridge.name),
    result,
  };
}

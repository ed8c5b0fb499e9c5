/** The command that attaches a container anew, with the ports that it publishes. */
import type { PublishedPort } from "../inventory/attachment.ts";
import { shellWord } from "./finding.ts";
import type { Attached } from "./host.ts";

export function reattaching({ network, netns, ifname, ports }: Attached): string {
  const place = `${shellWord(network)} ${shellWord(netns)} --ifname ${ifname}`;
  return `weft del ${place} && weft add ${place}${ports.map(publishing).join("")}`;
}

/** "-p 192.0.2.1:8080:80/tcp" */
function publishing({ hostPort, containerPort, protocol, hostIP }: PublishedPort): string {
  const address = hostIP.includes(":") ? `[${hostIP}]:` : hostIP && `${hostIP}:`;
  return ` -p ${shellWord(`${address}${hostPort}:${containerPort}/${protocol}`)}`;
}

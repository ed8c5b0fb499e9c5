/** The command that attaches a container anew, with the ports that it publishes. */
import type { PublishedPort } from "../inventory/attachment.ts";
import { allOf, type ShellCommand, shell } from "../terminal/shell.ts";
import type { Attached } from "./host.ts";

export function reattaching({ network, netns, ifname, ports }: Attached): ShellCommand {
  const place = [network, netns, "--ifname", ifname];
  return allOf(shell`weft del ${place}`, shell`weft add ${[...place, ...ports.flatMap(publishing)]}`);
}

/** "-p 192.0.2.1:8080:80/tcp" */
function publishing({ hostPort, containerPort, protocol, hostIP }: PublishedPort): string[] {
  const address = hostIP.includes(":") ? `[${hostIP}]:` : hostIP && `${hostIP}:`;
  return ["-p", `${address}${hostPort}:${containerPort}/${protocol}`];
}

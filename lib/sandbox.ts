/**
 * The two places an attachment lives in: the host, and the container's network namespace (the sandbox).
 *
 * One socket in each, opened first; after that nothing runs inside a namespace.
 */

import { CniError } from "./cni/error.ts";
import type { Call } from "./cni/plugin.ts";
import { findNetns, type Netns, NetnsError, openNetns } from "./netns/netns.ts";
import { findLink } from "./rtnetlink/link.ts";
import { openRouteSocket, type RouteSocket } from "./rtnetlink/route-socket.ts";

export interface Sandbox {
  readonly netns: Netns;
  readonly host: RouteSocket;
  readonly container: RouteSocket;
}

/** Opens both, for ADD and CHECK. @throws CniError 4 when CNI_NETNS is not a network namespace */
export function openSandbox(call: Call): Sandbox {
  const { resources } = call;
  try {
    const netns = resources.use(openNetns(call.netnsPath));
    return {
      netns,
      host: resources.use(openRouteSocket()),
      container: resources.use(openRouteSocket(netns)),
    };
  } catch (error) {
    if (!(error instanceof NetnsError)) throw error;
    throw new CniError(CniError.INVALID_ENVIRONMENT, error.message, {
      details: "CNI_NETNS must be a network namespace",
    });
  }
}

/** Opens what is there, for DEL: a namespace that is gone took its interfaces with it. */
export function findSandbox(call: Call): { host: RouteSocket; container: RouteSocket | undefined } {
  const container = findContainer(call);
  return { host: call.resources.use(openRouteSocket()), container };
}

/** The same of the container alone. */
export function findContainer({ netnsPath, resources }: Call): RouteSocket | undefined {
  const netns = resources.use(findNetns(netnsPath));
  return netns && resources.use(openRouteSocket(netns));
}

/** Refuses an ADD whose interface is there already, before anything is changed (CNI spec 1.1 §2 ADD). */
export function refuseExistingInterface(call: Call, container: RouteSocket): void {
  if (!findLink(container, call.ifname)) return;
  throw new CniError(
    CniError.INVALID_ENVIRONMENT,
    `container interface "${call.ifname}" already exists in "${call.netnsPath}"`,
    { details: "choose another CNI_IFNAME, or run DEL first" },
  );
}

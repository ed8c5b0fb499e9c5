/** The names that there are on this host: of networks, containers, faults. */
import { TOPOLOGIES } from "../demo/topologies.ts";
import { FAULTS } from "../doctor/faults.ts";
import { HostView } from "../inventory/host-view.ts";
import { listNamespaces } from "../inventory/namespaces.ts";
import { DRIVERS, OPTIONS } from "../networks/driver-options.ts";
import { summaryOf } from "../networks/summary.ts";
import { readNetworks } from "../runtime/network-list.ts";

const NAMED_NAMESPACES = "/run/netns/";
/** For --network of weft run, beside networks. */
const WITHOUT_NETWORK = ["host", "none"];

/**
 * @param kind the name of an argument, as "network" of `<network>`
 * @param directory of the networks
 */
export function namesOf(kind: string, directory: string): readonly string[] {
  switch (kind) {
    case "network":
      return networkNames(directory);
    case "network|none|host":
      return [...networkNames(directory), ...WITHOUT_NETWORK];
    case "bridge":
      return unique([...networkNames(directory), ...bridgeNames(directory)]);
    case "driver":
      return DRIVERS;
    case "key=value":
      return OPTIONS.map(({ name }) => `${name}=`);
    case "container":
      return containerNames(directory);
    case "src":
    case "dst":
      return [...containerNames(directory), "host"];
    case "container|network":
      return unique([...networkNames(directory), ...containerNames(directory)]);
    case "topology":
      return TOPOLOGIES.map(({ name }) => name);
    case "fault":
      return Object.keys(FAULTS);
    default:
      return [];
  }
}

function networkNames(directory: string): string[] {
  return readNetworks(directory).networks.map(({ name }) => name);
}

function bridgeNames(directory: string): string[] {
  return readNetworks(directory).networks.flatMap((network) => summaryOf(network).bridge ?? []);
}

/** Those on a network, and what `ip netns` has named. */
function containerNames(directory: string): string[] {
  using view = HostView.openReadable(directory);
  const attached = view.attachments.filter(({ state }) => state !== "gone").map(({ container }) => container);
  const named = listNamespaces().filter(({ path }) => path.startsWith(NAMED_NAMESPACES));
  return unique([...attached, ...named.map(({ name }) => name)]).filter((name) => !name.includes(" "));
}

function unique(names: readonly string[]): string[] {
  return [...new Set(names)].sort();
}

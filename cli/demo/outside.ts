/** A host at the other end of a cable to this one, as any of the world outside. RFC 5737, RFC 3849. */

export interface Outside {
  /** Its namespace. */
  readonly name: string;
  /** With the length of the prefix: "192.0.2.9/24". */
  readonly addresses: readonly string[];
  /** The host's end. */
  readonly uplink: string;
  readonly hostAddresses: readonly string[];
  /** The commands that take it away. */
  readonly teardown: readonly string[];
}

const NAME = "outside";
const UPLINK = "eth0";

/** Makes it, with the commands that are run and shown. */
export function joinOutside(run: (command: string) => void, { ipv6 = false } = {}): Outside {
  const hostAddresses = ["192.0.2.1/24", ...(ipv6 ? ["2001:db8::1/64"] : [])];
  const addresses = ["192.0.2.9/24", ...(ipv6 ? ["2001:db8::9/64"] : [])];
  const add = (ip: string, address: string) =>
    run(`${ip} addr add ${address} dev ${UPLINK}${address.includes(":") ? " nodad" : ""}`);
  run(`ip netns add ${NAME}`);
  run(`ip link add ${UPLINK} type veth peer name ${UPLINK} netns ${NAME}`);
  for (const address of hostAddresses) add("ip", address);
  for (const address of addresses) add(`ip -n ${NAME}`, address);
  run(`ip link set ${UPLINK} up`);
  run(`ip -n ${NAME} link set ${UPLINK} up`);
  const teardown = [`ip link del ${UPLINK}`, `ip netns del ${NAME}`];
  return { name: NAME, addresses, uplink: UPLINK, hostAddresses, teardown };
}

/** "192.0.2.9" of "192.0.2.9/24". */
export function addressOf(prefix: string): string {
  return prefix.slice(0, prefix.indexOf("/"));
}

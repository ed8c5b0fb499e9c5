/**
 * Where a message bus listens. D-Bus Specification, "Server Addresses": transports in order of preference,
 * `unix:path=/run/bus,guid=…;unix:abstract=…`, values escaped as in a URL.
 */
import { unixAddress } from "../sys/unix-stream.ts";

/** The system's bus, where DBUS_SYSTEM_BUS_ADDRESS does not name another. */
const SYSTEM_BUS = "unix:path=/var/run/dbus/system_bus_socket";

/** The address of the system's bus, from the variables of the environment. */
export function systemBusAddress(environment: Readonly<Record<string, string | undefined>>): string {
  return environment["DBUS_SYSTEM_BUS_ADDRESS"] || SYSTEM_BUS;
}

/** Each Unix socket of an address, as struct sockaddr_un. Other transports and nonsense are left out. */
export function socketAddresses(text: string): Uint8Array[] {
  const found: Uint8Array[] = [];
  for (const server of text.split(";")) {
    if (!server.startsWith("unix:")) continue;
    for (const pair of server.slice("unix:".length).split(",")) {
      const equals = pair.indexOf("=");
      const key = pair.slice(0, equals);
      if (key !== "path" && key !== "abstract") continue;
      const address = unixAddress(key, decoded(pair.slice(equals + 1)) ?? "");
      if (address) found.push(address);
    }
  }
  return found;
}

function decoded(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}

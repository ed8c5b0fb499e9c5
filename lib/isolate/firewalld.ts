/**
 * firewalld: a container's addresses are sources of a zone, whose rules then hold for it. Changes are of the
 * running configuration and go with a reload. Equivalent to `firewall-cmd --zone=ZONE --add-source=ADDRESS`.
 *
 * Reference: firewalld.dbus(5), org.fedoraproject.FirewallD1.zone.
 */
import { CniError } from "../cni/error.ts";
import { systemBusAddress } from "../dbus/address.ts";
import { BusConnection } from "../dbus/connection.ts";
import { BusError, BusTimeoutError, BusUnavailableError } from "../dbus/error.ts";
import type { Value } from "../dbus/message.ts";
import { failed } from "../interface.ts";
import { type Address, addressBits, formatAddress } from "../netaddr/address.ts";

const SERVICE = "org.fedoraproject.FirewallD1";
const OBJECT = { destination: SERVICE, path: "/org/fedoraproject/FirewallD1" };
const ZONE = { ...OBJECT, interface: `${SERVICE}.zone` };

type Environment = Readonly<Record<string, string | undefined>>;

/** The bus with firewalld on it; undefined where there is no bus, or it does not run. */
export function findFirewalld(environment: Environment): BusConnection | undefined {
  let bus: BusConnection | undefined;
  try {
    bus = new BusConnection(systemBusAddress(environment));
    if (bus.hasService(SERVICE)) return bus;
  } catch (error) {
    bus?.[Symbol.dispose]();
    if (error instanceof BusUnavailableError || error instanceof BusError) return undefined;
    throw told(error);
  }
  bus[Symbol.dispose]();
  return undefined;
}

/** @throws CniError 50 where firewalld does not run */
export function openFirewalld(environment: Environment): BusConnection {
  const bus = findFirewalld(environment);
  if (bus) return bus;
  throw new CniError(CniError.NOT_AVAILABLE, "firewalld is not running", {
    details: `nobody is ${SERVICE} at "${systemBusAddress(environment)}"; start it, or change "backend"`,
  });
}

/** Adds the addresses to the zone; one that is in it stays. */
export function addSources(bus: BusConnection, zone: string, addresses: readonly Address[]): void {
  for (const address of addresses) {
    const fault = refusalOf(() => askZone(bus, "addSource", zone, address));
    if (!fault || isCode(fault, "ZONE_ALREADY_SET", "ALREADY_ENABLED")) continue;
    if (isCode(fault, "INVALID_ZONE")) {
      throw new CniError(CniError.INVALID_NETWORK_CONFIG, `firewalld has no zone "${zone}"`, {
        details: '"firewalldZone" takes one of firewall-cmd --get-zones',
      });
    }
    const msg = `failed to add the address ${sourceOf(address)} to ${zone} zone`;
    throw new CniError(CniError.INTERNAL, msg, { cause: fault });
  }
}

/** Removes the addresses from the zone; what is not in it, or in another, stays as it is. */
export function removeSources(bus: BusConnection, zone: string, addresses: readonly Address[]): void {
  for (const address of addresses) {
    const fault = refusalOf(() => askZone(bus, "removeSource", zone, address));
    if (fault && !isCode(fault, "UNKNOWN_SOURCE", "NOT_ENABLED", "ZONE_CONFLICT", "INVALID_ZONE"))
      throw fault;
  }
}

/** @throws CniError 100 that names the address that is not in the zone */
export function checkSources(bus: BusConnection, zone: string, addresses: readonly Address[]): void {
  for (const address of addresses) {
    let isThere = false;
    const fault = refusalOf(() => {
      isThere = askZone(bus, "querySource", zone, address)[0] === true;
    });
    if (!isThere) throw failed(`failed to find the address ${sourceOf(address)} in ${zone} zone`, fault);
  }
}

function askZone(bus: BusConnection, member: string, zone: string, address: Address): Value[] {
  return bus.call({ ...ZONE, member, args: [zone, sourceOf(address)] });
}

/** "10.9.0.2/32" */
function sourceOf(address: Address): string {
  return `${formatAddress(address)}/${addressBits(address.family)}`;
}

function refusalOf(ask: () => void): BusError | undefined {
  try {
    ask();
    return undefined;
  } catch (error) {
    if (error instanceof BusError) return error;
    throw told(error);
  }
}

/** firewalld's sentences begin with a code: "INVALID_ZONE: nope". */
function isCode({ text }: BusError, ...codes: readonly string[]): boolean {
  return codes.includes(text.split(":", 1)[0] ?? "");
}

/** A bus that is slow may be asked again; one that went away may come back. */
function told(error: unknown): unknown {
  if (!(error instanceof BusTimeoutError || error instanceof BusUnavailableError)) return error;
  return new CniError(CniError.TRY_AGAIN_LATER, error.message);
}

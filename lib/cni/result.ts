/**
 * What an ADD answers, in the shape of every version of the specification. Inside it has one shape, that
 * of 1.1.0, with addresses that were parsed; versions matter only where a result is read or written.
 *
 *   0.1.0, 0.2.0          ip4 and ip6 with routes in each; one address a family, no interfaces, bare routes
 *   0.3.0, 0.3.1, 0.4.0   lists; an address says its family; of an interface only name, mac and sandbox
 *   1.0.0, 1.1.0          the shape here; dns is left out when empty
 *
 * Reference: CNI spec 1.1 §5 "Success"; its SPEC.md at v0.2.0 and v0.4.0 for the older shapes.
 */
import type { Address, Family } from "../netaddr/address.ts";
import type { Prefix } from "../netaddr/prefix.ts";
import { CniError } from "./error.ts";
import {
  address,
  count,
  integer,
  isObject,
  type JsonObject,
  list,
  name,
  prefix,
  record,
  text,
} from "./json.ts";
import { familyOf, sameFamily } from "./version.ts";

/** Keys that are not named here are kept from where they were read to where they are written. */
export interface Result {
  readonly cniVersion?: string | undefined;
  readonly interfaces?: readonly Interface[] | undefined;
  readonly ips?: readonly IpConfig[] | undefined;
  readonly routes?: readonly Route[] | undefined;
  readonly dns?: Dns | undefined;
}

export interface Interface {
  readonly name: string;
  readonly mac?: string | undefined;
  /** Bytes. */
  readonly mtu?: number | undefined;
  /** CNI_NETNS of a container's interface; unset for one of the host. */
  readonly sandbox?: string | undefined;
  readonly socketPath?: string | undefined;
  readonly pciID?: string | undefined;
}

export interface IpConfig {
  readonly address: Prefix;
  readonly gateway?: Address | undefined;
  /** Index into the result's interfaces. */
  readonly interface?: number | undefined;
}

export interface Route {
  readonly dst: Prefix;
  readonly gw?: Address | undefined;
  /** Bytes. */
  readonly mtu?: number | undefined;
  /** Bytes: the largest TCP segment to announce. */
  readonly advmss?: number | undefined;
  readonly priority?: number | undefined;
  readonly table?: number | undefined;
  /** RT_SCOPE_*: 0 universe, 253 link, 254 host. */
  readonly scope?: number | undefined;
}

export interface Dns {
  readonly nameservers?: readonly string[] | undefined;
  readonly domain?: string | undefined;
  readonly search?: readonly string[] | undefined;
  readonly options?: readonly string[] | undefined;
}

const INTERFACE = record<Interface>(
  { name, mac: text, mtu: count, sandbox: text, socketPath: text, pciID: text },
  ["name"],
);
const IP = { interface: integer, address: prefix, gateway: address };
const ROUTE = record<Route>(
  { dst: prefix, gw: address, mtu: count, advmss: count, priority: count, table: integer, scope: integer },
  ["dst"],
);
const DNS = record<Dns>({ nameservers: list(text), domain: text, search: list(text), options: list(text) });

const RESULT_100 = record<Result>({
  cniVersion: text,
  interfaces: list(INTERFACE),
  ips: list(record<IpConfig>(IP, ["address"])),
  routes: list(ROUTE),
  dns: {
    read: DNS.read,
    write(dns) {
      const json = DNS.write(dns);
      return Object.keys(json).length > 0 ? json : undefined;
    },
  },
});

interface IpConfig040 extends IpConfig {
  readonly version?: string | undefined;
}
interface Result040 extends Result {
  readonly ips?: readonly IpConfig040[] | undefined;
}
const RESULT_040 = record<Result040>({
  cniVersion: text,
  interfaces: list(INTERFACE),
  ips: list(record<IpConfig040>({ version: text, ...IP }, ["address"])),
  routes: list(ROUTE),
  dns: DNS,
});

interface FamilyConfig {
  readonly ip: Prefix;
  readonly gateway?: Address | undefined;
  readonly routes?: readonly Route[] | undefined;
}
interface Result020 {
  readonly cniVersion?: string | undefined;
  readonly ip4?: FamilyConfig | undefined;
  readonly ip6?: FamilyConfig | undefined;
  readonly dns?: Dns | undefined;
}
const FAMILY_CONFIG = record<FamilyConfig>({ ip: prefix, gateway: address, routes: list(ROUTE) }, ["ip"]);
const RESULT_020 = record<Result020>({ cniVersion: text, ip4: FAMILY_CONFIG, ip6: FAMILY_CONFIG, dns: DNS });

/**
 * Reads a result of any version; one that does not say is of the configuration's.
 * @throws SyntaxError that names the key
 */
export function parseResult(json: unknown, configVersion: string): Result {
  const version = versionOf(json, configVersion);
  const family = familyOf(version);
  if (family.includes("0.2.0")) return from020(RESULT_020.read(json, ""));
  if (family.includes("0.4.0")) return from040(RESULT_040.read(json, ""));
  if (family.includes("1.1.0")) return RESULT_100.read(json, "");
  throw new SyntaxError(`unsupported CNI result version "${version}"`);
}

/** Reads a prevResult, which must be of a version whose shape is the configuration's. @throws CniError */
export function parsePrevResult(json: unknown, configVersion: string): Result {
  const version = versionOf(json, configVersion);
  try {
    if (sameFamily(version, configVersion)) return parseResult(json, configVersion);
    const family = familyOf(configVersion).join(" ");
    throw new SyntaxError(`result type supports [${family}] but unmarshalled CNIVersion is "${version}"`);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new CniError(CniError.INVALID_NETWORK_CONFIG, `could not parse prevResult: ${error.message}`);
  }
}

/** The result as a runtime reads it from stdout. */
export function formatResult(result: Result, configVersion: string): string {
  return JSON.stringify(resultJson(result, configVersion), null, 4);
}

/** The same before it is text. */
export function resultJson(result: Result, configVersion: string): JsonObject {
  const family = familyOf(configVersion);
  const versioned = { ...result, cniVersion: configVersion };
  if (family.includes("0.2.0")) return RESULT_020.write(to020(versioned));
  if (family.includes("0.4.0")) return RESULT_040.write(to040(versioned));
  return RESULT_100.write(versioned);
}

function versionOf(json: unknown, configVersion: string): string {
  const version = isObject(json) ? json["cniVersion"] : undefined;
  return typeof version === "string" && version !== "" ? version : configVersion;
}

function from040({ ips, ...result }: Result040): Result {
  return { ...result, ...(ips && { ips: ips.map(({ version, ...ip }) => ip) }) };
}

function to040({ interfaces, ips, ...result }: Result): Result040 {
  return {
    ...result,
    interfaces: interfaces?.map(({ mtu, socketPath, pciID, ...rest }) => rest),
    ips: ips?.map((ip) => ({ version: String(ip.address.address.family), ...ip })),
    dns: result.dns ?? {},
  };
}

function from020({ ip4, ip6, ...result }: Result020): Result {
  const families = [ip4, ip6].filter((config) => config !== undefined);
  return {
    ...result,
    ips: families.map(({ ip, routes, ...rest }) => ({ ...rest, address: ip })),
    routes: families.flatMap(({ routes }) => routes ?? []),
  };
}

function to020({ interfaces, ips = [], routes = [], ...result }: Result): Result020 {
  const familyConfig = (family: Family): FamilyConfig | undefined => {
    const ip = ips.find(({ address }) => address.address.family === family);
    if (!ip) return undefined;
    const { address, interface: _, ...rest } = ip;
    const own = routes.filter(({ dst }) => dst.address.family === family).map(({ dst, gw }) => ({ dst, gw }));
    return { ...rest, ip: address, routes: own };
  };
  const [ip4, ip6] = [familyConfig(4), familyConfig(6)];
  if (!ip4 && !ip6) throw new CniError(CniError.INTERNAL, "cannot convert: no valid IP addresses");
  return { ...result, ip4, ip6, dns: result.dns ?? {} };
}

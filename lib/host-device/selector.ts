/** The device that a configuration names: by name, by MAC, by its place in /sys or its address on a bus. */
import { faultOfIfname } from "../cni/environment.ts";
import { type CniError, invalidConfig } from "../cni/error.ts";

/** The key that names the device, and what it says. */
export interface Selector {
  readonly key: "device" | "hwaddr" | "kernelpath" | "pciBusID" | "deviceID";
  readonly value: string;
}

/** The keys of a configuration; "" where one is not given. */
export interface SelectorKeys {
  readonly device: string;
  readonly hwaddr: string;
  readonly kernelpath: string;
  readonly pciBusID: string;
  readonly runtimeConfig: { readonly deviceID: string };
}

/** Longest alternative name of an interface, in bytes without the NUL (linux/if.h ALTIFNAMSIZ). */
const ALTNAME_MAX = 127;
/** Bytes of an Ethernet address, an EUI-64 and an InfiniBand one, in hexadecimal digits. */
const MAC_DIGITS = [12, 16, 40];

/** The keys that are given; the runtime's deviceID takes the place of pciBusID. */
export function givenSelectors({ runtimeConfig, ...keys }: SelectorKeys): Selector[] {
  const { device, hwaddr, kernelpath } = keys;
  const { deviceID } = runtimeConfig;
  const pciBusID = deviceID ? "" : keys.pciBusID;
  const all: Selector[] = [
    { key: "device", value: device },
    { key: "hwaddr", value: hwaddr },
    { key: "kernelpath", value: kernelpath.replace(/\/+$/, "") },
    { key: "pciBusID", value: pciBusID },
    { key: "deviceID", value: deviceID },
  ];
  return all.filter(({ value }) => value !== "");
}

/**
 * The one key that is given; undefined without any.
 * @throws CniError 7 when there are several, or it is malformed
 */
export function findSelector(keys: SelectorKeys): Selector | undefined {
  const [selector, ...others] = givenSelectors(keys);
  if (!selector) return undefined;
  if (others.length > 0) {
    const given = [selector, ...others].map(({ key }) => `"${key}"`);
    throw unspecified(`one of them: ${given.join(" and ")} are given`);
  }
  const fault = faultOf(selector);
  if (fault) {
    const { key, value } = selector;
    throw invalidConfig(`invalid "${key}": ${JSON.stringify(value)}`, fault);
  }
  return selector;
}

/** The same where there must be one. @throws CniError 7 */
export function requiredSelector(keys: SelectorKeys): Selector {
  const selector = findSelector(keys);
  if (selector) return selector;
  throw unspecified("or a runtime that passes the capability deviceID");
}

/** The digits of a MAC, however they are separated. */
export function macDigits(text: string): string {
  return text.replace(/[:.-]/g, "").toLowerCase();
}

function unspecified(details: string): CniError {
  const msg = 'specify either "device", "hwaddr", "kernelpath" or "pciBusID"';
  return invalidConfig(msg, details);
}

function faultOf({ key, value }: Selector): string | undefined {
  if (key === "device") return faultOfDeviceName(value);
  if (key === "hwaddr") {
    const digits = macDigits(value);
    const isMac = /^[0-9a-f]+$/.test(digits) && MAC_DIGITS.includes(digits.length);
    return isMac ? undefined : 'it must be a MAC address such as "02:00:5e:00:53:01"';
  }
  if (key === "kernelpath") {
    const isPath = value.startsWith("/sys/devices/") && !value.includes("/../") && !value.endsWith("/..");
    return isPath ? undefined : "it must be absolute and begin with /sys/devices/";
  }
  return /[/\s\0]|^\.*$/.test(value) ? 'it must be an address such as "0000:00:04.0"' : undefined;
}

/** An interface may be found by an alternative name too, which may be longer. */
function faultOfDeviceName(name: string): string | undefined {
  if (new TextEncoder().encode(name).length > ALTNAME_MAX) return "no interface has so long a name";
  const fault = faultOfIfname(name);
  return fault === undefined || fault.msg === "is too long"
    ? undefined
    : `a name of an interface ${fault.msg}`;
}

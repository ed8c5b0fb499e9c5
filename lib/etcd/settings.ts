/**
 * Where etcd is, and who asks: the object `etcd` of a configuration, over the host's own file. The file has
 * the same keys, and `"etcd": {}` leaves everything to it.
 */
import type { FromSchema } from "json-schema-to-ts";
import { CniError, invalidConfig } from "../cni/error.ts";
import type { Schema } from "../cni/schema.ts";
import { quote } from "../netaddr/quote.ts";
import { ErrnoError } from "../sys/errno.ts";
import { findTextFile, readTextFile } from "../sys/file.ts";

/** The host's own. */
export const SETTINGS_FILE = "/etc/weft/etcd.json";
const HOSTNAME_FILE = "/proc/sys/kernel/hostname";
const DEFAULT_PREFIX = "/weft";
/** As a host name may have (RFC 1035 §2.3.4). */
const HOST_MAX_BYTES = 253;
export const HOST_RULE = `must be 1 to ${HOST_MAX_BYTES} bytes without "/" and control characters`;

interface Pem {
  readonly what: string;
  readonly pattern: RegExp;
}

/** RFC 7468. Of a key: PKCS #8, or as OpenSSL wrote it before that; one with a password is of no use. */
const CERTIFICATE: Pem = { what: "a certificate", pattern: pem("(?:X509 |TRUSTED )?CERTIFICATE") };
const PRIVATE_KEY: Pem = {
  what: "a private key, without a password,",
  pattern: pem("(?:RSA |EC )?PRIVATE KEY"),
};

function pem(label: string): RegExp {
  return new RegExp(`-----BEGIN (${label})-----[A-Za-z0-9+/=\\s]+-----END \\1-----`);
}

export const etcdKeys = {
  type: "object",
  description: `The store. Keys that are not here are taken from ${SETTINGS_FILE}.`,
  properties: {
    endpoints: {
      type: "array",
      items: { type: "string" },
      description: "Client URLs of etcd's members, as https://10.0.0.1:2379.",
    },
    prefix: {
      type: "string",
      description: `What all keys begin with; default ${DEFAULT_PREFIX}.`,
    },
    caFile: { type: "string", description: "Certificates that the members' are signed by, in PEM." },
    certFile: { type: "string", description: "Certificate to show to the members, in PEM." },
    keyFile: { type: "string", description: "Its private key, in PEM." },
    user: { type: "string", description: "User of etcd." },
    password: { type: "string", description: "The user's password." },
    passwordFile: { type: "string", description: "File that has the password instead." },
    host: { type: "string", description: "What this host is called in the store; default its host name." },
  },
  additionalProperties: false,
} as const satisfies Schema;

export type EtcdKeys = FromSchema<typeof etcdKeys>;

/** What an EtcdClient needs, with the content of the files. */
export interface EtcdSettings {
  readonly endpoints: readonly string[];
  /** Begins with "/", and does not end with one. */
  readonly prefix: string;
  /** Of this host, in keys. */
  readonly host: string;
  /** PEM. */
  readonly tls?: { readonly ca?: string; readonly cert?: string; readonly key?: string };
  readonly user?: string;
  readonly password?: string;
}

/** A key that was given, and what it is called there. */
interface Given {
  readonly value: unknown;
  readonly name: string;
}

type Key = keyof EtcdKeys;
type Find = (key: Key) => Given | undefined;

/**
 * Reads the host's file and those that the keys name, and checks everything.
 * @param where the object's own name in the configuration: "etcd"
 * @throws CniError 7
 */
export function readEtcdSettings(keys: EtcdKeys, where: string, file = SETTINGS_FILE): EtcdSettings {
  const ofHost = readSettingsFile(file);
  const inKeys: Find = (key) => given(keys[key], `"${where}.${key}"`);
  const inFile: Find = (key) => given(ofHost[key], `"${key}" of ${file}`);
  const find: Find = (key) => inKeys(key) ?? inFile(key);

  const endpoints = find("endpoints");
  if (!endpoints) throw invalidConfig(`missing "${where}.endpoints"`, `give it there, or in ${file}`);
  const prefix = textOf(find("prefix")) ?? DEFAULT_PREFIX;
  if (!/^\/.*[^/]$/s.test(prefix)) throw unfit(find("prefix"), 'must begin with "/", and not end with one');
  return {
    endpoints: endpointsOf(endpoints),
    prefix,
    host: hostOf(find("host")),
    ...tlsOf(find),
    // A password belongs to the place where it is: the host's is none for another user of the configuration.
    ...userOf(find("user"), passwordOf(inKeys) ?? passwordOf(inFile)),
  };
}

/** DEL and GC: the first that leads to a store, of what there is to go by. */
export function findEtcdSettings(all: readonly EtcdKeys[], where: string): EtcdSettings | undefined {
  for (const keys of all) {
    try {
      return readEtcdSettings(keys, where);
    } catch (error) {
      if (!(error instanceof CniError)) throw error;
    }
  }
  return undefined;
}

function readSettingsFile(file: string): Readonly<Record<string, unknown>> {
  try {
    const json: unknown = JSON.parse(findTextFile(file) ?? "{}");
    if (typeof json === "object" && json !== null && !Array.isArray(json)) return { ...json };
  } catch (error) {
    throw invalidConfig(`cannot read ${file}`, error instanceof Error ? error.message : String(error));
  }
  throw invalidConfig(`${file} is not a JSON object`);
}

function given(value: unknown, name: string): Given | undefined {
  return value === undefined || value === null ? undefined : { value, name };
}

function textOf(given: Given | undefined): string | undefined {
  if (given === undefined) return undefined;
  if (typeof given.value !== "string") throw unfit(given, "must be a text");
  return given.value;
}

function endpointsOf(given: Given): string[] {
  const { value } = given;
  if (!Array.isArray(value) || value.length === 0) throw unfit(given, "must be a list of URLs");
  return [...new Set(value.map((each) => endpointIn({ ...given, value: each })))];
}

function endpointIn(given: Given): string {
  const text = textOf(given) ?? "";
  const url = URL.parse(text);
  const isHttp = url?.protocol === "http:" || url?.protocol === "https:";
  if (url && isHttp && `${url.origin}/` === url.href) return url.origin;
  throw unfit(given, "must be http:// or https://, a host and a port, and no more");
}

function hostOf(given: Given | undefined): string {
  const host = textOf(given) ?? readTextFile(HOSTNAME_FILE).trim();
  if (isHostName(host)) return host;
  throw unfit(given ?? { value: host, name: "host name" }, HOST_RULE);
}

/** Whether a host of the store can be called that: it is a part of keys. */
export function isHostName(text: string): boolean {
  const isPart = text !== "" && !/[/\0-\x1f\x7f]/.test(text) && text.isWellFormed();
  return isPart && new TextEncoder().encode(text).length <= HOST_MAX_BYTES;
}

function tlsOf(find: Find): Pick<EtcdSettings, "tls"> {
  const ca = pemOf(find("caFile"), CERTIFICATE);
  const cert = pemOf(find("certFile"), CERTIFICATE);
  const key = pemOf(find("keyFile"), PRIVATE_KEY);
  if ((cert === undefined) !== (key === undefined)) {
    throw unfit(find("certFile") ?? find("keyFile"), "certFile and keyFile go together");
  }
  if (ca === undefined && cert === undefined) return {};
  return {
    tls: { ...(ca !== undefined && { ca }), ...(cert !== undefined && key !== undefined && { cert, key }) },
  };
}

/** Whether it can be used is for the connection to tell. @throws CniError 7 where it is no such thing */
function pemOf(given: Given | undefined, kind: Pem): string | undefined {
  const content = contentOf(given);
  if (content === undefined || kind.pattern.test(content)) return content;
  throw unfit(given, `must be a file with ${kind.what} in PEM`);
}

function passwordOf(find: Find): string | undefined {
  return textOf(find("password")) ?? contentOf(find("passwordFile"))?.trim();
}

function userOf(
  given: Given | undefined,
  password: string | undefined,
): Pick<EtcdSettings, "user" | "password"> {
  const user = textOf(given);
  if (user === undefined) return {};
  if (password === undefined) throw unfit(given, "needs a password, or a passwordFile");
  return { user, password };
}

function contentOf(given: Given | undefined): string | undefined {
  const path = textOf(given);
  if (path === undefined) return undefined;
  if (!path.startsWith("/")) throw unfit(given, 'must be a path that begins with "/"');
  try {
    return readTextFile(path);
  } catch (error) {
    if (error instanceof ErrnoError) throw unfit(given, error.message);
    throw error;
  }
}

function unfit(given: Given | undefined, rule: string): CniError {
  const { name, value } = given ?? { name: "a value", value: "" };
  const shown = quote(typeof value === "string" ? value : JSON.stringify(value));
  return invalidConfig(`invalid value ${shown} for ${name}: ${rule}`);
}

/**
 * Codecs between JSON and typed values: a table with one line a key reads and writes an object.
 *
 * Keys the table does not name are kept, so that what a newer plugin says
 * survives an older one in the chain. What is empty in JSON (null, "", [], or
 * 0 where that means unset) is undefined here, and is left out when written.
 */
import { type Address, formatAddress, parseAddress } from "../netaddr/address.ts";
import { formatPrefix, type Prefix, parsePrefix } from "../netaddr/prefix.ts";

/** An object that was read from JSON, or will be written to it. */
export type JsonObject = Readonly<Record<string, unknown>>;

/** Characters of a value that a message repeats. */
const SHOWN_MAX = 200;

/** `path` names the value in the SyntaxError that refuses it: "ips[0].address". */
export interface Codec<T> {
  read(json: unknown, path: string): T | undefined;
  write(value: T): unknown;
}

/** A string that may be empty. */
export const name: Codec<string> = { read: readString, write: (value) => value };

export const text: Codec<string> = {
  read: (json, path) => readString(json, path) || undefined,
  write: (value) => value || undefined,
};

export const integer: Codec<number> = { read: readInteger, write: (value) => value };

/** An integer whose 0 means unset. */
export const count: Codec<number> = {
  read: (json, path) => readInteger(json, path) || undefined,
  write: (value) => value || undefined,
};

export const address: Codec<Address> = parsed(parseAddress, formatAddress);
export const prefix: Codec<Prefix> = parsed(parsePrefix, formatPrefix);

export function list<T>(item: Codec<T>): Codec<readonly T[]> {
  return {
    read(json, path) {
      if (!Array.isArray(json)) throw unexpected(json, path, "a list");
      const values = json
        .map((value, i) => item.read(value, `${path}[${i}]`))
        .filter((value) => value !== undefined);
      return values.length > 0 ? values : undefined;
    },
    write(values) {
      const json = values.map((value) => item.write(value)).filter((value) => value !== undefined);
      return json.length > 0 ? json : undefined;
    },
  };
}

/** An object is never unset, however empty. */
export interface RecordCodec<T> extends Codec<T> {
  read(json: unknown, path: string): T;
  write(value: T): JsonObject;
}

type Table<T> = { readonly [K in keyof T]-?: Codec<NonNullable<T[K]>> };

/** An object, written in the order of the table. The keys of `required` must be there. */
export function record<T extends object>(
  table: Table<T>,
  required: readonly (keyof T & string)[] = [],
): RecordCodec<T> {
  const codecs: Readonly<Record<string, Codec<unknown>>> = table;
  return {
    read(json, path) {
      if (!isObject(json)) throw unexpected(json, path, "an object");
      const at = (key: string) => (path === "" ? key : `${path}.${key}`);
      const object: Record<string, unknown> = {};
      for (const key in json) {
        const value = json[key];
        const codec = Object.hasOwn(codecs, key) ? codecs[key] : undefined;
        const field = codec && value !== null ? codec.read(value, at(key)) : value;
        if (field !== undefined && field !== null) setKey(object, key, field);
      }
      const missing = required.find((key) => !Object.hasOwn(object, key));
      if (missing !== undefined) throw new SyntaxError(`${at(missing)}: missing`);
      return object as T; // each key was read by the codec its type names, and the required ones are there
    },
    write(value) {
      const json: Record<string, unknown> = {};
      for (const key in table) {
        const field = value[key];
        const written = field === undefined || field === null ? field : table[key].write(field);
        if (written !== undefined) json[key] = written;
      }
      for (const key in value) {
        if (value[key] !== undefined && !Object.hasOwn(table, key)) setKey(json, key, value[key]);
      }
      return json;
    },
  };
}

/**
 * Sets a key that somebody else chose: as Object.fromEntries() does, also where it is "__proto__", but
 * without the 25 µs that the first use of that takes.
 */
export function setKey(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== "__proto__") object[key] = value;
  else Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true });
}

/** Whether a value read from JSON is an object: not a list, not null. */
export function isObject(json: unknown): json is JsonObject {
  return typeof json === "object" && json !== null && !Array.isArray(json);
}

/** The value as JSON for a message, cut where it gets long. */
export function shown(value: unknown): string {
  const json = JSON.stringify(value) ?? "nothing";
  return json.length > SHOWN_MAX ? `${json.slice(0, SHOWN_MAX)}…` : json;
}

function readString(json: unknown, path: string): string {
  if (typeof json !== "string") throw unexpected(json, path, "a string");
  return json;
}

function readInteger(json: unknown, path: string): number {
  if (!Number.isSafeInteger(json)) throw unexpected(json, path, "an integer");
  return Number(json);
}

function parsed<T>(parse: (text: string) => T, format: (value: T) => string): Codec<T> {
  return {
    read(json, path) {
      const string = readString(json, path);
      try {
        return string === "" ? undefined : parse(string);
      } catch (error) {
        throw new SyntaxError(`${path}: ${error instanceof Error ? error.message : error}`);
      }
    },
    write: format,
  };
}

function unexpected(json: unknown, path: string, wanted: string): SyntaxError {
  return new SyntaxError(`${path === "" ? "" : `${path}: `}${shown(json)} is not ${wanted}`);
}

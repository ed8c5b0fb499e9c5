import { afterAll, beforeEach, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { CniError } from "../cni/error.ts";
import { type EtcdKeys, type EtcdSettings, findEtcdSettings, readEtcdSettings } from "./settings.ts";

const directory = mkdtempSync(join(tmpdir(), "weft-etcd-settings-"));
const file = join(directory, "etcd.json");
afterAll(() => rmSync(directory, { recursive: true }));
beforeEach(() => rmSync(file, { force: true }));

const endpoints = ["http://10.0.0.1:2379"];

function write(name: string, content: string | object): string {
  const path = join(directory, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
}

function read(keys: EtcdKeys): EtcdSettings {
  return readEtcdSettings(keys, "ipam.etcd", file);
}

function refusalOf(keys: EtcdKeys): string {
  try {
    read(keys);
  } catch (error) {
    if (error instanceof CniError && error.code === 7) return error.message;
    throw error;
  }
  return expect.unreachable();
}

test("readEtcdSettings() needs endpoints alone", () => {
  const host = readFileSync("/proc/sys/kernel/hostname", "utf8").trim();
  expect(read({ endpoints })).toEqual({ endpoints, prefix: "/weft", host });
});

test("readEtcdSettings() takes from the host's file what the configuration does not say", () => {
  const secret = write("secret", "  s3cret\n");
  write("etcd.json", { endpoints, prefix: "/other", host: "h1", user: "weft", passwordFile: secret, x: 1 });
  const ofFile = { endpoints, prefix: "/other", host: "h1", user: "weft", password: "s3cret" };
  expect(read({})).toEqual(ofFile);
  expect(read({ prefix: "/mine", endpoints: ["https://etcd.example:2379"] })).toEqual({
    ...ofFile,
    prefix: "/mine",
    endpoints: ["https://etcd.example:2379"],
  });
  expect(read({ password: "mine" }).password).toBe("mine");
});

test("readEtcdSettings() reads certificates", () => {
  const pem = (label: string) => `-----BEGIN ${label}-----\nMA==\n-----END ${label}-----\n`;
  const ca = pem("CERTIFICATE");
  const cert = ca + pem("CERTIFICATE"); // a chain
  const key = `-----BEGIN EC PARAMETERS-----\nBg==\n-----END EC PARAMETERS-----\n${pem("EC PRIVATE KEY")}`;
  const [caFile, certFile, keyFile] = [write("ca", ca), write("cert", cert), write("key", key)];
  expect(read({ endpoints, caFile }).tls).toEqual({ ca });
  expect(read({ endpoints, caFile, certFile, keyFile }).tls).toEqual({ ca, cert, key });
  expect(refusalOf({ endpoints, certFile })).toContain("certFile and keyFile go together");
  expect(refusalOf({ endpoints, caFile: keyFile })).toBe(
    `invalid value "${keyFile}" for "ipam.etcd.caFile": must be a file with a certificate in PEM`,
  );
  expect(refusalOf({ endpoints, certFile, keyFile: certFile })).toContain(
    "a private key, without a password,",
  );
  for (const content of ["", "hostname\n", pem("ENCRYPTED PRIVATE KEY"), key.slice(0, -5)]) {
    expect(refusalOf({ endpoints, certFile, keyFile: write("key", content) })).toContain("ipam.etcd.keyFile");
  }
});

test("findEtcdSettings() goes by the first that can be used", () => {
  const bad = { endpoints: ["10.0.0.1:2379"] };
  expect(findEtcdSettings([bad, { endpoints }, bad], "etcd")?.endpoints).toEqual(endpoints);
  expect(findEtcdSettings([bad], "etcd")).toBeUndefined();
});

test("readEtcdSettings() names an endpoint once, in one way", () => {
  const given = ["HTTP://Etcd:2379/", "http://etcd:2379", "http://[FD00:0::1]:2379"];
  expect(read({ endpoints: given }).endpoints).toEqual(["http://etcd:2379", "http://[fd00::1]:2379"]);
});

test.each([
  "10.0.0.1:2379",
  "etcd:2379",
  "tcp://10.0.0.1:2379",
  "http://10.0.0.1:2379/v3",
  "http://u:p@10.0.0.1:2379",
  "http://10.0.0.1:2379?a",
  "http://10.0.0.1:2379#a",
  "http://",
  "",
])("readEtcdSettings() refuses the endpoint %p", (endpoint) => {
  expect(refusalOf({ endpoints: [endpoint] })).toBe(
    `invalid value ${JSON.stringify(endpoint)} for "ipam.etcd.endpoints": must be http:// or https://, a host and a port, and no more`,
  );
});

test.each(["", "/", "weft", "/weft/", "weft/"])("readEtcdSettings() refuses the prefix %p", (prefix) => {
  expect(refusalOf({ endpoints, prefix })).toContain('for "ipam.etcd.prefix": must begin with "/"');
});

test.each(["", "a/b", "a\nb", "a\u007f", "é".repeat(127)])(
  "readEtcdSettings() refuses the host %p",
  (host) => {
    expect(refusalOf({ endpoints, host })).toContain('for "ipam.etcd.host": must be 1 to 253 bytes');
  },
);

test("readEtcdSettings() says where the fault is", () => {
  expect(refusalOf({})).toBe(`missing "ipam.etcd.endpoints"; give it there, or in ${file}`);
  expect(refusalOf({ endpoints: [] })).toContain("must be a list of URLs");
  expect(refusalOf({ endpoints, user: "weft" })).toBe(
    'invalid value "weft" for "ipam.etcd.user": needs a password, or a passwordFile',
  );
  const missing = join(directory, "missing");
  expect(refusalOf({ endpoints, caFile: missing })).toContain(`for "ipam.etcd.caFile": `);
  expect(refusalOf({ endpoints, caFile: missing })).toContain("ENOENT");
  expect(refusalOf({ endpoints, caFile: "ca.pem" })).toContain('must be a path that begins with "/"');

  write("etcd.json", "{");
  expect(refusalOf({})).toContain(`cannot read ${file}`);
  write("etcd.json", "[]");
  expect(refusalOf({})).toBe(`${file} is not a JSON object`);
  write("etcd.json", { endpoints, prefix: 5 });
  expect(refusalOf({})).toBe(`invalid value "5" for "prefix" of ${file}: must be a text`);
  write("etcd.json", { endpoints: "http://10.0.0.1:2379" });
  expect(refusalOf({})).toContain(`for "endpoints" of ${file}: must be a list of URLs`);
});

import { expect, test } from "bun:test";
import { isExisting, NetlinkError, NetlinkProtocolError, unlessMissing } from "./error.ts";

const EEXIST = 17;
const ENODEV = 19;

test("NetlinkError says what was asked, the errno, the kernel's own sentence and the attribute", () => {
  const error = new NetlinkError('create link "eth0"', {
    request: "RTM_NEWLINK",
    errno: EEXIST,
    detail: "Have it",
    attribute: "IFLA_IFNAME",
  });
  expect(error.message).toBe(
    'Cannot create link "eth0": RTM_NEWLINK failed with EEXIST (file exists): Have it, attribute IFLA_IFNAME',
  );
  expect(error).toMatchObject({
    name: "NetlinkError",
    request: "RTM_NEWLINK",
    errno: EEXIST,
    code: "EEXIST",
    detail: "Have it",
    attribute: "IFLA_IFNAME",
  });
});

test("NetlinkError ends with the errno where the kernel said no more", () => {
  expect(new NetlinkError("x", { request: "RTM_DELLINK", errno: ENODEV }).message).toBe(
    "Cannot x: RTM_DELLINK failed with ENODEV (no such device)",
  );
});

test("NetlinkError gives the number of an errno that has no name", () => {
  const ENOTSUPP = 524; // of the kernel's own, which leaks out now and then
  expect(new NetlinkError("x", { request: "R", errno: ENOTSUPP }).message).toBe(
    "Cannot x: R failed with errno 524 (unknown error 524)",
  );
});

function refuse(errno: number): () => never {
  return () => {
    throw new NetlinkError("x", { request: "R", errno });
  };
}

test("isExisting() is true for EEXIST alone", () => {
  expect(isExisting(new NetlinkError("x", { request: "R", errno: EEXIST }))).toBe(true);
  expect(isExisting(new NetlinkError("x", { request: "R", errno: ENODEV }))).toBe(false);
  expect(isExisting(new Error("EEXIST"))).toBe(false);
});

test.each([
  ["ENODEV", ENODEV],
  ["ENOENT", 2],
  ["ESRCH", 3],
  ["ENXIO", 6],
  ["EADDRNOTAVAIL", 99],
])("unlessMissing() gives undefined for %s, which a DEL takes for done", (_name, errno) => {
  expect(unlessMissing(refuse(errno))).toBeUndefined();
});

test("unlessMissing() gives what there is, and throws every other error", () => {
  const EPERM = 1;
  expect(unlessMissing(() => 5)).toBe(5);
  expect(() => unlessMissing(refuse(EEXIST))).toThrow(NetlinkError);
  expect(() => unlessMissing(refuse(EPERM))).toThrow(NetlinkError);
  const lost = new NetlinkProtocolError("list links", "the kernel lost data");
  expect(lost.message).toBe("Cannot list links: the kernel lost data");
  expect(() =>
    unlessMissing(() => {
      throw lost;
    }),
  ).toThrow(lost);
});

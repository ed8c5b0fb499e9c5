import { expect, test } from "bun:test";
import { socketAddresses, systemBusAddress } from "./address.ts";

const text = (address: string) =>
  socketAddresses(address).map((bytes) => {
    expect([bytes[0], bytes[1]]).toEqual([1, 0]); // AF_UNIX
    return new TextDecoder().decode(bytes.subarray(2));
  });

test("socketAddresses() reads paths and abstract names, in their order", () => {
  expect(text("unix:path=/run/bus")).toEqual(["/run/bus\0"]);
  expect(text("unix:abstract=bus,guid=0123;unix:guid=1,path=/a")).toEqual(["\0bus", "/a\0"]);
});

test("socketAddresses() reads what is escaped", () => {
  expect(text("unix:path=/a%20b%2cc")).toEqual(["/a b,c\0"]);
});

test.each([
  "",
  "tcp:host=localhost,port=1",
  "unix:",
  "unix:path=",
  "unix:path=%zz",
  "unix:path=%00",
  "unix:tmpdir=/tmp",
  `unix:path=/${"a".repeat(107)}`,
])("socketAddresses() finds no socket in %j", (address) => {
  expect(socketAddresses(address)).toEqual([]);
});

test("systemBusAddress() is that of the environment, where it has one", () => {
  const address = "unix:path=/tmp/bus";
  expect(systemBusAddress({ DBUS_SYSTEM_BUS_ADDRESS: address })).toBe(address);
  expect(systemBusAddress({ DBUS_SYSTEM_BUS_ADDRESS: "" })).toBe(systemBusAddress({}));
  expect(text(systemBusAddress({}))).toEqual(["/var/run/dbus/system_bus_socket\0"]);
});

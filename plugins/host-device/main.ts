/**
 * host-device: gives a container a device of the host, a network card for example, and takes it back.
 *
 *   ADD     record what the device is, move it into the container, configure it from IPAM
 *   DEL     move it back and make it what it was, then release the addresses; either may be gone already
 *   CHECK   the interface, its addresses and routes are as ADD left them
 *   GC      give back the devices that this network no longer owns
 *   STATUS  the device is there, and IPAM has another address
 *
 * A device that a program drives without the kernel (DPDK) is not moved: it has no interface.
 *
 * Reference: https://www.cni.dev/plugins/current/main/host-device/
 */
import validate from "../../generated/validate/host-device.js";
import {
  addressInterface,
  checkAddressedInterface,
  checkAddressesAvailable,
  releaseAddresses,
  releaseStaleAddresses,
} from "../../lib/addressed-interface.ts";
import { chooseDns } from "../../lib/cni/call.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import {
  checkDeviceAvailable,
  releaseDevice,
  staleDeviceSteps,
  takeDevice,
} from "../../lib/host-device/attachment.ts";
import { findSelector, givenSelectors, requiredSelector } from "../../lib/host-device/selector.ts";
import { isForUserspace, pciAddressOf } from "../../lib/host-device/userspace.ts";
import { ipamAdd, ipamCheck } from "../../lib/ipam/delegate.ts";
import { linkByName } from "../../lib/rtnetlink/link.ts";
import { openSandbox } from "../../lib/sandbox.ts";
import { type Config, schema } from "./schema.ts";

function verify(config: Config): void {
  findSelector(config);
}

function add(call: Call<Config>): Result {
  const { config, ifname } = call;
  const selector = requiredSelector(config);
  const sandbox = openSandbox(call);
  if (isForUserspace(config, selector)) return addForUserspace(call);
  const device = takeDevice(call, sandbox, selector);
  const link = linkByName(sandbox.container, ifname);
  // it is on a wire, where others may have the same address
  const result = addressInterface(call, sandbox, link, { duplicateDetection: "optimistic" });
  const pciID = pciAddressOf(device);
  return { ...result, interfaces: result.interfaces?.map((it) => ({ ...it, pciID })) };
}

/** IPAM alone: the program that drives the device is to know its addresses. */
function addForUserspace(call: Call<Config>): Result {
  const { config, ifname, netnsPath } = call;
  const { pciBusID, runtimeConfig } = config;
  const pciID = runtimeConfig.deviceID || pciBusID || undefined;
  const leased = config.ipam.type ? ipamAdd(call) : undefined;
  return {
    ...leased,
    interfaces: [{ name: ifname, sandbox: netnsPath, pciID }],
    ips: leased?.ips?.map((ip) => ({ ...ip, interface: 0 })),
    dns: chooseDns(config.dns, leased?.dns),
  };
}

function del(call: Call<Config>): void {
  releaseDevice(call, givenSelectors(call.config), () => releaseAddresses(call));
}

function check(call: Call<Config>): void {
  const { config } = call;
  if (!isForUserspace(config, requiredSelector(config))) checkAddressedInterface(call, openSandbox(call), {});
  else if (config.ipam.type) ipamCheck(call);
}

function gc(call: GcCall<Config>): void {
  everyStep(...staleDeviceSteps(call), () => releaseStaleAddresses(call));
}

/** A device that the runtime chooses is not known yet. */
function status(call: Call<Config>): void {
  const selector = findSelector(call.config);
  if (selector && !isForUserspace(call.config, selector)) checkDeviceAvailable(call, selector);
  checkAddressesAvailable(call);
}

export const hostDevicePlugin: Plugin<Config> = {
  name: "host-device",
  versions: ALL_VERSIONS,
  schema,
  validate,
  verify,
  add,
  del,
  check,
  gc,
  status,
};
export default hostDevicePlugin;

/**
 * ptp: connects each container to the host by a routed veth pair of its own, without a bridge.
 *
 *   ADD     make the veth pair; the host's end is the gateway, and every packet goes by it
 *   DEL     delete the veth pair, then release the addresses; either may be gone already
 *   CHECK   both ends, addresses, routes and gateway are as ADD left them
 *   GC      delete what this network no longer owns
 *   STATUS  IPAM has another address, and the host can masquerade
 *
 * Reference: https://www.cni.dev/plugins/current/main/ptp/
 */
import validate from "../../generated/validate/ptp.js";
import {
  checkAddressesAvailable,
  releaseAddresses,
  releaseStaleAddresses,
} from "../../lib/addressed-interface.ts";
import { chooseDns, requestedMac, requiredPrevResult } from "../../lib/cni/call.ts";
import { invalidConfig } from "../../lib/cni/error.ts";
import { type Call, everyStep, type GcCall, type Plugin } from "../../lib/cni/plugin.ts";
import type { Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import { checkInterface, checkLink, configureInterface, describeLink, failed } from "../../lib/interface.ts";
import { ipamAdd, ipamCheck } from "../../lib/ipam/delegate.ts";
import {
  addMasquerade,
  checkMasquerade,
  checkMasqueradeAvailable,
  deleteMasquerade,
  staleMasqueradeSteps,
} from "../../lib/masquerade/masquerade.ts";
import { verifyMtu } from "../../lib/mtu.ts";
import { awaitPair, checkHostEnd, setUpHostEnd, withHostGateways } from "../../lib/point-to-point.ts";
import { linkByName } from "../../lib/rtnetlink/link.ts";
import { openRouteSocket } from "../../lib/rtnetlink/route-socket.ts";
import { openSandbox, refuseExistingInterface } from "../../lib/sandbox.ts";
import { findHostEnd } from "../../lib/veth.ts";
import { createRecordedVeth, deleteVeth, recordVeth, staleVethSteps } from "../../lib/veth-attachment.ts";
import { type Config, schema } from "./schema.ts";

function verify({ mtu, ipam }: Config): void {
  verifyMtu(mtu);
  if (!ipam.type) {
    throw invalidConfig(
      '"ipam" is missing',
      'name the plugin that gives addresses in "ipam.type": ptp routes them',
    );
  }
}

function add(call: Call<Config>): Result {
  const { config, ifname, args } = call;
  const mac = requestedMac(config.runtimeConfig.mac, config.args.cni.mac, args["MAC"]);
  const sandbox = openSandbox(call);
  const { host, container } = sandbox;
  refuseExistingInterface(call, container);

  const hostName = recordVeth(call, "ptp", sandbox);
  createRecordedVeth(call, sandbox, { hostName, mac, mtu: config.mtu || undefined });
  const leased = withHostGateways(ipamAdd(call));
  setUpHostEnd(host, hostName, leased.ips);
  const inside = linkByName(container, ifname);
  configureInterface(sandbox, inside, leased, { duplicateDetection: "none", viaGateway: true });
  addMasquerade(call, hostName, leased.ips);

  const outside = awaitPair(sandbox, { hostName, inside, ips: leased.ips });
  return {
    ...leased,
    interfaces: [describeLink(outside), describeLink(inside, call.netnsPath)],
    ips: leased.ips.map((ip) => ({ ...ip, interface: 1 })),
    dns: chooseDns(config.dns, leased.dns),
  };
}

function del(call: Call<Config>): void {
  everyStep(
    // first: what the kernel then waits for passes while the link is deleted
    () => deleteMasquerade(call),
    () => deleteVeth(call, "ptp", () => releaseAddresses(call)),
  );
}

function check(call: Call<Config>): void {
  const prevResult = requiredPrevResult(call);
  const { interfaces = [], ips = [] } = prevResult;
  ipamCheck(call);
  const sandbox = openSandbox(call);
  const { host } = sandbox;

  const inside = checkInterface(
    sandbox,
    { ...call, prevResult },
    { kind: "veth", up: true, viaGateway: true },
  );
  const outside = findHostEnd(host, inside);
  if (!outside) throw failed(`Interface ${inside.name} has no other end on this host`);
  const given = interfaces.find(({ name, sandbox }) => name === outside.name && !sandbox);
  checkHostEnd(host, checkLink(host, given ?? { name: outside.name }), ips);
  checkMasquerade(call, outside.name, ips);
}

function gc(call: GcCall<Config>): void {
  const host = call.resources.use(openRouteSocket());
  everyStep(...staleMasqueradeSteps(call), ...staleVethSteps(call, "ptp", host), () =>
    releaseStaleAddresses(call),
  );
}

function status(call: Call<Config>): void {
  checkMasqueradeAvailable(call);
  checkAddressesAvailable(call);
}

export const ptpPlugin: Plugin<Config> = {
  name: "ptp",
  versions: ALL_VERSIONS,
  schema,
  validate,
  argKeys: ["MAC"],
  verify,
  add,
  del,
  check,
  gc,
  status,
};
export default ptpPlugin;

/**
 * loopback: sets up the container's loopback interface.
 *
 *   ADD     set `lo` up; the kernel gives it 127.0.0.1 and ::1
 *   DEL     set `lo` down
 *   CHECK   `lo` is up
 *   GC      nothing: it keeps nothing
 *   STATUS  always ready
 *
 * Reference: https://www.cni.dev/plugins/current/main/loopback/
 */
import validate from "../../generated/validate/loopback.js";
import { CniError } from "../../lib/cni/error.ts";
import type { Call, Plugin } from "../../lib/cni/plugin.ts";
import type { Result } from "../../lib/cni/result.ts";
import { ALL_VERSIONS } from "../../lib/cni/version.ts";
import { describeLink, failed } from "../../lib/interface.ts";
import { isLoopback } from "../../lib/netaddr/address.ts";
import { formatPrefix } from "../../lib/netaddr/prefix.ts";
import { listAddresses } from "../../lib/rtnetlink/address.ts";
import { linkByName, setLink } from "../../lib/rtnetlink/link.ts";
import { findContainer, openSandbox } from "../../lib/sandbox.ts";
import { type Config, schema } from "./schema.ts";

const LOOPBACK = "lo";

function add(call: Call<Config>): Result {
  const { container } = openSandbox(call);
  if (!linkByName(container, LOOPBACK).up) {
    call.undo.defer(() => setLink(container, { name: LOOPBACK }, { up: false }));
    setLink(container, { name: LOOPBACK }, { up: true });
  }
  if (call.prevResult) return call.prevResult;

  const link = linkByName(container, LOOPBACK);
  const addresses = listAddresses(container, link).map(({ prefix }) => prefix);
  const foreign = addresses.find(({ address }) => !isLoopback(address));
  if (foreign) {
    throw new CniError(
      CniError.INVALID_ENVIRONMENT,
      `loopback interface found with non-loopback address "${formatPrefix(foreign)}"`,
      { details: `remove it from "${LOOPBACK}" in "${call.netnsPath}"` },
    );
  }
  return {
    interfaces: [describeLink(link, call.netnsPath)],
    ips: addresses.map((address) => ({ address, interface: 0 })),
  };
}

function del(call: Call<Config>): void {
  const container = findContainer(call);
  if (container) setLink(container, { name: LOOPBACK }, { up: false });
}

function check(call: Call<Config>): void {
  const { container } = openSandbox(call);
  if (!linkByName(container, LOOPBACK).up) throw failed("loopback interface is down");
}

export const loopbackPlugin: Plugin<Config> = {
  name: "loopback",
  versions: ALL_VERSIONS,
  schema,
  validate,
  add,
  del,
  check,
  gc() {},
  status() {},
};
export default loopbackPlugin;

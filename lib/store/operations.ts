/**
 * What can be asked of the store, by name. Each is a function of the store and one value of JSON, to a value
 * of JSON; what it throws travels as a CniError. Whoever asks may lose the answer and ask again.
 */
import * as addresses from "./addresses.ts";
import * as overlay from "./overlay.ts";
import { forgetHost } from "./overlay-sweep.ts";

export const operations = {
  claimAddresses: addresses.claimAddresses,
  releaseAddresses: addresses.releaseAddresses,
  releaseStaleAddresses: addresses.releaseStaleAddresses,
  readHolders: addresses.readHolders,
  findFullSet: addresses.findFullSet,
  joinNetwork: overlay.joinNetwork,
  publishEndpoint: overlay.publishEndpoint,
  withdrawEndpoint: overlay.withdrawEndpoint,
  leaveNetwork: overlay.leaveNetwork,
  checkEndpoint: overlay.checkEndpoint,
  gcEndpoints: overlay.gcEndpoints,
  probeNetwork: overlay.probeNetwork,
  forgetHost,
};

type Operations = typeof operations;
export type OperationName = keyof Operations;
export type Input<N extends OperationName> = Parameters<Operations[N]>[1];
export type Output<N extends OperationName> = Awaited<ReturnType<Operations[N]>>;

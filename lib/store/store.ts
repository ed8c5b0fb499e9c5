/** The store as its operations see it. */
import type { EtcdClient } from "../etcd/client.ts";
import type { EtcdSettings } from "../etcd/settings.ts";
import { type StoreKeys, storeKeys } from "./layout.ts";

export interface Store {
  readonly client: EtcdClient;
  readonly settings: EtcdSettings;
  readonly keys: StoreKeys;
  /** This host's name in the store. */
  readonly host: string;
  /** By performance.now(): when whoever asked has gone. */
  readonly deadline: number;
}

/** A store for one operation. */
export function storeOf(client: EtcdClient, settings: EtcdSettings, deadline: number): Store {
  return { client, settings, keys: storeKeys(settings.prefix), host: settings.host, deadline };
}

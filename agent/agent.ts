/**
 * The agent: keeps what this host's kernel has for the other hosts of its overlays as the store says, and
 * this host in the store.
 *
 *     store ─ view ─ keepers ─ reconciler ─ kernel      what the others have
 *     records, devices ─ registration ─ store           what this host has
 *
 * It keeps nothing that cannot be found again: killed at any point it begins anew, and what the kernel has
 * stays there meanwhile.
 */
import { CniError } from "../lib/cni/error.ts";
import { EtcdClient } from "../lib/etcd/client.ts";
import type { EtcdSettings } from "../lib/etcd/settings.ts";
import { sameAddress } from "../lib/netaddr/address.ts";
import { formatMac } from "../lib/netaddr/mac.ts";
import type { Netns } from "../lib/netns/netns.ts";
import { type KernelEvent, KernelEvents } from "../lib/overlay/kernel-events.ts";
import { openRouteSocket } from "../lib/rtnetlink/route-socket.ts";
import { attachmentKey, type EndpointValue, storeKeys } from "../lib/store/layout.ts";
import { machineId } from "../lib/store/machine.ts";
import { sweepOverlay } from "../lib/store/overlay-sweep.ts";
import { AGENT_SOCKET } from "../lib/store/protocol.ts";
import { storeOf } from "../lib/store/store.ts";
import { sweep } from "../lib/store/sweep.ts";
import { isSweepDue } from "../lib/store/swept.ts";
import { readTextFile } from "../lib/sys/file.ts";
import { version } from "../package.json" with { type: "json" };
import { type DesiredNetwork, desiredNetwork } from "./desired-entries.ts";
import { HostNetworks } from "./host-networks.ts";
import type { Keeper } from "./keeper.ts";
import { type Log, wordsOf } from "./log.ts";
import { Metrics, serveMetrics } from "./metrics.ts";
import { letOthers, pause } from "./pause.ts";
import { Reconciler } from "./reconciler.ts";
import { Registration } from "./registration.ts";
import { serveSocket } from "./server.ts";
import { type AgentStatus, gaugesOf, type NetworkStatus } from "./status.ts";
import { View } from "./view.ts";

/** Events of the kernel are looked for that often. */
const POLL_INTERVAL_MS = 50;
/** Datagrams that are read at a time; what else there is to do comes in between. */
const EVENTS_AT_A_TIME = 512;
/** More entries than these changed by others at once are for a comparison to find. */
const MENDED_MAX = 1_000;
/** Records, devices and the store are looked through that often whether or not anything happened. */
const LOOK_INTERVAL_MS = 60_000;
/** How long a sweep of the store may take. */
const SWEEP_TIMEOUT_MS = 30_000;
/** How long a publication waits for this host's entries. */
const PROGRAM_TIMEOUT_MS = 3_000;
/** Operations of the store after which this host has other containers (lib/store/operations.ts). */
const ABOUT_CONTAINERS = ["publishEndpoint", "withdrawEndpoint", "leaveNetwork"];
/** A host's status names so many faults of the store at most. */
const FAULTS_MAX = 10;

export interface AgentOptions {
  readonly settings: EtcdSettings;
  /** After which a dead host is forgotten. Seconds. */
  readonly graceS: number;
  /** Where the metrics are to be had; undefined: nowhere. */
  readonly metrics?: { readonly hostname: string; readonly port: number } | undefined;
  readonly log: Log;
  /** Whose kernel it is; by default where the process is. The store is asked from there in any case. */
  readonly netns?: Netns | undefined;
}

/** Runs until `signal` is aborted, and leaves all as it is. @throws Error when it cannot begin */
export async function runAgent(options: AgentOptions, signal: AbortSignal): Promise<void> {
  using agent = new Agent(options);
  await agent.run(signal);
}

class Agent implements Disposable {
  readonly #options: AgentOptions;
  readonly #resources = new DisposableStack();
  readonly #client: EtcdClient;
  readonly #metrics = new Metrics();
  readonly #events: KernelEvents;
  readonly #view: View;
  readonly #reconciler: Reconciler;
  readonly #networks: HostNetworks;
  readonly #registration: Registration;
  /** An address of this host has come or gone since the devices were looked at. */
  #isAddressChanged = false;
  /** Ends the pause before the next look; one that is asked for while a look goes on follows it at once. */
  #lookNow = new AbortController();

  constructor(options: AgentOptions) {
    this.#options = options;
    const { settings, log, graceS, netns } = options;
    const use = <T extends Disposable>(resource: T) => this.#resources.use(resource);
    const keys = storeKeys(settings.prefix);
    this.#client = use(new EtcdClient(settings));
    this.#events = use(new KernelEvents((ifindex) => this.#networks.counts(ifindex), netns));
    const sockets = { writing: use(openRouteSocket(netns)), reading: use(openRouteSocket(netns)) };
    this.#reconciler = new Reconciler(sockets, { log, metrics: this.#metrics });
    this.#view = new View(this.#client, keys, { log, listener: this.#listener() });
    const networkOptions = {
      settings,
      log,
      reconciler: this.#reconciler,
      view: this.#view,
      changed: () => this.#registration.poke(),
    };
    this.#networks = use(new HostNetworks(use(openRouteSocket(netns)), networkOptions));
    this.#registration = new Registration(this.#client, keys, this.#view, {
      host: settings.host,
      self: { machine: machineId(), bootId: readTextFile("/proc/sys/kernel/random/boot_id").trim() },
      graceS,
      log,
      networks: () => this.#networks.own(),
      isThere: (...container) => this.#networks.isThere(...container),
    });
  }

  [Symbol.dispose](): void {
    this.#resources.dispose();
  }

  async run(signal: AbortSignal): Promise<void> {
    const { settings, log, metrics, graceS } = this.#options;
    const { host, prefix, endpoints } = settings;
    const server = serveSocket(AGENT_SOCKET, {
      client: this.#client,
      settings,
      own: { status: async () => this.#status(), entries: async () => this.#entries() },
      done: (operation, input) => this.#done(operation, input),
    });
    this.#resources.defer(() => server.stop());
    if (metrics) {
      const served = serveMetrics(metrics, () => this.#metrics.text(gaugesOf(this.#status())));
      this.#resources.defer(() => served.stop());
    }
    log.info("started", { version, host, endpoints, prefix, grace: graceS });
    this.#networks.refresh();
    await Promise.all([
      this.#view.follow(signal),
      this.#reconciler.run(signal),
      this.#registration.run(signal),
      this.#followKernel(signal),
      this.#lookNowAndThen(signal),
    ]);
    log.info("stopped; what the kernel has stays", { host });
  }

  #listener() {
    return {
      listed: () => {
        for (const keeper of this.#reconciler.keepers.values()) {
          keeper.rebuild(this.#view.network(keeper.network));
          this.#logFaults(keeper);
        }
        this.#reconciler.compare("the store was listed");
        this.#registration.poke();
        this.#lookNow.abort();
      },
      changed: (name: string, touched: Parameters<Keeper["update"]>[1]) => {
        const keeper = this.#reconciler.keepers.get(name);
        if (keeper) {
          const { isKnown, desired } = keeper;
          keeper.update(this.#view.network(name), touched);
          if (isKnown) this.#reconciler.poke();
          else this.#reconciler.compare("the store has the network", name);
          this.#logFaults(keeper, desired.faults);
        }
        const own = this.#options.settings.host;
        const isMissed = touched.gone.some(
          ({ host, attachment }) => host === own && this.#networks.has(name, attachment),
        );
        if (isMissed || touched.hosts.has(own)) this.#registration.poke();
      },
      hostChanged: (host: string) => {
        const isOwn = host === this.#options.settings.host;
        if (isOwn && this.#view.hosts.get(host)?.lease !== this.#registration.lease)
          this.#registration.poke();
      },
      reached: () => {
        this.#registration.poke();
        if (isSweepDue(this.#options.settings)) this.#lookNow.abort(); // a DEL could not tell it
      },
    };
  }

  /** Says what of the store cannot be read, but for what was said before. */
  #logFaults({ network, desired }: Keeper, before: readonly string[] = []): void {
    for (const fault of desired.faults) {
      if (!before.includes(fault)) this.#options.log.warn(fault, { network });
    }
  }

  /** Looks for events of the kernel. */
  async #followKernel(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const rest = this.#events.receive((event) => this.#happened(event), EVENTS_AT_A_TIME);
      if (rest === "some") {
        await letOthers();
        continue;
      }
      if (rest === "lost") {
        this.#metrics.lostEvents();
        this.#options.log.info("the kernel had more to tell than was read: everything is compared");
        this.#networks.refresh();
        this.#reconciler.compare("events were lost");
      } else if (this.#isAddressChanged) {
        this.#isAddressChanged = false;
        this.#networks.refreshDevices();
      }
      this.#reconciler.poke();
      await pause(POLL_INTERVAL_MS, signal);
    }
  }

  #happened(event: KernelEvent): void {
    if (event.what === "address") this.#isAddressChanged = true;
    else if (event.what === "link") {
      this.#isAddressChanged = true; // the underlay's may have come back
      this.#networks.linkChanged(event);
    } else {
      for (const keeper of this.#reconciler.keepers.values()) {
        if (isSurprise(keeper, event)) mend(keeper, event);
      }
    }
  }

  /** An operation of a plugin has succeeded: what it is about is looked at before it is told so. */
  async #done(operation: string, input: unknown): Promise<void> {
    if (!ABOUT_CONTAINERS.includes(operation)) return;
    // What lib/store/overlay.ts takes; it has succeeded with it.
    const { network, endpoint, leaving, ...own } = input as {
      network: string;
      endpoint?: EndpointValue;
      leaving?: { containerId: string; ifname: string };
      containerId: string;
      ifname: string;
    };
    if (operation === "withdrawEndpoint") this.#networks.withdrawn(network, attachmentKey(own));
    if (operation === "leaveNetwork" && leaving) this.#networks.left(network, attachmentKey(leaving));
    if (!endpoint) return;
    this.#networks.published(network, attachmentKey(own), endpoint);
    if (await this.#reconciler.settles(network, PROGRAM_TIMEOUT_MS)) return;
    throw new CniError(CniError.TRY_AGAIN_LATER, "weft agent could not write this host's entries in time", {
      details: "weft agent --status says why",
    });
  }

  /** Sweeps what this host left in the store, and looks through everything now and then. */
  async #lookNowAndThen(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#lookNow.abort());
    for (;;) {
      await pause(LOOK_INTERVAL_MS, this.#lookNow.signal);
      if (signal.aborted) return;
      this.#lookNow = new AbortController();
      this.#networks.refresh();
      await this.#sweep();
    }
  }

  async #sweep(): Promise<void> {
    if (this.#view.away) return;
    const { settings, log } = this.#options;
    try {
      const store = storeOf(this.#client, settings, performance.now() + SWEEP_TIMEOUT_MS);
      const addresses = await sweep(store);
      const endpoints = this.#registration.fault === undefined ? await sweepOverlay(store) : 0;
      if (addresses + endpoints > 0) log.info("released what no record tells of", { addresses, endpoints });
    } catch (error) {
      log.warn("cannot sweep the store", { reason: wordsOf(error) });
    }
  }

  #status(): AgentStatus {
    const { settings, graceS } = this.#options;
    const { away, revision } = this.#view;
    const networks = this.#networks.list().map((network) => this.#networkStatus(network));
    const faults = [...this.#registration.faults(), ...this.#networks.faults];
    return {
      version,
      host: settings.host,
      grace: graceS,
      store: {
        endpoints: settings.endpoints,
        prefix: settings.prefix,
        isWatched: away === undefined,
        revision: revision?.toString(),
        away: away && { since: away.since.toISOString(), reason: away.reason },
      },
      lease: this.#registration.fault === undefined ? this.#registration.lease : undefined,
      isInStep:
        away === undefined &&
        this.#registration.faults().length === 0 &&
        networks.every(({ isInStep }) => isInStep),
      networks,
      faults,
    };
  }

  #entries(): DesiredNetwork[] {
    return this.#networks
      .list()
      .map(({ local }) =>
        desiredNetwork(local, this.#view.network(local.name), this.#reconciler.keepers.get(local.name)),
      );
  }

  #networkStatus({ local, address, faults }: ReturnType<HostNetworks["list"]>[number]): NetworkStatus {
    const { name, vni, mode, device, bridge } = local;
    const view = this.#view.network(name);
    const keeper = this.#reconciler.keepers.get(name);
    const { fdb, neighbours, routes } = keeper?.desired ?? {};
    return {
      name,
      vni,
      mode,
      device,
      bridge,
      address,
      isInStep: (keeper?.isInStep ?? false) && faults.length === 0,
      hosts: view.vteps.size,
      endpoints: view.endpointCount,
      entries: { fdb: fdb?.size ?? 0, neighbours: neighbours?.size ?? 0, routes: routes?.size ?? 0 },
      faults: [
        ...faults,
        ...[...(keeper?.refused.values() ?? [])].slice(0, FAULTS_MAX),
        ...(keeper?.desired.faults.slice(0, FAULTS_MAX) ?? []),
      ],
    };
  }
}

type EntryEvent = Extract<KernelEvent, { what: "entry" }>;

/** Whether an entry has become another than it has to be. The echo of what the agent writes is none. */
function isSurprise({ devices, desired, compareFor }: Keeper, event: EntryEvent): boolean {
  if (compareFor !== undefined) return false; // it will be found
  const { kind, key, ifindex, isGone, isSelf, isOurs, dst, mac } = event;
  if (kind === "routes") return ifindex === devices.vxlan && isGone === desired.routes.has(key);
  if (kind === "neighbours") {
    if (ifindex !== (devices.mode === "bridged" ? devices.bridge : devices.vxlan)) return false;
    const wanted = desired.neighbours.get(key);
    if (!wanted) return isOurs && !isGone;
    return isGone || !isOurs || formatMac(wanted.mac) !== mac;
  }
  if (ifindex !== devices.vxlan) return false;
  const wanted = desired.fdb.get(key);
  if (!wanted) return !isGone;
  return isGone || (isSelf && !(dst && wanted.dst && sameAddress(dst, wanted.dst)));
}

function mend(keeper: Keeper, { kind, key }: EntryEvent): void {
  keeper.mend([{ kind, key }]);
  if (keeper.urgent.size > MENDED_MAX) keeper.compareFor ??= "many entries were changed by others";
}

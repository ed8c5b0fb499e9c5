/**
 * Published ports over SCTP, which this machine's kernel may lack: this file runs on the second one. Both
 * ends are a few lines of Python, because no JavaScript runtime has such sockets. T7 of the topologies.
 */
import t from "tap";
import { attachChain, type Chain } from "./fixtures/chain.ts";
import { filteredNetwork, type PortMapping } from "./fixtures/filtered-network.ts";
import { type Host, makeHost } from "./fixtures/host.ts";
import { IN_SECOND_KERNEL, missing, skip } from "./fixtures/kernel.ts";
import { firstLine } from "./fixtures/lines.ts";
import type { Netns } from "./fixtures/netns.ts";
import { BACKENDS, type Backend, rulesAbout } from "./fixtures/packet-filter.ts";
import { silent } from "./fixtures/refusal.ts";

const TIMEOUT_MS = 240_000;
t.setTimeout(3 * TIMEOUT_MS);
const START_TIMEOUT_MS = 30_000;
const PYTHON = "/usr/bin/python3";
const SUBNETS = ["10.34.0.0/24", "fd00:34::/64"];
const PORT = 9132;
const RANGE = [9140, 9141, 9142];
const lacks = await missing("sctp", "bridge", "nf_tables");

// A socket for each family and port: one for both would offer the client addresses of the other family.
const SERVER = `
import socket, sys, threading
name, *ports = sys.argv[1:]
def serve(server):
    while True:
        client, address = server.accept()
        client.sendall(f"{name} {address[0]}".encode())
        client.close()
for port in map(int, ports):
    for family, anyone in (socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::"):
        server = socket.socket(family, socket.SOCK_STREAM, 132)
        if family == socket.AF_INET6: server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        server.bind((anyone, port))
        server.listen()
        threading.Thread(target=serve, args=[server]).start()
print("listening", flush=True)
`;
const CLIENT = `
import concurrent.futures, socket, sys
def ask(target):
    address, port = target.split(",")
    client = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET, socket.SOCK_STREAM, 132)
    client.settimeout(10)
    try:
        client.connect((address, int(port)))
        return client.recv(100).decode()
    except OSError as error:
        return type(error).__name__
with concurrent.futures.ThreadPoolExecutor() as pool:
    for answer in pool.map(ask, sys.argv[1:]): print(answer)
`;

async function serve({ container }: Chain, ports: readonly number[]): Promise<void> {
  const running = container.start(PYTHON, ["-c", SERVER, container.name, ...ports.map(String)]);
  if (await firstLine(running.stdout, { timeoutMs: START_TIMEOUT_MS })) return;
  await running.stop();
  throw new Error(`No SCTP server in ${container.name}: ${(await running.ended).stderr}`);
}

/** What each of the addresses answers at the port: who it was, and how it saw the client; or the error. */
async function ask(
  netns: Netns,
  addresses: readonly string[],
  ports: readonly number[] = [PORT],
): Promise<string[]> {
  const targets = ports.flatMap((port) => addresses.map((address) => `${address},${port}`));
  const { stdout } = await netns.exec(PYTHON, ["-c", CLIENT, ...targets]);
  return stdout.trim().split("\n");
}

const sctp = (hostPort: number, containerPort: number): PortMapping => {
  return { hostPort, containerPort, protocol: "sctp" };
};

function publish(
  host: Host,
  name: string,
  backend: Backend,
  portMappings: readonly PortMapping[],
): Promise<Chain> {
  const config = filteredNetwork("net", SUBNETS, {
    backend,
    portmap: {},
    firewall: { ingressPolicy: "published" },
  });
  return host.container(name).then((it) => attachChain(it, config, { runtime: { portMappings } }));
}

for (const backend of BACKENDS) {
  await t.test(`SCTP: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks && IN_SECOND_KERNEL) return t.fail(lacks);
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    const outside = await host.outside();
    const nodes = [outside.hostAddress4, outside.hostAddress6];
    const c1 = await publish(host, "c1", backend, [sctp(PORT, 90), ...RANGE.map((port) => sctp(port, port))]);
    const peer = await publish(host, "peer", backend, []);
    await serve(c1, [90, ...RANGE]);
    const known = [`c1 ${outside.address4}`, `c1 ${outside.address6}`];
    const answers = await ask(outside, nodes, [PORT, ...RANGE, 90]);
    const refused = Array(2).fill("ConnectionRefusedError");
    t.same(answers.slice(0, 2), known, "an outside host is answered, and seen as it is");
    t.same(
      answers.slice(2, -2),
      RANGE.flatMap(() => known),
      "by every port of a range",
    );
    t.same(answers.slice(-2), refused, "what is not published is closed");
    const inside = await Promise.all([peer.container, c1.container].map((netns) => ask(netns, nodes)));
    t.match(inside.flat(), Array(4).fill(/^c1 /), "so are a peer on the bridge and the container itself");
    t.match(await ask(host, [...nodes, "127.0.0.1"]), Array(3).fill(/^c1 /), "and the host");
    silent(t, await c1.check(), "CHECK is content");
    silent(t, await c1.del(), "DEL says nothing");
    t.same(await rulesAbout(host, ...c1.addresses), [], "and leaves no rule");
    t.same(await ask(outside, nodes), refused, "the port is closed");
    const next = await publish(host, "next", backend, [sctp(PORT, 90)]);
    await serve(next, [90]);
    const nextKnown = known.map((it) => it.replace("c1", "next"));
    t.same(await ask(outside, nodes), nextKnown, "and leads to the next that publishes it");
  });
}

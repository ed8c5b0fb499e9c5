/**
 * A process of the host that listens on a port which is published: the container gets what comes for the
 * port, and `weft add` and `weft check` say whose it was.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import t from "tap";
import { filteredNetwork, type PortMapping, publishedPort } from "./fixtures/filtered-network.ts";
import { makeHost } from "./fixtures/host.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { BACKENDS } from "./fixtures/packet-filter.ts";
import { BUILT_PLUGINS } from "./fixtures/project.ts";

const WEFT = join(BUILT_PLUGINS, "weft");
const TIMEOUT_MS = 60_000;
t.setTimeout(2 * TIMEOUT_MS);
const PROTOCOLS = ["tcp", "udp"] as const;
const PORT = 8080;
/** Listened on at an address, published at another. */
const APART = 8081;
/** Published, and nobody listens. */
const FREE = 8082;
const lacks = await missing("bridge", "nf_tables");

for (const backend of BACKENDS) {
  await t.test(`weft tells of a listener it shadows: ${backend}`, { timeout: TIMEOUT_MS }, async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    const outside = await host.outside();
    const container = await host.container("c1");
    await container.serveAll(PROTOCOLS.map((protocol) => ({ protocol, port: 80, greeting: "container: " })));
    const own = { greeting: "host: " };
    await host.serveAll(
      PROTOCOLS.flatMap((protocol) => [
        { ...own, protocol, port: PORT },
        { ...own, protocol, port: APART, address: "127.0.0.1" },
      ]),
    );
    const network = filteredNetwork("net", ["10.42.0.0/24"], { backend, portmap: {} });
    await host.exec("mkdir", ["-p", "/etc/cni/net.d"]);
    writeFileSync(host.view("/etc/cni/net.d/net.conflist"), JSON.stringify(network));
    const weft = (verb: string, portMappings: readonly PortMapping[]) => {
      const env = { CAP_ARGS: JSON.stringify({ portMappings }) };
      return host.exec(WEFT, [verb, "net", "c1"], { env, reject: false });
    };
    const ask = async () => {
      const asked = PROTOCOLS.map((protocol) => ({ protocol, address: outside.hostAddress4, port: PORT }));
      return (await outside.askAll(asked)).map(({ text }) => text);
    };

    t.same(await ask(), ["host: hello", "host: hello"], "the host's process has the port");
    const shadowing = [
      ...publishedPort(PORT, 80),
      ...publishedPort(APART, 80, outside.hostAddress4),
      ...publishedPort(FREE, 80),
    ];
    const added = await weft("add", shadowing);
    t.equal(added.exitCode, 0);
    t.match(JSON.parse(added.stdout), { ips: [{}] }, "the result is what stdout has");
    const warnings = PROTOCOLS.map(
      (protocol) =>
        `weft: ${protocol} port ${PORT} is published, but bun \\(process \\d+\\) listens on \\[::\\]:${PORT}: .*\n`,
    );
    t.match(added.stderr, new RegExp(`^${warnings.join("")}$`), "which process, where, each protocol");
    t.same(await ask(), ["container: hello", "container: hello"], "the container has the port now");
    const checked = await weft("check", []);
    t.match(checked, { exitCode: 0, stdout: "", stderr: added.stderr }, "CHECK says it, too");
    t.match(await weft("del", []), { exitCode: 0, stderr: "" });
    t.same(await ask(), ["host: hello", "host: hello"], "after DEL the host's process has it again");

    t.match(await weft("add", publishedPort(FREE, 80)), { exitCode: 0, stderr: "" });
    t.match(await weft("del", []), { exitCode: 0, stderr: "" });
  });
}

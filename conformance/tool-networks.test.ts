/**
 * Networks as a Docker user makes them: `weft network create`, `connect`, `disconnect`, `rm` and `prune`,
 * with packets. T2, T3, T7, T14 and T15 of the topologies.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import t from "tap";
import { attempt, done, refused, WEFT } from "./fixtures/command.ts";
import { makeHost } from "./fixtures/host.ts";
import { changesSince, hostState } from "./fixtures/host-state.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { firstLine } from "./fixtures/lines.ts";
import { makeUnderlay } from "./fixtures/underlay.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(8 * TIMEOUT_MS);
const lacks = await missing("bridge", "nf_tables");
/** For a program to begin. */
const START_TIMEOUT_MS = 30_000;
/** Each begins somewhat later in the course of a connect. */
const GC_ROUNDS = 6;
const GC_STEP_MS = 12;

await t.test(
  "networks of their own, and a second one for a container",
  { timeout: TIMEOUT_MS },
  async (t) => {
    if (lacks) return skip(t, lacks);
    const host = await makeHost(t);
    const outside = await host.outside();
    const before = await hostState(host);
    const words = await done(t, host, "network", "create", "blue", "--ipv6");
    t.match(words, /^blue: bridge br-blue, 10\.224\.0\.0\/24 by 10\.224\.0\.1, fd\S+::\/64 by fd\S+::1\n/);
    await done(t, host, "network", "create", "red", "--label", "team=db");
    const [web, db, app] = await Promise.all(["web", "db", "app"].map((name) => host.container(name)));
    if (!web || !db || !app) throw new Error("No containers");
    await done(t, host, "network", "connect", "blue", "web", "--publish", "8080:80");
    t.equal(await done(t, host, "network", "connect", "red", "db"), "db: eth0 10.224.1.2/24\n");
    t.match(
      await done(t, host, "network", "connect", "blue", "app"),
      /^app: eth0 10\.224\.0\.3\/24 fd\S+::3\/64\n$/,
    );

    const { addr_info: addresses } = await web.link("eth0");
    const global = addresses.filter(({ scope }) => scope === "global").map(({ local }) => local);
    const [toWeb, toDb, fromDb] = await Promise.all([
      app.answering(global),
      app.answering(["10.224.1.2"]),
      db.answering(global),
    ]);
    t.strictSame(toWeb, global, "T2: containers of one network reach each other");
    t.strictSame(toDb, [], "and those of two networks do not");
    t.strictSame(fromDb, [], "in either direction");
    const server = await outside.serve({ protocol: "tcp", port: 7000 });
    const seen = await web.ask({ protocol: "tcp", address: outside.address4, port: server.port });
    t.equal(seen.seenAddress, outside.hostAddress4, "T1: outside the host's address is seen");
    await web.serve({ protocol: "tcp", port: 80, greeting: "web: " });
    const asked = { protocol: "tcp" as const, address: outside.hostAddress4, port: 8080 };
    t.equal((await outside.ask(asked)).text, "web: hello", "T7: the published port is reached");

    const beforeConnect = await hostState(host);
    t.equal(await done(t, host, "network", "connect", "red", "app"), "app: eth1 10.224.1.3/24\n");
    t.strictSame(
      await app.answering([...global, "10.224.1.2"]),
      [...global, "10.224.1.2"],
      "T3: app is on both",
    );
    const [route] = await app.ip("route", "show", "default");
    t.match(route, { dev: "eth0" }, "and its default route stays with the first");
    await refused(t, host, "network connect red app", /"app" is on network "red" already, as eth1/);
    await refused(
      t,
      host,
      "network connect red app --ifname lo",
      /"app" has an interface lo already: choose/,
    );

    const listed = JSON.parse(await done(t, host, "network", "ls", "--json"));
    t.match(listed, [
      { name: "blue", driver: "bridge", bridge: "br-blue", isOurs: true, containers: 2 },
      { name: "red", subnets: [{ subnet: "10.224.1.0/24", gateway: "10.224.1.1" }], containers: 2 },
    ]);
    const [red] = JSON.parse(await done(t, host, "network", "inspect", "red", "--json"));
    t.match(red, {
      labels: { team: "db" },
      leased: 2,
      containers: [
        { container: "app", ifname: "eth1", addresses: ["10.224.1.3/24"] },
        { container: "db", ifname: "eth0", addresses: ["10.224.1.2/24"] },
      ],
      configuration: { cniVersion: "1.0.0", cniVersions: ["1.0.0", "1.1.0"], name: "red" },
    });

    await refused(t, host, "network rm red", /"red" is in use by app \(eth1\), db \(eth0\)\n/);
    await refused(
      t,
      host,
      "network disconnect red web",
      /"web" is not on network "red"; on it: app \(eth1\), db/,
    );
    await done(t, host, "network", "disconnect", "red", "app");
    t.strictSame(
      await changesSince(beforeConnect, host),
      [],
      "disconnect takes exactly what connect has made",
    );
    t.strictSame(await app.answering(global), global, "and the other network is as it was");

    await host.exec("ip", ["netns", "delete", "db"]);
    host.containers.delete("db");
    await done(t, host, "network", "rm", "red");
    t.pass("a container that is gone does not keep its network");
    for (const name of ["web", "app"]) await done(t, host, "network", "disconnect", "blue", name);
    t.equal(await done(t, host, "network", "prune", "--yes"), "blue\n");
    const left = await changesSince(before, host);
    t.strictSame(left, [], "nothing is left");
    t.strictSame(await host.ip("link", "show", "type", "bridge"), [], "no bridge either");
    t.match(await attempt(host, "network", "ls"), {
      exitCode: 0,
      stdout: /^no networks in \/etc\/cni\/net\.d; /,
    });
    await host.exec("sh", ["-c", "echo '{' > /etc/cni/net.d/10-junk.conflist"]);
    t.match(await attempt(host, "network", "ls"), {
      exitCode: 0,
      stderr: /^weft: \/etc\/cni\/net\.d\/10-junk\.conflist: JSON /,
    });
  },
);

await t.test("T14: internal networks, and containers kept apart", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  const outside = await host.outside();
  await done(t, host, "network", "create", "inner", "--internal");
  await done(t, host, "network", "create", "apart", "--opt", "icc=false");
  const [a, b, c, d] = await Promise.all(["a", "b", "c", "d"].map((name) => host.container(name)));
  if (!a || !b || !c || !d) throw new Error("No containers");
  for (const name of ["a", "b"]) await done(t, host, "network", "connect", "inner", name);
  await done(t, host, "network", "connect", "apart", "c", "--publish", "8080:80");
  await done(t, host, "network", "connect", "apart", "d");
  const [fromA, fromD] = await Promise.all([
    a.answering(["10.224.0.3", outside.address4]),
    d.answering(["10.224.1.2", outside.hostAddress4]),
  ]);
  t.strictSame(fromA, ["10.224.0.3"], "internal: each other, no more");
  t.strictSame(fromD, [outside.hostAddress4], "icc=false: the host, no more");
  t.strictSame(await a.ip("route", "show", "default"), [], "and there is no default route");
  await refused(t, host, "network connect inner c --publish 1:1", /network "inner" publishes no ports/);
  t.match(
    await attempt(host, "network", "connect", "apart", "c", "-i", "eth1", "--publish", "203.0.113.9:81:80"),
    { exitCode: 0, stderr: /^weft: no interface of this host has 203\.0\.113\.9: / },
  );
  t.match(JSON.parse(await done(t, host, "ports", "c", "--json")), [
    { hostPort: 81, hostIP: "203.0.113.9", state: "no such address" },
    { hostPort: 8080, state: "open" },
  ]);
  await done(t, host, "network", "disconnect", "apart", "c", "--ifname", "eth1");
  await c.serve({ protocol: "tcp", port: 80, greeting: "c: " });
  const asked = { protocol: "tcp" as const, address: outside.hostAddress4, port: 8080 };
  t.equal((await outside.ask(asked)).text, "c: hello", "a published port all the same");
});

await t.test("T15: subnets, gateways, ranges and addresses", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  await host.outside();
  const c1 = await host.container("c1");
  await host.container("c2");
  const create = ["network", "create", "blue", "--subnet", "10.50.0.0/16", "--subnet", "fd00:50::/64"];
  const range = ["--gateway", "10.50.0.254", "--ip-range", "10.50.7.0/29", "--aux-address", "nas=10.50.7.1"];
  await done(t, host, ...create, ...range, "--opt", "mtu=1400");
  t.equal(await done(t, host, "network", "connect", "blue", "c1"), "c1: eth0 10.50.7.0/16 fd00:50::2/64\n");
  t.match(await c1.link("eth0"), { mtu: 1400 });
  t.match(await c1.ip("route", "show", "default"), [{ gateway: "10.50.0.254" }]);
  t.ok(await c1.ping("10.50.0.254"));
  await refused(
    t,
    host,
    "network connect blue c2 --ip 10.50.7.0",
    /10\.50\.7\.0 is not available in range set/,
    2,
  );
  const added = await done(t, host, "add", "blue", "c2", "--ip", "10.50.7.5", "--mac", "02:00:00:00:00:07");
  t.match(JSON.parse(added), {
    ips: [{ address: "10.50.7.5/16" }, {}],
    interfaces: [{}, {}, { mac: "02:00:00:00:00:07" }],
  });

  await refused(
    t,
    host,
    "network create x --subnet 10.50.128.0/17",
    /overlaps network "blue", 10\.50\.0\.0\/16 \(\/etc/,
  );
  await refused(
    t,
    host,
    "network create x --subnet 192.0.2.0/25",
    /overlaps address 192\.0\.2\.1\/24 of uplink0\n/,
  );
  await host.exec("ip", ["route", "add", "10.60.0.0/16", "via", "192.0.2.2", "table", "7"]);
  await refused(
    t,
    host,
    "network create x --subnet 10.60.1.0/24",
    /overlaps route 10\.60\.0\.0\/16 via 192\.0\.2\.2 dev uplink0\n/,
  );
  await refused(
    t,
    host,
    "network create x --subnet 10.61.0.1/24",
    /has host bits set: 10\.61\.0\.0\/24 is the network/,
  );
  await refused(
    t,
    host,
    "network create blue",
    /there is a network "blue" already: \/etc\/cni\/net\.d\/weft-blue/,
  );
  await refused(
    t,
    host,
    "network create x --opt mtuu=1",
    /driver bridge has no option "mtuu".*did you mean mtu\?/,
  );
  const mistyped = await host.exec(WEFT, ["network", "create", "x"], {
    env: { NETCONFPATH: "/etc/cni/nets.d" },
    reject: false,
  });
  t.match(mistyped, {
    exitCode: 1,
    stderr: /^weft: there is no directory \/etc\/cni\/nets\.d .*\nmkdir -p /,
  });
  const full =
    "mkdir /etc/cni/full; mount -t tmpfs -o size=4k full /etc/cni/full; echo no > /etc/cni/full/room";
  await host.exec("sh", ["-c", full]);
  const written = await host.exec(WEFT, ["network", "create", "x"], {
    env: { NETCONFPATH: "/etc/cni/full" },
    reject: false,
  });
  t.match(written, { exitCode: 1, stderr: /^weft: write "\/etc\/cni\/full\/\S+": ENOSPC / });
  t.strictSame((await host.exec("ls", ["-A", "/etc/cni/full"])).stdout, "room\n", "nor is half a file left");
  await host.exec("umount", ["/etc/cni/full"]);
  await refused(t, host, "network create x --driver overlay", /an overlay is --driver vxlan/);
  await refused(t, host, "network rm absent", /no network "absent" in \/etc\/cni\/net\.d: it has blue\n/);
  const made = await done(t, host, "network", "create", "x", "--subnet", "0.0.0.0/26", "--dry-run");
  t.match(JSON.parse(made), { plugins: [{ ipam: { ranges: [[{ subnet: "10.224.0.0/26" }]] } }, {}, {}] });
  const all = await Promise.all(["e", "f", "g"].map((name) => attempt(host, "network", "create", name)));
  t.strictSame(
    all.map(({ exitCode }) => exitCode),
    [0, 0, 0],
  );
  const listed = JSON.parse(await done(t, host, "network", "ls", "--json")) as {
    subnets: { subnet: string }[];
  }[];
  const subnets = listed.flatMap((network) => network.subnets.map(({ subnet }) => subnet));
  t.equal(new Set(subnets).size, subnets.length, "networks made at the same time have different subnets");
});

await t.test("an ADD that was cut off is no connection", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  const c1 = await host.container("c1");
  await done(t, host, "network", "create", "blue");
  const before = await hostState(host);
  await done(t, host, "network", "connect", "blue", "c1", "--publish", "7000:70");
  // As a kill leaves it after the last plugin, before the result is kept.
  await host.exec("sh", ["-c", "rm /var/lib/cni/results/blue-*-eth0"]);
  const words =
    /^weft: "c1" is on network "blue" already, as eth0, and no result of that is kept: .* cut off/;
  for (const verb of ["network connect", "add", "check"]) await refused(t, host, `${verb} blue c1`, words);
  await done(t, host, "network", "connect", "blue", "c1", "--ifname", "eth1");
  await refused(t, host, "network disconnect blue c1", /"c1" is on network "blue" as eth1, eth0: say which/);
  await done(t, host, "network", "disconnect", "blue", "c1", "--ifname", "eth1");
  await done(t, host, "network", "disconnect", "blue", "c1");
  t.strictSame(await c1.ip("route", "show"), [], "disconnect takes it off all the same");
  t.strictSame(await changesSince(before, host), [], "and all that it had");
  t.match(await done(t, host, "network", "connect", "blue", "c1"), /^c1: eth0 /);
});

await t.test("gc takes nothing of what connect makes beside it", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  await host.container("c1");
  await done(t, host, "network", "create", "blue");
  for (const gc of [["gc"], ["gc", "blue"]]) {
    for (let round = 0; round < GC_ROUNDS; round++) {
      const connecting = attempt(host, "network", "connect", "blue", "c1");
      await setTimeout(round * GC_STEP_MS);
      const [connected, collected] = await Promise.all([connecting, attempt(host, ...gc)]);
      t.match(connected, { exitCode: 0, stderr: "" });
      t.match(collected, { exitCode: 0, stderr: "" });
      await done(t, host, "check", "blue", "c1");
      await done(t, host, "network", "disconnect", "blue", "c1");
    }
  }
});

await t.test("files of others are listed and used, and never removed", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  await host.container("c1");
  const list = {
    cniVersion: "1.0.0",
    name: "old",
    plugins: [{ type: "bridge", bridge: "br0", ipam: { type: "host-local", subnet: "10.224.0.0/24" } }],
  };
  await host.exec("mkdir", ["-p", "/etc/cni/net.d"]);
  const file = host.view("/etc/cni/net.d/10-old.conflist");
  writeFileSync(file, JSON.stringify(list));
  writeFileSync(host.view("/etc/cni/net.d/weft-liar.conflist"), JSON.stringify({ ...list, name: "liar" }));
  t.match(await done(t, host, "network", "create", "new"), /10\.224\.1\.0\/24/, "its subnet is taken");
  await done(t, host, "network", "connect", "old", "c1", "--ip", "10.224.0.77");
  await done(t, host, "network", "disconnect", "old", "c1");
  await refused(
    t,
    host,
    "network rm old",
    /was not made by weft network create: whoever wrote .*10-old\.conflist/,
  );
  t.match(await attempt(host, "network", "prune"), { exitCode: 1, stderr: /Remove new\? .*say --yes/ });
  t.equal(await done(t, host, "network", "prune", "--yes"), "new\n");
  t.equal(readFileSync(file, "utf8"), JSON.stringify(list));
  t.match(await done(t, host, "network", "ls", "--quiet"), "old\nliar\n");
});

await t.test("macvlan on the physical network", { timeout: TIMEOUT_MS }, async (t) => {
  const lacks = await missing("macvlan");
  if (lacks) return skip(t, lacks);
  const { host, outside } = await makeUnderlay(t);
  await refused(
    t,
    host,
    "network create lan --driver macvlan",
    /driver macvlan needs --subnet: .* eth0 is on/,
  );
  const create = ["network", "create", "lan", "--driver", "macvlan", "--opt", "parent=eth0"];
  const made = await done(t, host, ...create, "--subnet", "192.0.2.0/24", "--ip-range", "192.0.2.0/28");
  t.match(made, /^lan: macvlan eth0, 192\.0\.2\.0\/24 by 192\.0\.2\.2\n/, "its router is that of the host");
  const c1 = await host.container("c1");
  t.equal(
    await done(t, host, "network", "connect", "lan", "c1"),
    "c1: eth0 192.0.2.3/24\n",
    "not the host's own",
  );
  t.ok(await c1.ping(outside.address4));
  await done(t, host, "network", "disconnect", "lan", "c1");
  await done(t, host, "network", "rm", "lan");
});

await t.test("a container is a path, a process, a name", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  await done(t, host, "network", "create", "blue");
  await host.container("c1");
  const sleep = host.start("unshare", ["--net", "sh", "-c", "echo $$; exec sleep 600"]);
  const pid = (await firstLine(sleep.stdout, { timeoutMs: START_TIMEOUT_MS })) ?? "";
  t.equal(await done(t, host, "network", "connect", "blue", pid), `pid ${pid} (sleep): eth0 10.224.0.2/24\n`);
  for (const name of [`pid ${pid}`, `pid ${pid} (sleep)`]) {
    t.match(await done(t, host, "inspect", name), `pid ${pid} (sleep)\n`, "as a listing has it");
    await done(t, host, "check", "blue", name);
  }
  const path = "/run/netns/c1";
  t.equal(await done(t, host, "network", "connect", "blue", path), "c1: eth0 10.224.0.3/24\n");
  for (const name of ["c1", "/var/run/netns/c1"]) await done(t, host, "check", "blue", name);
  await refused(t, host, "network connect blue host", /is in the host's own network namespace/);
  await refused(t, host, "network connect blue 1", /is in the host's own network namespace/);
  await refused(
    t,
    host,
    "network connect blue c2",
    /no container "c2": ip netns has c1, host\ndid you mean c1\?\n/,
  );
  await refused(t, host, "add blue /nowhere", /failed to open netns "\/nowhere"/);
  await done(t, host, "network", "disconnect", "blue", "c1");
  await sleep.stop();
  await done(t, host, "network", "disconnect", "blue", `pid ${pid} (sleep)`);
  await done(t, host, "network", "rm", "blue");
});

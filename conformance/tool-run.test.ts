/**
 * `weft run`: programs in networks, with no container runtime at all. T4, T5 and T6 of the topologies, and
 * that nothing is left, however the program or the tool ends.
 */
import t from "tap";
import { attempt, done, PEER, refused, serving } from "./fixtures/command.ts";
import { eventually } from "./fixtures/eventually.ts";
import { makeHost } from "./fixtures/host.ts";
import { changesSince, hostState } from "./fixtures/host-state.ts";
import { missing, skip } from "./fixtures/kernel.ts";
import { normalise } from "./fixtures/normalise.ts";
import { BUN } from "./fixtures/project.ts";

const TIMEOUT_MS = 120_000;
t.setTimeout(4 * TIMEOUT_MS);
const lacks = await missing("bridge", "nf_tables");

await t.test("T4: two programs in one network", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  await done(t, host, "network", "create", "blue", "--dns", "192.0.2.53", "--dns-search", "example.org");
  const before = await hostState(host);
  const web = await serving(
    host,
    { name: "web", port: 80 },
    "--name",
    "web",
    "--network",
    "blue",
    "--publish",
    "8080:80",
  );
  const run = (...command: string[]) => done(t, host, "run", "--network", "container:web", "--", ...command);
  const asked = JSON.stringify([
    { protocol: "tcp", address: "127.0.0.1", port: 80, message: "hi", timeoutMs: 2000 },
  ]);
  t.match(JSON.parse(await run(BUN, PEER, "ask", asked)), [{ text: "web: hi" }], "they talk over 127.0.0.1");
  const links = await run("ip", "-j", "address", "show", "dev", "eth0");
  t.match(
    JSON.parse(links),
    JSON.parse((await host.exec("ip", ["-n", "web", "-j", "address", "show", "dev", "eth0"])).stdout),
  );
  t.equal(await run("ls", "/sys/class/net"), "eth0\nlo\n", "/sys shows the network they are in");
  t.match(await attempt(host, "run", "--network", "container:web", "--publish", "1:1", "--", "true"), {
    exitCode: 1,
    stderr: /--network container:web goes with no other --network, --ip, --mac or --publish/,
  });
  await refused(
    t,
    host,
    "run --name web --network blue -- true",
    /there is a namespace "web" already: .*\nip netns delete web and then weft gc\n/,
  );
  t.equal((await host.ask({ protocol: "tcp", address: "127.0.0.1", port: 8080 })).text, "web: hello");
  web.kill("SIGTERM");
  t.equal((await web.ended).exitCode, 128 + 15, "SIGTERM goes to the program");
  t.strictSame(await changesSince(before, host), [], "and then all is taken back");

  const resolv = await done(t, host, "run", "--network", "blue", "--", "cat", "/etc/resolv.conf");
  t.equal(resolv, "nameserver 192.0.2.53\nsearch example.org\n");
  t.strictSame(await changesSince(before, host), []);
});

await t.test("T5: the host's own network", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  await host.outside();
  const before = normalise(await host.snapshot());
  const links = await done(t, host, "run", "--network", "host", "--", "ip", "-j", "address");
  t.strictSame(JSON.parse(links), JSON.parse((await host.exec("ip", ["-j", "address"])).stdout));
  t.strictSame(normalise(await host.snapshot()), before, "nothing on the host has changed");
  t.match(await attempt(host, "run", "--network", "host", "--", "sh", "-c", "exit 7"), { exitCode: 7 });
});

await t.test("T6: no network", { timeout: TIMEOUT_MS }, async (t) => {
  const host = await makeHost(t);
  await host.outside();
  const before = normalise(await host.snapshot());
  const run = (...command: string[]) => attempt(host, "run", "--network", "none", "--", ...command);
  const [lo, ...others] = JSON.parse((await run("ip", "-j", "address")).stdout);
  t.match(lo, { ifname: "lo", addr_info: [{ local: "127.0.0.1" }, { local: "::1" }] });
  t.strictSame(others, [], "lo is the only interface");
  t.match(await run("ping", "-c", "1", "-W", "1", "127.0.0.1"), { exitCode: 0 });
  t.match(await run("ping", "-c", "1", "-W", "1", "192.0.2.2"), { exitCode: 2, stderr: /unreachable/ });
  t.strictSame(normalise(await host.snapshot()), before, "nothing on the host has changed");
});

await t.test("weft run ends as its program does, and leaves nothing", { timeout: TIMEOUT_MS }, async (t) => {
  if (lacks) return skip(t, lacks);
  const host = await makeHost(t);
  await done(t, host, "network", "create", "blue");
  await done(t, host, "network", "create", "red");
  const run = (...command: string[]) =>
    attempt(host, "run", "--network", "blue", "--network", "red", "--", ...command);
  t.match(await run("sh", "-c", "ip -br address; exit 9"), {
    exitCode: 9,
    stdout: /^eth0@\S+ +UP +10\.224\.0\.2\/24 .*\neth1@\S+ +UP +10\.224\.1\.2\/24 /m,
  });
  const before = await hostState(host);
  t.match(await run("no-such-program"), { exitCode: 127, stderr: "weft: no-such-program: not found\n" });
  t.match(await run("/etc/passwd"), { exitCode: 126 });
  t.match(await run("sh", "-c", "kill -KILL $$"), { exitCode: 128 + 9 });
  await refused(t, host, "run --network nosuch -- true", /no network "nosuch" in .*: it has blue, red\n/);
  await refused(
    t,
    host,
    "run --network blue --ip 10.9.9.9 -- true",
    /failed to allocate all requested IPs/,
    2,
  );
  await refused(t, host, "run -- true", /which network\? --network NAME/);
  for (const signal of ["SIGINT", "SIGHUP", "SIGUSR1"] as const) {
    const running = await serving(host, { name: "one", port: 80 }, "--network", "blue");
    running.kill(signal);
    const { exitCode } = await running.ended;
    t.equal(exitCode, 128 + { SIGINT: 2, SIGHUP: 1, SIGUSR1: 10 }[signal], signal);
  }
  t.strictSame(await changesSince(before, host), [], "nothing is left");

  const running = await serving(host, { name: "one", port: 80 }, "--network", "blue");
  t.match(JSON.parse(await done(t, host, "network", "inspect", "blue", "--json")), [
    { containers: [{ containerId: /^run-/, ifname: "eth0", addresses: [/^10\.224\.0\./] }] },
  ]);
  await refused(t, host, "network rm blue", /"blue" is in use by /);
  running.kill("SIGKILL");
  await running.ended;
  await eventually(t, "the program dies with weft, and the network can go", async () => {
    return (await attempt(host, "network", "rm", "blue")).exitCode === 0;
  });
  await done(t, host, "network", "rm", "red");
  const links = (await host.ip("link", "show")).map(({ ifname }) => ifname);
  t.strictSame(links, ["lo"], "what SIGKILL left goes with it");
});

import { expect, test } from "bun:test";
import type { Isolation } from "./isolation.ts";
import { isolationElements } from "./nftables.ts";

const OPEN: Isolation = {
  network: "net",
  containerId: "c1",
  ifname: "eth0",
  via: "cni0",
  addresses: [],
  ingressPolicy: "open",
  internal: false,
  icc: true,
  permittedInterfaces: [],
  adminChain: "CNI-ADMIN",
};

const elementsOf = (changed: Partial<Isolation>) =>
  isolationElements({ ...OPEN, ...changed }).map(
    ({ set, key, data }) => `${set} { ${key.join(" . ")}${data ? ` : ${data.join()}` : ""} }`,
  );

const ISOLATED = ["leaving { cni0 : jump isolation }", "isolated { cni0 }"];
const INTERNAL = ["leaving { cni0 : drop }", "entering { cni0 : drop }"];
const WITHIN = "pairs { cni0 . cni0 : accept }";
const APART = "pairs { cni0 . cni0 : goto icc-off }";

test.each<[name: string, changed: Partial<Isolation>, elements: readonly string[]]>([
  ["open has none", {}, []],
  ["same-bridge", { ingressPolicy: "same-bridge" }, [WITHIN, ...ISOLATED]],
  ["isolated", { ingressPolicy: "isolated" }, [APART, ...ISOLATED]],
  ["published", { ingressPolicy: "published" }, [WITHIN, "entering { cni0 : jump published }"]],
  ["without icc", { icc: false }, [APART]],
  ["same-bridge without icc", { ingressPolicy: "same-bridge", icc: false }, [APART, ...ISOLATED]],
  ["internal", { internal: true }, [WITHIN, ...INTERNAL]],
  ["internal says more than a policy", { internal: true, ingressPolicy: "published" }, [WITHIN, ...INTERNAL]],
  [
    "permitted, in both directions",
    { permittedInterfaces: ["cni1"] },
    ["pairs { cni0 . cni1 : accept }", "pairs { cni1 . cni0 : accept }"],
  ],
  ["the bridge itself is no other interface", { icc: false, permittedInterfaces: ["cni0"] }, [APART]],
  ["an overlay's device without a policy", { overlay: "vx7" }, []],
  [
    "an overlay's device is a part of the bridge",
    { overlay: "vx7", ingressPolicy: "published" },
    [
      WITHIN,
      "pairs { cni0 . vx7 : accept }",
      "pairs { vx7 . cni0 : accept }",
      "entering { cni0 : jump published }",
      "entering { vx7 : jump published }",
    ],
  ],
  [
    "what keeps neighbours apart does so over an overlay",
    { overlay: "vx7", icc: false, permittedInterfaces: ["vx7"] },
    [APART, "pairs { cni0 . vx7 : goto icc-off }", "pairs { vx7 . cni0 : goto icc-off }"],
  ],
])("isolationElements(): %s", (_name, changed, elements) => {
  expect(elementsOf(changed)).toEqual([...elements]);
});

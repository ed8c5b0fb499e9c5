import { expect, test } from "bun:test";
import { writeRecord } from "../state/record.ts";
import { CniHost } from "../testing/cni-host.ts";
import { noOwnRunReason } from "../testing/own-run.ts";
import { recordDetails } from "./configuration.ts";
import { formerEtcdSettings } from "./own-part.ts";

const FIRST = "http://192.0.2.1:2379";
const SECOND = "http://192.0.2.2:2379";

test.skipIf(noOwnRunReason !== undefined)(
  "formerEtcdSettings() is the store of the ADD, reached as the configuration says by now",
  async () => {
    using host = await CniHost.make();
    const config = { vni: 7, mode: "bridged", port: 4789, bridge: "" };
    const added = { endpoints: [FIRST], prefix: "/p", host: "a", user: "weft", password: "one" };
    const details = recordDetails({ ...config, etcd: added } as never); // of what it looks at all is there
    expect(details.etcd).toEqual({ endpoints: [FIRST], prefix: "/p", host: "a" });
    const settings = (etcd?: object) => host.call({ config: { ...config, etcd } }, formerEtcdSettings);
    expect(settings(added)).toEqual(added);
    writeRecord({ plugin: "vxlan", network: "net", containerId: "c1", ifname: "eth0", netns: "", details });
    const now = { endpoints: [SECOND], prefix: "/q", host: "b", user: "weft", password: "two" };
    expect(settings(now)).toEqual({ ...now, prefix: "/p", host: "a" });
    const former = { endpoints: [FIRST], prefix: "/p", host: "a" };
    expect(settings()).toEqual(former);
    expect(settings({ endpoints: ["192.0.2.2"] })).toEqual(former);
  },
);

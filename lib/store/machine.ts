/** Which machine this is: two of them with one host name must not take each other's for their own. */
import { invalidConfig } from "../cni/error.ts";
import { findTextFile } from "../sys/file.ts";

/** machine-id(5) @throws CniError 7 where there is none, as in many images, or not yet, as in a first boot */
export function machineId(file = "/etc/machine-id"): string {
  const id = findTextFile(file)?.trim() ?? "";
  if (/^[0-9a-f]{32}$/.test(id)) return id;
  throw invalidConfig(
    `${file} is missing, or is not 32 hexadecimal digits`,
    `run "systemd-machine-id-setup", or "dbus-uuidgen > ${file}": etcd tells hosts of one name by it`,
  );
}

/** Settings under /proc/sys as sysctl(8) has them, by the keys that Stack.sysctl() takes. */
import { type ShellCommand, shell } from "../terminal/shell.ts";

/**
 * "net.ipv4.ip_forward"; with slashes where a part has a dot of its own, as the VLAN in
 * "net/ipv4/conf/eth0.10/forwarding": with dots that would be an interface eth0's directory 10.
 */
export function settingName(key: string): string {
  return key.includes(".") ? key : key.replaceAll("/", ".");
}

export function setting(key: string, value: number): ShellCommand {
  return shell`sysctl -w ${settingName(key)}=${value}`;
}

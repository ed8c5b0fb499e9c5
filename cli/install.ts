/** weft install --to DIR: puts this executable where a runtime looks for plugins. */
import { Command } from "commander";
import { plugins } from "../plugins.ts";
import { installExecutable } from "./executables/install-executable.ts";

export function command(): Command {
  return new Command("install")
    .description("install this executable and a link for each plugin; safe while plugins run")
    .requiredOption("--to <directory>", "where the runtime looks for plugins, such as /opt/cni/bin")
    .action(({ to }: { to: string }) => {
      if (!import.meta.path.startsWith("/$bunfs/")) {
        throw new Error("Cannot install from source: run ./build.sh, then dist/bin/weft install");
      }
      const changed = installExecutable("/proc/self/exe", to, [...plugins.keys()]);
      console.log(changed.length > 0 ? `installed in ${to}: ${changed.join(", ")}` : `${to} is up to date`);
    });
}

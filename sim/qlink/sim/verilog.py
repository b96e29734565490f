"""The Verilog that the twin is compiled from: the gateware's, made quick to compile and to run."""

import re
from typing import Any

from .errors import BuildError

# Verilog as Yosys writes it: one module after the other, names that are not plain begin with a backslash.
_MODULE = re.compile(r"(?ms)^module (\S+) ?\((.*?)\);\n(.*?)^endmodule\n")
_INSTANCE = re.compile(r"(?ms)^  (\\twin\.\S+) +(\S+) +\(\n(.*?)^  \);\n")
_PORT = re.compile(r"(?m)(?<=^    \.)\S+(?= )")
_NUMBERED = re.compile(r"(?<!\.)(?:\\port\$\d+\$\d+|dump_module\$\d+)")


def convert(engine: Any) -> str:
    """Convert a component with the ports of `TimingEngine` to a module `twin` with the ports of `harness.cpp`.

    It starts from the initial values of its registers; there is no reset.
    """
    from amaranth.back import verilog

    fragment, ports = with_ports(engine)
    text = verilog.convert(fragment, name="twin", ports=ports, emit_src=False, strip_internal_attrs=True)
    return every_edge(Sharing(text).text())


def with_ports(engine: Any) -> tuple[Any, dict[str, Any]]:
    """Return the fragment of a component with the ports of `TimingEngine`, and its ports by their names at the twin."""
    from amaranth.hdl import ClockDomain, Fragment
    from amaranth.hdl._ir import PortDirection

    fragment = Fragment.get(engine, None)
    domain = ClockDomain("sync", reset_less=True)  # a reset input would have all logic evaluated twice
    fragment.add_domains(domain)
    up, down = engine.upstream, engine.downstream
    inputs = {
        "clk": domain.clk,
        "samples": engine.samples,
        "references": engine.reference,
        "pps": engine.pps,
        "ten_mhz": engine.ten_mhz,
        "sync_in": engine.sync_in,
        "skip": engine.skip,
        "up_ready": up.ready,
        "down_valid": down.valid,
        "down_payload": down.payload,
    }
    outputs = {
        "heralds": engine.heralds,
        "triggers": engine.triggers,
        "actions": engine.actions,
        "sync_out": engine.sync_out,
        "idle": engine.idle,
        "deadline": engine.deadline,
        "up_valid": up.valid,
        "up_payload": up.payload,
        "down_ready": down.ready,
    }
    ports = {name: (value, PortDirection.Input) for name, value in inputs.items()}
    ports |= {name: (value, PortDirection.Output) for name, value in outputs.items()}
    return fragment, ports


def every_edge(text: str) -> str:
    """Make every toggle of the clock count, so that one evaluation does what else takes two."""
    if re.search(r"negedge|posedge (?!\\?clk\b)", text):
        raise BuildError("the twin takes gateware with a single clock `clk`, of which only rising edges count")
    return re.sub(r"posedge (\\?clk)\b", r"posedge \1 or negedge \1", text)


class Sharing:
    """Keep one of several modules that are alike. Amaranth writes one for each instance, which slows Verilator down."""

    def __init__(self, text: str) -> None:
        self._modules = {module[1]: (module[2], module[3]) for module in _MODULE.finditer(text)}
        self._shared: dict[str, str] = {}  # by name: the module that stands for it
        self._ports: dict[str, dict[str, str]] = {}  # by name: new names of ports
        self._kept: dict[tuple[str, str], str] = {}

    def text(self) -> str:
        """The modules that are left; the twin itself is one of them."""
        for name in self._modules:
            self._visit(name)
        return "\n".join(f"module {name} ({ports});\n{body}endmodule\n" for (ports, body), name in self._kept.items())

    def _visit(self, name: str) -> None:
        if name in self._shared:
            return
        ports, body = self._modules[name]
        body = _INSTANCE.sub(self._instance, body)
        names: dict[str, str] = {}

        def local(match: re.Match[str]) -> str:  # numbers that run through the whole design
            escape = "\\" if match[0].startswith("\\") else ""
            return names.setdefault(match[0], f"{escape}local${len(names)}")

        key = (_NUMBERED.sub(local, ports), _NUMBERED.sub(local, body))
        self._ports[name] = names
        self._shared[name] = self._kept.setdefault(key, name)

    def _instance(self, match: re.Match[str]) -> str:
        module, instance, connections = match.groups()
        self._visit(module)
        names = self._ports[module]
        connections = _PORT.sub(lambda port: names.get(port[0], port[0]), connections)
        return f"  {self._shared[module]} {instance} (\n{connections}  );\n"

"""Block RAMs give no defined word when one is read in the clock in which it is written. Nobody uses such a word."""

import re
from random import Random

import pytest

from qlink.firmware_bridge.configuration import Configuration, Identity, Pattern
from qlink.firmware_bridge.encoding import encode_request
from qlink.firmware_bridge.registers import BY_NAME
from qlink.firmware_bridge.settings import settings_of
from qlink.firmware_bridge.wire import CONTRACT_VERSION, Operation
from qlink.gateware.engine import TimingEngine
from qlink.gateware.parameters import Parameters
from qlink.sim.sources import clicks_of
from qlink.sim.twin import Link, Twin
from qlink.sim.twin_build import Design, compile_design
from qlink.sim.verilog import convert

SMALL = Parameters(channels=4, patterns=2, record_depth=64, click_depth=16, herald_depth=16, veto_depth=16)
CLOCKS = 20_000
SYNC_READS = 24  # memories whose words come a clock after their address

_MODULE = re.compile(r"(?ms)^module .*?^endmodule\n")
_ADDRESS = r"\[(?P<address>(?:[^\[\]]|\[[^\]]*\])+)\]"
_WRITE = re.compile(rf"(?:if \((?P<enable>\S+) ?\)\s+)?(?P<memory>\w+){_ADDRESS} <= ")
_READ = re.compile(rf"(?P<word>\w+) <= (?P<memory>\w+){_ADDRESS};")


def spoil_collisions(verilog):
    """Return the Verilog with every word inverted that is read while it is written, and the number of read ports."""
    found = 0

    def spoil_module(module):
        nonlocal found
        writes = {write["memory"]: write for write in _WRITE.finditer(module[0])}

        def spoil_read(read):
            nonlocal found
            if read["memory"] not in writes:
                return read[0]
            found += 1
            write = writes[read["memory"]]
            word = f"{read['memory']}[{read['address']}]"
            collides = f"({write['enable'] or 1} && {read['address']} == {write['address']})"
            return f"{read['word']} <= {collides} ? ~{word} : {word};"

        return _READ.sub(spoil_read, module[0])

    return _MODULE.sub(spoil_module, verilog), found


@pytest.fixture(scope="module")
def libraries():
    plain = convert(TimingEngine(SMALL, build=0))
    spoilt, found = spoil_collisions(plain)
    assert found >= SYNC_READS
    return [compile_design(Design(text, SMALL.channels, SMALL.samples)) for text in (plain, spoilt)]


def requests():
    patterns = Pattern(frozenset({0, 1}), window=9), Pattern(frozenset({2}), window=40, forbidden=frozenset({3}))
    configuration = Configuration(patterns, snapshot_clocks=900, flush_clocks=400)
    identity = Identity(CONTRACT_VERSION, "TWIN", 4, 2, 4, 1_250_000, 200_000_000, 0, 0)
    writes = [(setting.name, setting.index, setting.value) for setting in settings_of(configuration, identity)]
    writes.append(("control", 0, 1))
    return b"".join(
        encode_request(Operation.WRITE, number % 256, BY_NAME[name].address + index, value)
        for number, (name, index, value) in enumerate(writes)
    )


@pytest.mark.parametrize("share", [0.02, 0.4], ids=["calm", "more than the link carries"])
def test_a_word_that_is_read_while_it_is_written_is_not_used(libraries, share):
    rng = Random(20261123)
    edges = [(4000 * 4 + 4 * clock + rng.randrange(3), c) for clock in range(CLOCKS) for c in range(4)]
    edges = sorted(edge for edge in edges if rng.random() < share)
    clicks = clicks_of([tick for tick, _ in edges], [channel for _, channel in edges])
    streams = []
    for library in libraries:
        twin = Twin(library, SMALL.channels, SMALL.samples, Link(clocks_per_byte=2))
        twin.stall((9_000, 11_000))
        streams.append(twin.run(4 * CLOCKS, clicks, requests()))
    assert streams[0] == streams[1]
    assert len(streams[0]) > 1000

"""A compiled board, told by registers what a random case wants, and what it sends."""

from dataclasses import replace
from random import Random

import numpy as np

from qlink.firmware_bridge.configuration import Identity
from qlink.firmware_bridge.decoder import Decoder, concatenate
from qlink.firmware_bridge.encoding import encode_request
from qlink.firmware_bridge.events import CLICK
from qlink.firmware_bridge.registers import BY_NAME
from qlink.firmware_bridge.settings import settings_of
from qlink.firmware_bridge.wire import CONTRACT_VERSION, Operation
from qlink.gateware.parameters import COMPACT as SIZES
from qlink.gateware.parameters import Parameters
from qlink.sim.cases import Shape, random_case
from qlink.sim.sources import REFERENCE
from qlink.sim.twin import Link, open_twin

CLOCKS = 20_000
BEGIN = 400  # clocks of the case before its first edge: shorter than its timeout
REST = 30_000  # clocks after the last edge, longer than any delay and decision take
ANSWER, ANSWER_BITWISE = 200, 600  # clocks in which a register request is answered

COMPACT = Parameters(
    **{"channels": 4, "patterns": 2, "samples": 2, "window_bits": 12, "herald_depth": 16, "frame_depth": 256},
    **SIZES,
    **{"pulses": 0, "sync": False, "pps": False, "ten_mhz": False},
)
NARROW = Parameters(channels=3, patterns=4, samples=1, multiplicity=True)


def case_of(board, mode, seed, clocks=CLOCKS):
    """Return a random case that suits the board."""
    delay_ticks = (1 << board.delay_bits) - 1
    shape = Shape(board.channels, board.patterns, board.samples, BEGIN, BEGIN + clocks, delay_ticks)
    shape = replace(shape, pulses=board.pulses, action_latency=board.action_latency, multiplicity=board.multiplicity)
    shape = replace(shape, vetoes=not board.compact, window_ticks=(1 << board.window_bits) - 1)
    return random_case(Random(f"{board.samples} {mode} {seed}"), shape, mode)


class Bench:
    """One board after reset, and all that it has sent."""

    def __init__(self, parameters, twin=None):
        self.parameters = parameters
        self.twin = twin or open_twin(parameters, Link(capture=True))
        self.decoder = Decoder()
        self.sent, self.batches = b"", []

    def run(self, clocks, clicks=None, requests=b""):
        sent = self.twin.run(clocks, clicks, requests)
        self.sent += sent
        self.batches.append(self.decoder.feed(sent))

    def write(self, name, value, index=0):
        self.run(
            ANSWER_BITWISE if self.parameters.compact else ANSWER,
            requests=encode_request(Operation.WRITE, 0, BY_NAME[name].address + index, value),
        )

    def configure(self, configuration):
        parameters = self.parameters
        identity = Identity(
            contract_version=CONTRACT_VERSION,
            board=parameters.board,
            channels=parameters.channels,
            patterns=parameters.patterns,
            samples=parameters.samples,
            tick_fs=parameters.tick_fs,
            clock_hz=parameters.clock_hz,
            herald_latency=parameters.herald_latency,
            build=0,
            delay_ticks=(1 << parameters.delay_bits) - 1,
            features=parameters.features,
            pulses=parameters.pulses,
            action_latency=parameters.action_latency,
            codings=parameters.codings,
            veto_clocks=parameters.veto_depth,
            window_ticks=(1 << parameters.window_bits) - 1,
            pps=parameters.pps,
            ten_mhz=parameters.ten_mhz,
        )
        for setting in settings_of(configuration, identity):
            self.write(setting.name, setting.value, setting.index)
        self.run(self.parameters.delay_depth)  # until changed delays are in force
        self.write("control", BY_NAME["control"].pack(run=1, mode=configuration.mode))

    def observe(self, case):
        """Run the case and return what came, and the clock of the board in which the case began."""
        self.configure(case.configuration)
        zero = self.twin.now - BEGIN + 20
        edges = [*case.edges, *((tick, REFERENCE) for tick in case.references)]
        clicks = np.zeros(len(edges), CLICK)
        for name, values in zip(("tick", "channel"), zip(*sorted(edges), strict=True), strict=True):
            clicks[name] = values
        clicks["tick"] += zero * self.parameters.samples
        self.run(CLOCKS + REST, clicks)
        self.write("reference_timeout", 0)
        self.write("command", BY_NAME["command"].pack(snapshot=1))
        self.run(400_000)  # beyond the flush timer
        assert self.decoder.stats.frames_missing == self.decoder.stats.bytes_skipped == 0
        assert not any(self.twin.unresolved)
        return concatenate(self.batches), zero * self.parameters.samples

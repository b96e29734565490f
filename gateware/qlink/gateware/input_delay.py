"""Delays of single ticks between pins and samplers, so that cables of any length meet in one window."""

from functools import reduce
from operator import or_

from amaranth.hdl import Cat, Module, Mux, Signal
from amaranth.lib import data, wiring
from amaranth.lib.memory import Memory
from amaranth.lib.wiring import In, Out

from .pipeline import delayed

__all__ = ["InputDelays", "PinDelay"]

SHORTEST = 5  # clocks: shorter delays do not go through the memory
SETTLING = 16  # clocks from a changed setting to the last sample that it has not yet reached


class PinDelay(wiring.Component):
    """Delay one pin's samples by 0 to `depth * samples - 1` ticks. A delay below one clock adds no clock.

    Members
    -------
    i : In(samples), the pin at each subtick, 0 the oldest
    ticks : In
    address : In, counts clocks
    o : Out(samples), the pin `ticks` ago; means nothing from a change of `ticks` on until the memory is filled again
    """

    def __init__(self, samples, depth):
        self._samples = samples
        self._depth = depth
        self._sub_bits = samples.bit_length() - 1
        super().__init__(
            {
                "i": In(samples),
                "ticks": In(self._sub_bits + (depth - 1).bit_length()),
                "address": In(range(depth)),
                "o": Out(samples),
            }
        )

    def elaborate(self, platform):
        m = Module()
        samples = self._samples
        clocks = self.ticks[self._sub_bits :]
        shift = Signal(range(samples))
        exact = Signal(SHORTEST)  # bit n: so many whole clocks
        longer = Signal()
        m.d.sync += [
            shift.eq(self.ticks[: self._sub_bits]),
            exact.eq(Cat(clocks == n for n in range(SHORTEST))),
            longer.eq(clocks >= SHORTEST),
        ]

        # `word` is what was here one clock less than the delay ago, if that is two clocks at least.
        kept = self._remember(m, clocks)
        before, earlier, word, word_before = (Signal(samples, name=n) for n in ("before", "earlier", "word", "older"))
        m.d.sync += [
            before.eq(self.i),
            earlier.eq(before),
            word.eq(_chosen((exact[2], self.i), (exact[3], before), (exact[4], earlier), (longer, kept))),
            word_before.eq(word),
        ]

        # All that is known a clock ahead goes into `ready`; with a delay below one clock the rest comes right in.
        newer = word | Mux(exact[1], self.i, 0)
        older = word_before | Mux(exact[1], before, 0) | Mux(exact[0], self.i, 0)
        window = Cat(older, newer)
        shifts = range(samples)
        ready, now = Signal(samples), Signal(samples)
        m.d.sync += [
            ready.eq(_chosen(*((shift == n, window[samples - n :][:samples]) for n in shifts))),
            now.eq(Cat(exact[0] & (shift == n) for n in shifts)),
        ]
        coming = [_chosen(*((now[n], self.i[s - n]) for n in range(s + 1))) for s in shifts]
        m.d.comb += self.o.eq(ready | Cat(coming))
        return m

    def _remember(self, m, clocks):
        """Return what was here `clocks - SHORTEST + 3` clocks ago; for delays of at least SHORTEST."""
        m.submodules.memory = memory = Memory(
            shape=self._samples, depth=self._depth, init=[], attrs={"syn_ramstyle": "block_ram"}
        )
        write, read = memory.write_port(), memory.read_port()
        back = Signal.like(self.address)
        kept = Signal(self._samples)  # the memory's own output is late in the clock
        m.d.comb += [write.en.eq(1), write.addr.eq(self.address), write.data.eq(self.i)]
        m.d.sync += [
            back.eq(clocks - SHORTEST),
            read.addr.eq(self.address - back),
            kept.eq(read.data),
        ]
        return kept


class InputDelays(wiring.Component):
    """Delay each pin by its own number of ticks.

    Members
    -------
    i, o : In and Out(array of samples), per pin; a delay below one clock adds no clock
    ticks : In(array), delays per pin
    valid : Out(1), 0: a delay was changed, and `o` is not yet what it should be
    busy : Out(1), something that was at the pins may still come, or `valid` will rise
    """

    def __init__(self, parameters, pins):
        self._depth = parameters.delay_depth
        self._samples = parameters.samples
        self._pins = pins
        super().__init__(
            {
                "i": In(data.ArrayLayout(parameters.samples, pins)),
                "o": Out(data.ArrayLayout(parameters.samples, pins)),
                "ticks": In(data.ArrayLayout(parameters.delay_bits, pins)),
                "valid": Out(1, init=1),
                "busy": Out(1),
            }
        )

    def elaborate(self, platform):
        m = Module()
        address = Signal(range(self._depth))
        m.d.sync += address.eq(address + 1)

        changed = Signal(self._pins)
        clocks = []
        for pin in range(self._pins):
            copy, ticks = Signal.like(self.ticks[pin]), Signal.like(self.ticks[pin])
            m.d.sync += [copy.eq(self.ticks[pin]), ticks.eq(copy), changed[pin].eq(copy != ticks)]
            m.submodules[f"pin{pin}"] = delay = PinDelay(self._samples, self._depth)
            # Later than `valid` falls, by as much as it takes to stop the samplers.
            m.d.comb += [
                delay.i.eq(self.i[pin]),
                delay.ticks.eq(delayed(m, ticks, 1)),
                delay.address.eq(address),
                self.o[pin].eq(delay.o),
            ]
            clocks.append(ticks[len(ticks) - len(address) :])
        settling = self._settle(m, changed.any())
        moving = self._follow(m, clocks)
        m.d.comb += self.busy.eq(settling | moving)
        return m

    def _settle(self, m, changed):
        """Hold `valid` back until the memories hold nothing from before a change."""
        left = Signal(range(self._depth + SETTLING + 1))
        m.d.sync += self.valid.eq(~changed & (left == 0))
        with m.If(changed):
            m.d.sync += left.eq(self._depth + SETTLING)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return changed | (left != 0) | ~self.valid

    def _follow(self, m, clocks):
        """Return whether a pin has changed within the longest delay, or a little more."""
        reach = Signal(range(self._depth + SETTLING))
        left = Signal.like(reach)
        last, moved = Signal(self._pins), Signal()
        m.d.sync += [
            last.eq(Cat(word[-1] for word in self.i)),
            reach.eq(Mux(_any(clocks).any(), _any(clocks) + SETTLING, 0)),
        ]
        m.d.comb += moved.eq(Cat(word ^ Cat(last[pin], word[:-1]) for pin, word in enumerate(self.i)).any())
        with m.If(moved):
            m.d.sync += left.eq(reach)
        with m.Elif(left != 0):
            m.d.sync += left.eq(left - 1)
        return left != 0


def _chosen(*ways):
    """Return the or of the values whose choice is high."""
    return _any(Mux(choice, value, 0) for choice, value in ways)


def _any(values):
    return reduce(or_, values)

"""Claims about coincidences: a pattern completes exactly as docs/coincidence.md says."""

from amaranth.hdl import Cat, Mux

from qlink.gateware.matcher import PatternMatcher
from qlink.gateware.parameters import Parameters

from .attempts import later
from .bench import Bench
from .claim import Claim, Induction, Mutation
from .sources import Edit

__all__ = ["CLAIMS", "WINDOW_BITS", "settling"]

WINDOW_BITS = 3
PARAMETERS = Parameters(channels=2, patterns=1, samples=2, window_bits=WINDOW_BITS)


def settling(b, clocks):
    """Return a signal that is high in the first `clocks` clocks."""
    left = b.signal("settling", range(clocks + 1), init=clocks)
    with b.m.If(left != 0):
        b.m.d.sync += left.eq(left - 1)
    return left != 0


def complete(b, clicks, required, window, start):
    """Follow each channel's newest unconsumed click, tick by tick. Returns per subtick whether the pattern completes,
    and how old each channel's click is then.

    An age is that at the end of a tick; `oldest` stands for all that are longer than any window.
    """
    oldest = 2 ** len(window)
    ages = [b.signal(f"age_{c}", range(oldest + 1), init=oldest) for c in range(len(clicks))]
    now = [Mux(start, oldest, age) for age in ages]
    completes, then = [], []
    for s in range(PARAMETERS.samples):
        now = [
            Mux(click.valid & (click.sub == s), 0, Mux(age == oldest, oldest, age + 1))
            for click, age in zip(clicks, now, strict=True)
        ]
        held = Cat(~needed | (age <= window) for needed, age in zip(required, now, strict=True))
        completes.append(b.show(f"completes_{s}", required.any() & held.all()))
        then.append(now)
        now = [Mux(completes[-1] & needed, oldest, age) for needed, age in zip(required, now, strict=True)]
    b.m.d.sync += [age.eq(value) for age, value in zip(ages, now, strict=True)]
    return completes, then


def matcher():
    """Clicks and starts of attempts come as they like; window and channels are any."""
    b = Bench()
    b.m.submodules.matcher = dut = PatternMatcher(PARAMETERS)
    slot = b.free("slot", dut.slot.shape())
    window, required = b.constant("window", len(dut.window)), b.constant("required", len(dut.required))
    clear = settling(b, 3)
    clicks = Cat(click.valid for click in slot.clicks)
    b.assume(~clear | ~clicks.any() & ~slot.start)
    b.assume((clicks & ~required) == 0)
    b.m.d.comb += [
        dut.slot.eq(slot),
        dut.required.eq(required),
        dut.window.eq(window),
        dut.clear.eq(clear),
        dut.enable.eq(required.any()),
    ]
    completes = Cat(complete(b, slot.clicks, required, window, slot.start)[0])
    wanted = later(b, "completed", completes, 3)
    found = b.signal("fires", PARAMETERS.samples)
    b.m.d.comb += found.eq(Mux(dut.fired, 1 << dut.sub, 0))
    b.must("fires_where_all_channels_hold_a_click_in_the_window", found == wanted)
    for channel, click in enumerate(slot.clicks):
        shown = later(b, f"click_{channel}", click, 3)
        fresh = b.signal(f"unused_{channel}")
        arrived = shown.valid & (shown.sub <= dut.sub)
        b.must(f"a_click_of_channel_{channel}_is_used_once", ~(dut.fired & required[channel]) | fresh | arrived)
        with b.m.If(shown.valid):
            b.m.d.sync += fresh.eq(~dut.fired | (shown.sub > dut.sub))
        with b.m.Elif(dut.fired):
            b.m.d.sync += fresh.eq(0)
    b.must("never_twice_in_a_clock", ~completes.all())
    b.reach("two_in_two_clocks", wanted.any() & dut.fired & completes.any() & required.all())
    return b


CLAIMS = (
    Claim(
        "matcher",
        "PatternMatcher: completes exactly at the ticks of the rules; a click is used once at most.",
        matcher,
        Induction(),
        (
            Mutation(
                "a completion consumes nothing",
                Edit("matcher", "survives = held[channel] & ~complete.any()", "survives = held[channel]"),
                12,
            ),
            Mutation(
                "a click stays alive a tick too long",
                Edit("lifetime", "last & (s <= end)", "last & (s <= end + 1)"),
                14,
            ),
            Mutation(
                "clicks outlive their attempt",
                Edit("matcher", "alive.eq(Mux(self.slot.start, 0, lifetime.alive))", "alive.eq(lifetime.alive)"),
                12,
            ),
        ),
        size=f"2 channels, 2 samples, window of {WINDOW_BITS} bits instead of 16",
        covers=12,
    ),
)

"""Claims about the front end as a whole, from pins to pins and records."""

from amaranth.hdl import Cat, Const, Mux

from qlink.firmware_bridge.registers import Mode
from qlink.gateware.detection import Detection
from qlink.gateware.parameters import Parameters

from .attempts import follow, later
from .bench import Bench
from .claim import Bounded, Claim, Mutation
from .matching import complete, settling
from .observers import watch_order
from .sources import Edit

__all__ = ["CLAIMS"]

BITS = 3  # of ticks in settings
HERALDS = 5
QUIET = 6  # clocks at the beginning in which the pins stay low: until the front end is clear and its settings stand


def heralds():
    """Gated mode, one pattern without forbidden channels; pins do what they like, settings have any value."""
    parameters = Parameters(
        channels=2,
        patterns=1,
        samples=2,
        veto_depth=8,
        pattern_depth=8,
        herald_depth=8,
        delay_depth=0,
        accidentals=False,
    )
    b = Bench()
    b.m.submodules.detection = dut = Detection(parameters)
    settings = dut.settings
    clocks = b.constant("attempt_clocks", BITS)
    starts_at = [b.constant(f"gate_start_{c}", BITS) for c in range(2)]
    stops_at = [b.constant(f"gate_stop_{c}", BITS) for c in range(2)]
    window, required, outcome = b.constant("window", BITS), b.constant("required", 2), b.constant("outcome", 2)
    pins, reference = b.free("pins", 4), b.free("reference", 2)
    b.assume(~settling(b, QUIET) | (Cat(pins, reference) == 0))
    b.m.d.comb += [
        dut.samples.eq(pins),
        dut.reference.eq(reference),
        dut.heralds.ready.eq(1),
        settings.run.eq(1),
        settings.mode.eq(Mode.GATED),
        settings.attempt_clocks.eq(clocks),
        settings.required[0].eq(required),
        settings.window[0].eq(window),
        settings.outcome[0].eq(outcome),
        *(settings.gate_start[c].eq(starts_at[c]) for c in range(2)),
        *(settings.gate_stop[c].eq(stops_at[c]) for c in range(2)),
    ]

    slots = [first_edge(b, f"pin_{c}", pins[2 * c :][:2], dut.clicks[c].shape()) for c in range(2)]
    starts, inside, age, at = follow(b, first_edge(b, "reference_pin", reference, slots[0].shape()), clocks, Const(0))
    gated = []
    for c, slot in enumerate(slots):
        since = b.show(f"since_reference_{c}", age * 2 + slot.sub - at)
        gated.append(b.signal(f"gated_{c}", slot.shape()))
        counts = slot.valid & inside & (since >= starts_at[c]) & (since < stops_at[c])
        b.m.d.comb += [gated[c].valid.eq(counts), gated[c].sub.eq(slot.sub)]
    completes, ages = complete(b, gated, required, window, starts)
    fires = b.show("fires", Cat(completes).any())

    expected = later(b, "fired", Mux(fires, 1 << outcome, 0)[:4], parameters.herald_latency)
    b.must("a_pin_is_high_for_a_clock_after_a_coincidence_in_the_gates", (expected == 0) | (dut.pins == expected))
    b.must("no_pin_is_high_otherwise", (dut.pins & ~expected) == 0)

    attempt = b.signal("attempt", 4)
    attempt_now = attempt + starts
    b.m.d.sync += attempt.eq(attempt_now)
    sub = Mux(completes[0], 0, 1)
    position = (age * 2 + sub - at)[: BITS + 1]
    contributed = [Mux(required[c], Mux(completes[0], ages[0][c], ages[1][c]), 0)[: BITS + 1] for c in range(2)]
    herald = dut.heralds.payload
    said = Cat(herald.attempt[:4], herald.position[: BITS + 1], *(herald.ages[c][: BITS + 1] for c in range(2)))
    item = Cat(attempt_now[:4], position, *contributed)
    watch_order(b, "heralds", (fires, item), (dut.heralds.valid, said), HERALDS)
    fired = b.signal("how_many_fired", range(HERALDS + 2))
    b.m.d.sync += fired.eq(fired + fires)
    b.assume(fired <= HERALDS)  # so that none finds the pattern's queue full
    for c in range(2):
        ticks = b.show(f"click_{c}_after_reference", (herald.position - herald.ages[c])[: BITS + 2])
        used = dut.heralds.valid & required[c]
        b.must(f"click_{c}_of_a_herald_is_in_its_gate", ~used | (ticks >= starts_at[c]) & (ticks < stops_at[c]))
    b.must("a_herald_has_an_attempt", ~dut.heralds.valid | (herald.attempt != 0))
    b.reach("a_herald_of_both_in_the_second_attempt", dut.heralds.valid & required.all() & (herald.attempt == 2))
    return b


def first_edge(b, name, samples, shape):
    """Find the first rising edge of each clock. Returns whether there is one, and at which subtick."""
    low = b.register(f"{name}_was_low", ~samples[1])
    early, late = samples[0] & low, samples[1] & ~samples[0]
    slot = b.signal(f"{name}_slot", shape)
    b.m.d.comb += [slot.valid.eq(early | late), slot.sub.eq(~early)]
    return slot


CLAIMS = (
    Claim(
        "heralds",
        "Detection, gated: an outcome's pin is high for exactly one clock, a fixed time after a coincidence of clicks "
        "in their gates of an attempt that its reference has begun, and low otherwise; each has one record, with "
        "attempt, position and clicks as they were.",
        heralds,
        Bounded(40),
        (
            Mutation(
                "gates stay open without an attempt",
                Edit("gate", "inside.replicate(len(self.ticks)) & opens.passed", "opens.passed"),
                30,
            ),
            Mutation(
                "a completion consumes nothing",
                Edit("matcher", "survives = held[channel] & ~complete.any()", "survives = held[channel]"),
                30,
            ),
            Mutation(
                "the pin stays high until the next herald",
                Edit("detection", "m.d.comb += pin.eq(Cat(fires).any())", "m.d.sync += pin.eq(pin | Cat(fires).any())"),
                30,
            ),
            Mutation(
                "a record's position is not from its reference",
                Edit("herald", "record.tick - reference", "record.tick"),
                40,
            ),
        ),
        size=f"2 channels, 1 pattern, 2 samples, settings of {BITS} bits, {HERALDS} heralds, cleared for 3 clocks",
        reduced=(Edit("detection", "CLEARING = 16", "CLEARING = 3"),),
        quick=Bounded(28),
        covers=36,
    ),
)

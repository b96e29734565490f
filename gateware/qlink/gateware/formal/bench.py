"""What a proof is made of: a component, whatever may come, and what must hold."""

from amaranth.asserts import AnyConst
from amaranth.back import rtlil
from amaranth.hdl import Assert, Assume, Cat, ClockDomain, Cover, Module, Signal, Value

__all__ = ["Bench"]

MUST = "must_"
KNOWN = "known_"
REACH = "reach_"


class Bench:
    """A module to put components and observers into, and statements about them.

    Time starts with the registers at their initial values, as after power-up and after each reset.

    Attributes
    ----------
    m : Module
    signals : dict of those that counterexamples show, by name
    musts : dict of what is claimed, by name
    """

    def __init__(self):
        self.m = Module()
        self._clock = ClockDomain("sync", reset_less=True)
        self.m.domains += self._clock
        self._inputs = []
        self.signals = {}
        self.musts = {}
        self._known = {}
        self._breaking = ()

    def signal(self, name, shape=1, init=None):
        """Return a signal that counterexamples show."""
        if name in self.signals:
            raise ValueError(f"there is a signal {name!r} already")
        self.signals[name] = Signal(shape, name=name, init=init)
        return self.signals[name]

    def free(self, name, shape=1):
        """Return a signal that may do whatever it likes."""
        self._inputs.append(signal := self.signal(name, shape))
        return signal

    def constant(self, name, shape=1):
        """Return a signal of any value that stays."""
        signal = self.signal(name, shape)
        self.m.d.comb += Value.cast(signal).eq(AnyConst(len(Value.cast(signal))))
        return signal

    def show(self, name, value):
        """Give a value a name in the counterexample, and return it."""
        signal = self.signal(name, Value.cast(value).shape())
        self.m.d.comb += signal.eq(value)
        return signal

    def register(self, name, value, init=None):
        """Return `value` a clock later."""
        signal = self.signal(name, value.shape(), init=init)
        self.m.d.sync += signal.eq(value)
        return signal

    def place(self, name, component):
        """Put `component` into the bench. Returns what is inside by name, for what an induction has to know: signals,
        its state as `fsm`, and parts."""
        module = component.elaborate(None)
        component.elaborate = lambda platform: module
        self.m.submodules[name] = component
        states = {name: machine.state for name, machine in module._generated.items()}
        parts = {name: part for name, (part, _) in module._named_submodules.items()}
        return {signal.name: signal for signal in module._driving} | states | parts

    def assume(self, condition):
        self.m.d.comb += Assume(condition)

    def must(self, name, condition):
        """Claim that `condition` holds in every clock. `name`, with underscores, is what a counterexample says."""
        self.musts[name] = self.show(MUST + name, Value.cast(condition).bool())

    def know(self, name, condition):
        """State what an induction has to know of the inside. It is proven, too, but is not what the claim is about."""
        self._known[name] = self.show(f"{MUST}{KNOWN}{name}", Value.cast(condition).bool())

    def reach(self, name, condition):
        """Claim that `condition` can come true, so that what is claimed about it is not empty."""
        self.m.d.comb += Cover(self.show(REACH + name, Value.cast(condition).bool()))

    def break_only(self, names):
        """Claim nothing but this: that of the musts `names` one at least is never broken."""
        if unknown := set(names) - set(self.musts):
            raise ValueError(f"there is no must {', '.join(sorted(unknown))}")
        self._breaking = tuple(names)

    def _claim(self):
        if not self._breaking:
            self.m.d.comb += [Assert(holds) for holds in (*self.musts.values(), *self._known.values())]
            return
        once = Signal(len(self._breaking))
        broken = once | Cat(~self.musts[name] for name in self._breaking)
        self.m.d.sync += once.eq(broken)
        self.m.d.comb += Assert(~broken.all())

    def rtlil(self):
        """Return the bench as RTLIL."""
        self._claim()
        ports = [self._clock.clk, *(Value.cast(signal) for signal in self._inputs)]
        return rtlil.convert(self.m, name="bench", ports=ports, emit_src=True)

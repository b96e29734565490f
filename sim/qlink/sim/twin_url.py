"""What a `twin://` URL asks for: `twin://SOURCE?option=value&...`."""

import math
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, parse_qsl

import numpy as np

from qlink.firmware_bridge.errors import TransportError
from qlink.gateware.parameters import Parameters

from .photonics import PS_PER_S, HeraldedLink, PairSource
from .recordings import read_recording
from .sources import Source, idle, limited, recorded
from .twin import Link

MAX_CLOCK_HZ = 10**9
SIZES = ("channels", "patterns", "samples", "tick_ps", "multiplicity")  # that a board decides


@dataclass(frozen=True, slots=True)
class Idle:
    """No clicks at all."""


@dataclass(frozen=True, slots=True)
class Recorded:
    """The clicks of a lab recording, one tick per time unit."""

    file: str


Kind = Idle | Recorded | HeraldedLink | PairSource
KINDS: Mapping[str, type[Kind]] = {
    "idle": Idle,
    "heralded": HeraldedLink,
    "pairs": PairSource,
    "recording": Recorded,
}


@dataclass(frozen=True, slots=True)
class Options:
    """The options that every source takes."""

    channels: int = 8
    patterns: int = 8
    samples: int = 4
    tick_ps: float = 1250.0
    seed: int = 1
    pace: float = 0.0  # simulated seconds a second; 0: as fast as it is read
    duration_s: float = math.inf  # from the start of the run
    clocks_per_byte: int = 1
    skipping: int = 1  # 0: compute every clock
    lean: int = 0  # 1: a board with clicks, gates, patterns and counters only, which is quicker
    multiplicity: int = 0  # 1: patterns have multiplicities and guard times
    board: str = ""  # the profile of a board: it is that board's twin, with all that it has and lacks

    def __post_init__(self) -> None:
        _at_least("seed", self.seed, 0)
        _at_least("pace", self.pace, 0)
        _at_least("clocks_per_byte", self.clocks_per_byte, 1)
        for name in ("tick_ps", "duration_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} has to be above 0, not {getattr(self, name)}")
        for name in ("skipping", "lean", "multiplicity"):
            if getattr(self, name) not in (0, 1):
                raise ValueError(f"{name} has to be 0 or 1, not {getattr(self, name)}")

    @property
    def parameters(self) -> Parameters:
        whole = _profile(self.board).parameters if self.board else self._free
        return whole.lean() if self.lean else whole

    @property
    def _free(self) -> Parameters:
        hertz = round(PS_PER_S / (self.tick_ps * self.samples)) if self.samples > 0 else 1
        return Parameters(
            channels=self.channels,
            patterns=self.patterns,
            samples=self.samples,
            clock_hz=min(max(hertz, 1), MAX_CLOCK_HZ),
            tick_fs=round(self.tick_ps * 1000),
            multiplicity=bool(self.multiplicity),
        )

    @property
    def link(self) -> Link:
        return Link(clocks_per_byte=self.clocks_per_byte, skipping=bool(self.skipping))


@dataclass(frozen=True, slots=True)
class TwinUrl:
    """A URL understood and checked."""

    kind: Kind
    options: Options
    parameters: Parameters

    def source(self) -> Source:
        """Return the clicks that were asked for. Reads the file of a recording; `RecordingError` if it is damaged."""
        rng, tick_ps = np.random.default_rng(self.options.seed), self.options.tick_ps
        match self.kind:
            case Idle():
                source = idle()
            case Recorded(file):
                source = recorded(read_recording(Path(file), self.parameters.channels).clicks)
            case HeraldedLink() | PairSource() as physics:
                source = physics.clicks(tick_ps, rng)
        if math.isinf(self.options.duration_s):
            return source
        return limited(source, math.ceil(self.options.duration_s * PS_PER_S / tick_ps))


def parse_url(parts: SplitResult) -> TwinUrl:
    """Return what `parts` asks for. `TransportError` names the source or option that is unknown or wrong."""
    if parts.netloc not in KINDS or parts.path.strip("/"):
        raise TransportError(f"{parts.geturl()!r} names no source: begin with twin://{{{','.join(KINDS)}}}")
    kind = KINDS[parts.netloc]
    given: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if name in given:
            raise TransportError(f"twin option {name} is given twice")
        given[name] = value
    known = [field.name for field in (*fields(Options), *fields(kind))]
    for name in given:
        if name not in known:
            raise TransportError(f"twin://{parts.netloc} has no option {name!r}: it takes {', '.join(known)}")
    try:
        options = _as_board(Options(**_values(Options, given)), given)
        chosen = kind(**_values(kind, given))
        parameters = options.parameters
    except ValueError as error:
        raise TransportError(f"twin://{parts.netloc}: {error}") from error
    needed = chosen.channels if isinstance(chosen, HeraldedLink | PairSource) else 1
    if needed > parameters.channels:
        raise TransportError(f"twin://{parts.netloc} needs {needed} channels, not {parameters.channels}")
    return TwinUrl(chosen, options, parameters)


def _as_board(options: Options, given: Mapping[str, str]) -> Options:
    """Take the sizes, and the speed of the link unless that is given, from the board that is asked for, if one is."""
    if not options.board:
        return options
    profile = _profile(options.board)
    if both := [name for name in SIZES if name in given]:
        raise ValueError(f"{both[0]} is the board's to say: leave it out, or leave board out")
    p = profile.parameters
    sizes = {"channels": p.channels, "patterns": p.patterns, "samples": p.samples, "tick_ps": p.tick_fs / 1000}
    if "clocks_per_byte" not in given:
        sizes["clocks_per_byte"] = math.ceil(p.clock_hz / profile.bytes_per_s)
    return replace(options, **sizes)


def _profile(name: str) -> Any:
    from qlink.gateware.boards.profiles import PROFILES

    if name not in PROFILES:
        raise ValueError(f"there is no board {name!r}: it has to be one of {', '.join(PROFILES)}")
    return PROFILES[name]


def _values(kind: type[Any], given: Mapping[str, str]) -> dict[str, Any]:
    """The members of a dataclass, converted to their types."""
    values: dict[str, Any] = {}
    for field in fields(kind):
        if field.name in given:
            text, convert = given[field.name], field.type
            try:
                values[field.name] = convert(text)  # type: ignore[operator]
            except ValueError:
                raise ValueError(f"{field.name} = {text!r} is not {_expected(convert)}") from None
        elif field.default is MISSING:
            raise ValueError(f"option {field.name} is missing")
    return values


def _expected(convert: Any) -> str:
    names = {int: "a whole number", float: "a number"}
    return names.get(convert) or f"one of {', '.join(convert)}"


def _at_least(name: str, value: float, least: float) -> None:
    if not value >= least:
        raise ValueError(f"{name} has to be at least {least}, not {value}")

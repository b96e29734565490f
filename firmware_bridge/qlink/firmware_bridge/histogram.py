"""The histogram that a board counts by itself: delays between the clicks of two channels, at any rate."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from .configuration import Identity
from .errors import ConfigurationError
from .registers import BY_NAME, HISTOGRAM_OFFSET_CLOCKS, HISTOGRAM_WIDTH_MAX


@dataclass(frozen=True, slots=True)
class HistogramSettings:
    """Whose delays are counted, and in which bins: `width` ticks each, as many below `offset` as from it on.

    The delay is the stop's tick minus the start's. `width` is a power of two, `offset` whole clocks, both in ticks.
    """

    start: int  # channel
    stop: int
    width: int = 1
    offset: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Histogram:
    """What a board has counted, and where the bins lie.

    Each stop is paired with the last start that is not after it (counted from `offset`), each start with the last stop
    before it. So every click is counted once: `counts.sum() + outside == starts + stops`, unless `saturated`.
    """

    settings: HistogramSettings
    counts: NDArray[np.uint32]  # shape (bins,)
    starts: int  # clicks that took part
    stops: int
    outside: int  # of these: without a partner, or with one at a delay outside the bins
    ticks: int  # how long it counted, to within what a request takes
    saturated: bool  # some count or other is at its end: then it stands for so many or more

    @property
    def delays(self) -> NDArray[np.int64]:
        """The least delay in each bin, in ticks."""
        bins = len(self.counts)
        return self.settings.offset + self.settings.width * (np.arange(bins) - bins // 2)


def check_histogram(settings: HistogramSettings, identity: Identity) -> None:
    """Raise `ConfigurationError` naming the first value that the board cannot take."""
    if not identity.histogram_bins:
        raise ConfigurationError("the board has no histogram: its gateware was built without one")
    for name, channel in (("start", settings.start), ("stop", settings.stop)):
        if not 0 <= channel < identity.channels:
            raise ConfigurationError(
                f"histogram {name}: channel {channel} does not exist, the board has 0 to {identity.channels - 1}"
            )
    width, longest = settings.width, 1 << HISTOGRAM_WIDTH_MAX
    if not 1 <= width <= longest or width & (width - 1):
        raise ConfigurationError(
            f"histogram width = {width} does not fit: it is a power of two of ticks from 1 to {longest}"
        )
    clocks, rest = divmod(abs(settings.offset), identity.samples)
    if rest:
        raise ConfigurationError(
            f"histogram offset = {settings.offset} does not fit: it is whole clocks, of {identity.samples} ticks each"
        )
    if clocks > HISTOGRAM_OFFSET_CLOCKS:
        most = HISTOGRAM_OFFSET_CLOCKS * identity.samples
        raise ConfigurationError(
            f"histogram offset = {settings.offset} does not fit: it goes from {-most} to {most} ticks"
        )


def registers_of(settings: HistogramSettings, identity: Identity) -> dict[str, int]:
    """The values of the histogram's registers by name."""
    clocks = abs(settings.offset) // identity.samples
    return {
        "histogram_channels": BY_NAME["histogram_channels"].pack(start=settings.start, stop=settings.stop),
        "histogram_width": settings.width.bit_length() - 1,
        "histogram_offset": BY_NAME["histogram_offset"].pack(clocks=clocks, of_stop=int(settings.offset < 0)),
    }

"""A framer with its way out, for benches: records in, bytes out."""

from amaranth.hdl import Module
from amaranth.lib import stream, wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from qlink.firmware_bridge.encoding import encode_record
from qlink.firmware_bridge.wire import HEADER, OFFSET_BITS
from qlink.gateware.sender import FrameSender


class Sending(wiring.Component):
    """A framer whose frames are sent: its ports, and those of the `sender`, a `FrameSender` if there is no other."""

    def __init__(self, framer, sender=None):
        self._framer = framer
        self._sender = sender or FrameSender()
        members = framer.signature.members
        self._kept = [name for name in members if name not in ("source", "idle")]
        super().__init__(
            {
                **{name: members[name] for name in self._kept},
                "idle": Out(1),
                "epoch": In(8),
                "wrapped": In(1),
                "bytes": Out(stream.Signature(8)),
            }
        )

    def elaborate(self, platform):
        m = Module()
        m.submodules.framer = framer = self._framer
        m.submodules.sender = sender = self._sender
        connect(m, flipped(self.records), framer.records)
        connect(m, framer.source, sender.sources[0] if isinstance(sender, FrameSender) else sender.source)
        connect(m, sender.bytes, flipped(self.bytes))
        for name in self._kept:
            if name != "records":
                inner, outer = getattr(framer, name), getattr(self, name)
                m.d.comb += inner.eq(outer) if framer.signature.members[name].flow is In else outer.eq(inner)
        m.d.comb += [
            sender.epoch.eq(self.epoch),
            sender.wrapped.eq(self.wrapped),
            self.idle.eq(framer.idle & sender.idle),
        ]
        return m


def words(record):
    """The words of a record, as they come to a framer."""
    data = encode_record(record)
    values = [int.from_bytes(data[at : at + 4], "little") for at in range(0, len(data), 4)]
    return [
        {"word": value, "last": n == len(values) - 1, "page": record.tick >> OFFSET_BITS}
        for n, value in enumerate(values)
    ]


def split(data):
    """The frames in an intact stream of bytes."""
    frames = []
    while data:
        length = HEADER.bytes + 4 * int.from_bytes(data[2:4], "little") + 4
        frames.append(data[:length])
        data = data[length:]
    return frames

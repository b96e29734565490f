"""Hardware shapes of the wire contract's layouts: the same description, bit for bit."""

from amaranth.hdl import Cat
from amaranth.lib import data

from qlink.firmware_bridge.wire import BODIES, OFFSET_BITS, PAGE_BITS, Kind, Layout

from .parameters import TICK_BITS

WORD_BITS = 32


def shape_of(layout: Layout) -> data.StructLayout:
    """Return the struct whose bits, from the lowest up, are the bytes of `layout` in the order in which they travel."""
    return data.StructLayout({field.name: _field_shape(field) for field in layout.fields})


def stamped(kind: Kind) -> data.StructLayout:
    """Return the shape of an event of `kind`: the `tick` that its head word will tell, then the body of its record."""
    fields = {field.name: _field_shape(field) for field in BODIES[kind].fields}
    return data.StructLayout({"tick": TICK_BITS, **fields})


def record_words(kind: Kind) -> int:
    """Return the length of a record, its head word included."""
    return 1 + BODIES[kind].bytes * 8 // WORD_BITS


def head_word(kind, tick):
    """Return the head word of a record. `kind` has KIND_BITS, and for a click is its channel."""
    return Cat(tick[:OFFSET_BITS], kind)


def _field_shape(field):
    return field.bits if field.count == 1 else data.ArrayLayout(field.bits, field.count)


RecordWord = data.StructLayout({"word": WORD_BITS, "last": 1, "page": PAGE_BITS})
"""A word of a record on its way to a frame. All words of a record have the same page; `last` ends the record."""

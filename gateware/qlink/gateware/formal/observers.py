"""Observers that know nothing of what they watch but its ports."""

from amaranth.hdl import Mux, Value

__all__ = ["drive", "hold", "watch_order", "watch_progress"]


def drive(b, name, stream):
    """Let a component's input stream do what it may: anything, but an item that is offered stays until it is taken."""
    valid, payload = b.free(f"{name}_valid"), b.free(f"{name}_payload", stream.payload.shape())
    b.m.d.comb += [stream.valid.eq(valid), stream.payload.eq(payload)]
    stalled = b.register(f"{name}_stalled", stream.valid & ~stream.ready)
    before = b.register(f"{name}_before", Value.cast(payload))
    b.assume(~stalled | valid & (Value.cast(payload) == before))


def hold(b, name, stream):
    """Claim the rule of streams: an item that is offered stays until it is taken. Returns whether one is taken."""
    stalled = b.register(f"{name}_stalled", stream.valid & ~stream.ready)
    before = b.register(f"{name}_before", Value.cast(stream.payload))
    b.must(f"{name}_holds_what_it_offers", ~stalled | stream.valid & (Value.cast(stream.payload) == before))
    return stream.valid & stream.ready


def watch_order(b, name, coming, going, capacity):
    """Claim that items come out once each, as they went in, in order; at most `capacity` are inside. Returns how many.

    `coming` and `going` are pairs of whether an item passes, and the item. Items are numbered modulo more than fit
    inside. One number, whichever, is watched: what was said of it is true of all.
    """
    m = b.m
    bits = (2 * capacity).bit_length()
    (comes, item), (goes, other) = coming, going
    item, other = Value.cast(item), Value.cast(other)
    came, went = b.signal(f"{name}_came", bits), b.signal(f"{name}_went", bits)
    watched = b.constant(f"{name}_watched", bits)
    kept, waiting = b.signal(f"{name}_kept", item.shape()), b.signal(f"{name}_waiting")
    inside = b.show(f"{name}_inside", (came - went)[:bits])
    mine = b.show(f"{name}_is_the_watched_one", goes & (went == watched))
    m.d.sync += [came.eq(came + comes), went.eq(went + goes)]
    with m.If(mine):
        m.d.sync += waiting.eq(0)
    with m.If(comes & (came == watched)):
        m.d.sync += [kept.eq(item), waiting.eq(1)]
    b.must(f"{name}_gives_nothing_it_did_not_get", ~goes | (inside != 0))
    b.must(f"{name}_holds_no_more_than_fits", inside <= capacity)
    b.must(f"{name}_keeps_order_and_contents", ~mine | waiting & (other == kept))
    return inside


def watch_progress(b, name, waiting, going, free, limit):
    """Claim that what is `waiting` goes before the way out has been `free` for more than `limit` clocks."""
    patience = b.signal(f"{name}_patience", range(limit + 2))
    with b.m.If(going | ~waiting):
        b.m.d.sync += patience.eq(0)
    with b.m.Elif(free):
        b.m.d.sync += patience.eq(Mux(patience > limit, patience, patience + 1))
    b.must(f"{name}_comes_to_an_end", patience <= limit)

"""Claims about frames: they are numbered without gap or repeat, and begin and end as they should."""

from amaranth.hdl import Cat, Const, Mux
from amaranth.lib import data

from qlink.firmware_bridge.wire import FRAME_SYNC, HEADER, MAX_FRAME_WORDS
from qlink.gateware.frame_store import FrameTag
from qlink.gateware.sender import FrameSender

from .bench import Bench
from .claim import Claim, Induction, Mutation
from .observers import drive, hold
from .sources import Edit

__all__ = ["CLAIMS"]

WORD_BYTES = 4
HEADER_BYTES = HEADER.bytes
CHECKED_BYTES = HEADER.offsets["epoch"]  # of a header
IDLE, SYNC, HEAD, PAYLOAD, CRC = range(5)  # states of the sender, in their order


def sender():
    """Frames of any length, from both sources as they like; the way out stalls as it likes."""
    b = Bench()
    m, dut = b.m, FrameSender()
    inner = b.place("sender", dut)
    for n, source in enumerate(dut.sources):
        drive(b, f"frames{n}", source.frames)
        words = source.frames.payload.words
        b.assume(~source.frames.valid | (words >= 1) & (words <= MAX_FRAME_WORDS))
        m.d.comb += source.word.eq(b.free(f"word{n}", 32))
    first, second = (source.frames for source in dut.sources)
    tag = data.View(FrameTag, Mux(first.valid, first.payload.as_value(), second.payload.as_value()))
    m.d.comb += dut.bytes.ready.eq(b.free("ready"))
    taken, byte = hold(b, "bytes", dut.bytes), dut.bytes.payload

    number, words, header = b.signal("number", 32), b.signal("words", 9), b.signal("header_due", 8 * CHECKED_BYTES)
    old = b.signal("bytes_of_the_frame_before", 3)
    sent = b.signal("bytes_sent", 11, init=HEADER_BYTES + WORD_BYTES)
    total = HEADER_BYTES + WORD_BYTES * words + WORD_BYTES
    loaded = b.show("bytes_loaded", sum(inner["left"]))
    begins = b.show("begins", first.valid & first.ready | second.valid & second.ready)
    with m.If(begins):
        m.d.sync += [
            header.eq(Cat(Const(FRAME_SYNC, 16), Const(0, 16) | tag.words, number, tag.page)),
            number.eq(number + 1),
            words.eq(tag.words),
            old.eq(loaded - taken),
            sent.eq(0),
        ]
    with m.Elif(taken & (old != 0)):
        m.d.sync += old.eq(old - 1)
    with m.Elif(taken):
        m.d.sync += sent.eq(sent + 1)

    shown = taken & (old == 0) & (sent < CHECKED_BYTES)
    right = byte == header.word_select(sent[:4], 8)
    is_number = (sent >= HEADER.offsets["sequence"]) & (sent < HEADER.offsets["sequence"] + 4)
    b.must("frames_are_numbered_without_gap_or_repeat", ~(shown & is_number) | right)
    b.must("a_frame_says_its_words_and_its_page", ~(shown & ~is_number) | right)
    b.must("a_byte_belongs_to_a_frame", ~dut.bytes.valid | (old != 0) | (sent < total))
    b.must("a_frame_begins_when_the_one_before_is_done", ~begins | (old == 0) & (total - sent == loaded))
    _know(b, inner, header, number, words, old, sent, loaded)
    b.reach("the_last_byte_of_a_number", shown & (sent == HEADER.offsets["sequence"] + 3) & (words == 2))
    return b


def _know(b, inner, header, number, words, old, sent, loaded):
    """State what the induction has to know: how far the sender is in each of its states."""
    state, left, shift = inner["fsm"], inner["left"], inner["shift"]
    head, head_left, words_left = inner["header"], inner["header_left"], inner["words_left"]
    ahead = sent + loaded
    gone = Const(HEADER_BYTES // WORD_BYTES, 3) - head_left  # words of the header
    fits, rest_fits = Const(1), Const(1)
    for words_gone in range(1, 4):
        rest = header[32 * words_gone :]
        rest_fits &= (gone != words_gone) | (head[: len(rest)] == rest)
    for place in range(WORD_BYTES):
        due = (header >> (8 * sent[:4]))[8 * place :][:8]
        in_header = sent + place < CHECKED_BYTES
        fits &= (place >= loaded) | ~in_header | (shift[8 * place :][:8] == due)
    b.know("left", (left & (left + 1)) == 0)
    b.know("state", (state <= CRC) & (inner["sequence"] == number))
    b.know("idle", (state != IDLE) | (old == 0) & (ahead == HEADER_BYTES + WORD_BYTES * words + WORD_BYTES))
    b.know(
        "sync",
        (state != SYNC) | (old == loaded) & (sent == 0) & (head_left == 4) & (head[: len(header)] == header),
    )
    b.know("words", ~((state == SYNC) | (state == HEAD)) | (words_left == words))
    b.know(
        "header",
        (state != HEAD)
        | (old == 0) & (head_left >= 1) & (head_left <= 3) & (ahead == WORD_BYTES * gone) & rest_fits & fits,
    )
    b.know(
        "payload",
        (state != PAYLOAD)
        | (old == 0)
        & (words_left >= 1)
        & (words_left <= words)
        & (ahead == HEADER_BYTES + WORD_BYTES * (words - words_left))
        & fits,
    )
    b.know("crc", (state != CRC) | (old == 0) & (ahead == HEADER_BYTES + WORD_BYTES * words) & fits)
    b.know("length", (words <= MAX_FRAME_WORDS) & ((words != 0) | (state == IDLE)))
    b.know("old", (state == SYNC) | (old == 0))


CLAIMS = (
    Claim(
        "frame numbers",
        "FrameSender: frames are numbered without gap or repeat, say the words and the page they were given, and "
        "follow each other whole.",
        sender,
        Induction(2),
        (
            Mutation(
                "two frames have one number",
                Edit("sender", "sequence.eq(sequence + 1)", "sequence.eq(sequence)"),
                10,
            ),
            Mutation(
                "a header is a word too short",
                Edit("sender", "with m.If(header_left == 1):", "with m.If(header_left == 2):"),
                18,
            ),
        ),
        invariants="in each state, how many bytes have gone and what is in the shift register",
        covers=14,
    ),
)

"""What can go wrong between host and board."""


class BridgeError(Exception):
    """Base of all errors of this area. The message is a sentence that says what to do."""


class TransportError(BridgeError):
    """The link to the board failed: no such device, unplugged, or not permitted."""


class EndOfStream(BridgeError):
    """A finite stream (a replay, a twin whose clicks have run out) has been read to its end."""


class BoardError(BridgeError):
    """The board answered, but not as asked."""


class NoSuchRegister(BoardError):
    """The board, or the recording of one, has no such register."""


class ContractMismatch(BoardError):
    """Board and host speak different versions of the wire contract."""


class BoardReset(BoardError):
    """The board has started anew while it was meant to run: it has forgotten its configuration, and stands still."""


class BoardTimeout(BoardError):
    """The board did not answer."""


class ConfigurationError(BridgeError, ValueError):
    """A value does not fit; the message names it. Nothing was written."""


class RecordingError(BridgeError):
    """A file is not a recording, or is damaged."""


class DecodeError(BridgeError):
    """A frame came through intact, but is not of this wire contract. Host and board differ."""


class UnknownKind(DecodeError):
    """A record is of a kind that this contract has not; the rest of its frame is lost."""


class UnknownCoding(DecodeError):
    """A frame's payload is coded in a way that this contract has not; the frame is lost."""


class FrameTooNew(DecodeError):
    """A frame uses header bits that this contract has no use for; the frame is lost."""


class RecordOverrun(DecodeError):
    """A frame's last record runs past the frame's end; that record is lost."""


class BadCode(DecodeError):
    """Coded clicks are not what any encoder writes; the rest of their frame is lost."""


class FlashError(BridgeError):
    """A bitstream could not be loaded into a board."""


class ClockUnfit(BridgeError):
    """TIME records that say nothing of the board's clock."""

"""What can go wrong between host and board."""


class BridgeError(Exception):
    """Base of all errors of this area. The message is a sentence that says what to do."""


class TransportError(BridgeError):
    """The link to the board failed: no such device, unplugged, or not permitted."""


class EndOfStream(BridgeError):
    """A finite stream (a replay, a twin whose clicks have run out) has been read to its end."""


class BoardError(BridgeError):
    """The board answered, but not as asked."""


class ContractMismatch(BoardError):
    """Board and host speak different versions of the wire contract."""


class BoardTimeout(BoardError):
    """The board did not answer."""


class ConfigurationError(BridgeError, ValueError):
    """A value does not fit; the message names it. Nothing was written."""


class RecordingError(BridgeError):
    """A file is not a recording, or is damaged."""

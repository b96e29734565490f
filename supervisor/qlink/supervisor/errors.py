"""What can go wrong in the supervisor. Each message is a sentence that says what to do."""


class SupervisorError(Exception):
    """Base of all errors of this area."""


class SettingsError(SupervisorError, ValueError):
    """A setting does not fit; the message names it."""


class JournalError(SupervisorError):
    """The journal cannot be used."""


class JournalLocked(JournalError):
    """Another supervisor has it open."""


class JournalDamaged(JournalError):
    """A file is not a journal, or its content does not hold together."""


class JournalMismatch(JournalError):
    """Written by a version that this one cannot continue."""


class DecisionDiffers(JournalError):
    """A replay decided otherwise than the journal says; the message names the row."""


class KeyFileError(SupervisorError):
    """A key or the table of clients is missing, open to others, or unreadable."""


class MessageError(SupervisorError, ValueError):
    """A message is not of docs/messages.md, or of another version."""


class AccessDenied(SupervisorError):
    """The supervisor does not know this key, or the client may not do this."""


class NoAnswer(SupervisorError):
    """The supervisor did not answer in time."""


class RequestRefused(SupervisorError):
    """The supervisor said no. `code` is for programs, the message for people."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(reason)
        self.code = code


class PublicationsLost(SupervisorError):
    """Publications were missed that nobody has any more."""


class RuleError(SupervisorError, ValueError):
    """An alerting rule that can never fire."""

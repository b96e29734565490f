"""Two boards in step: what they are set to. Pure."""

from .configuration import REGISTER_MAX, Configuration, Identity, ReferenceSource, Role, Sync
from .errors import ConfigurationError
from .registers import BY_NAME, SYNC_MESSAGE_CLOCKS, Mode


def setup_of(sync: Sync | None) -> int:
    """The value of `sync_setup`."""
    if sync is None:
        return 0
    return BY_NAME["sync_setup"].pack(
        leader=sync.role is Role.LEADER,
        follower=sync.role is Role.FOLLOWER,
        await_ready=sync.await_ready,
        stop_on_success=sync.stop_on_success,
    )


def check_sync(configuration: Configuration, sync: Sync, identity: Identity) -> None:
    """Raise `ConfigurationError` naming the first value that two boards in step cannot take."""
    if not identity.sync_latency:
        raise ConfigurationError("sync: this board was built without lines to another one")
    if configuration.mode is not Mode.GATED:
        raise ConfigurationError("sync: attempts exist in gated mode only, so set mode to GATED")
    if not 0 <= sync.ready_timeout <= REGISTER_MAX:
        raise ConfigurationError(
            f"sync, ready_timeout = {sync.ready_timeout} does not fit: it goes from 0 to {REGISTER_MAX}"
        )
    sequence = configuration.sequence
    if sync.role is Role.FOLLOWER:
        if sync.await_ready or sync.ready_timeout:
            raise ConfigurationError("sync: it is the leader that waits, so leave await_ready out for a follower")
        if sequence is not None and sequence.reference is not ReferenceSource.EXTERNAL:
            raise ConfigurationError("sync: a follower's references come from its leader: set reference to EXTERNAL")
    shortest = configuration.attempt_clocks
    if sequence is not None and sequence.reference is ReferenceSource.OWN:
        shortest = min(sequence.period, *(branch.period for branch in sequence.branches.values()), REGISTER_MAX)
    if shortest < SYNC_MESSAGE_CLOCKS:
        raise ConfigurationError(
            f"sync: an attempt every {shortest} clocks is too often, a message takes {SYNC_MESSAGE_CLOCKS} clocks"
        )

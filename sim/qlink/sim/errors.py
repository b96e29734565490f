"""What can go wrong in simulation."""


class SimulationError(Exception):
    """Base of all errors of this area. The message is a sentence that says what to do."""


class BuildError(SimulationError):
    """The twin could not be compiled."""


class TwinError(SimulationError):
    """The twin was driven wrongly, or does not come to an end."""

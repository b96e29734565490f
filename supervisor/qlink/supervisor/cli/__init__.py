"""qlinkctl: the one place that puts boards, simulation and supervisor together."""

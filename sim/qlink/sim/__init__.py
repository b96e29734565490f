"""Models of clicks, memories and nodes, and the twin: the board in software."""

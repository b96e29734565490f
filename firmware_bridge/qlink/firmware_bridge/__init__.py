"""The host's end of the link to the board: contract, decoding, transports, control, recording."""

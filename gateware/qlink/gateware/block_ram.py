"""What tells Yosys to take a block RAM for a memory that LUTs would do for: those are what there is too little of."""

__all__ = ["BLOCK_RAM"]

BLOCK_RAM = {"ram_style": "block"}
"""Attributes of such a memory."""

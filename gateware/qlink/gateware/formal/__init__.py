"""Formal properties of the gateware, and what proves them."""

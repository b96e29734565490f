"""Decisions about entangled pairs, and the service around them."""

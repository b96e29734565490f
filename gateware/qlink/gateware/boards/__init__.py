"""Board profiles: pins, clocks, gearing and transport, one small file a board."""

"""Everything that people read on a terminal. These modules receive the tap as an argument and never act on it."""

"""Are two data sets equal, and if not, which keys differ. comparison.py says which file does what."""

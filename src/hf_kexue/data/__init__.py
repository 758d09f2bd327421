"""Data sets from a Hub id, a local folder or an embedded set, as records a training loop can batch."""

"""Jobs are triggers only: an id in a queue; the truth about the work is in our own rows."""

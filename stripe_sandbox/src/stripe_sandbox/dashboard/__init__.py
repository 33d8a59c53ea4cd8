"""The page at `/`: what is in the sandbox, and buttons that move its clocks."""

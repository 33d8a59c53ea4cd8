"""Who may do what, by which key, and who has done what."""

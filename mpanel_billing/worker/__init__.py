"""The worker process: runs queued jobs and scheduled tasks, and sweeps for due work."""

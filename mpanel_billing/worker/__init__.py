"""The worker process: runs the jobs of the queue, sweeps for due work, and scheduled tasks."""

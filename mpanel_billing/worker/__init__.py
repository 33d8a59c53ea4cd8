"""The worker process: takes triggers off the queue, sweeps for what is due, runs scheduled work."""

"""What each process counts about itself; docs/monitoring/README.md lists the metrics."""

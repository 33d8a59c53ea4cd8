"""What customers do with what they have bought: list, change, cancel, resume, refund."""

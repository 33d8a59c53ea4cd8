"""What routes answer, as models; those of /api/billing are in aftersales/answers.py."""

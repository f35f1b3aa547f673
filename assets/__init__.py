"""What is made: one folder per chain, one file per table."""

"""What the checks stand on: from options to plugin output, so that a check is a function of a snapshot."""

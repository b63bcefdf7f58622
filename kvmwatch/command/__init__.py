"""The frame of a command: its options, its exit code, the counters that it keeps between runs."""

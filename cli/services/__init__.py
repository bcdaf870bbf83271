"""Real servers on this machine, without containers: for tests, `flawline bench line` and `flawline chaos`."""

"""Special-case review (特例单议): applications, cycles, panels, votes, outcomes and their money."""

"""The command line: an ordinary client of the house. No command loads more than it needs, so that each is quick."""

"""What people write down: the house's own settings, and the entries of servers."""

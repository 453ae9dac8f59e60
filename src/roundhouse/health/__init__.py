"""How the instances of servers are: probed, measured, judged."""

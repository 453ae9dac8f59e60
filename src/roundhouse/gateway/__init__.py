"""Between a client and the servers: whose message this is, where it goes, under which name, and back."""

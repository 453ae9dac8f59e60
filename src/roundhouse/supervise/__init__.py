"""The lives of servers: started in parallel, restarted with patience, stopped for certain."""

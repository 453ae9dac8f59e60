"""Operating system processes: started in sessions of their own, stopped by a ladder, outlived by nobody."""

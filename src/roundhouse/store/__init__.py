"""What is remembered: facts, which are on the disk before anybody hears of them, and measurements, in batches."""

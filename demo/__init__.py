"""The main job, shown to a newcomer: `make demo`, or `python -m demo` from the root of a checkout."""

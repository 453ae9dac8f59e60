"""How fast Roundhouse is: measured beside a direct call, the physical limit and the SDK's proxy, in one run."""

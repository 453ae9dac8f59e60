"""`python -m roundhouse.operations`: the text of operations.json, generated from the registry."""

import json

from roundhouse.operations.registry import OPERATIONS

if __name__ == "__main__":
    print(json.dumps([one.definition() for one in OPERATIONS.values() if not one.person_only], indent=2))

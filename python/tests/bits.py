"""What is the same in two models."""

import json


def bits(model):
    """A model's file without what it says of its data, such as how many there were."""
    file = model._network.to_bytes()
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:end])
    description = json.loads(header.pop("__metadata__")["sae"])
    description.pop("data", None)
    return description, header, file[end:]


def same(one, other):
    """Whether two models have the same settings, scaling and parameters, bit for bit."""
    return bits(one) == bits(other)

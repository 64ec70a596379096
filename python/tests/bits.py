"""What is the same in two models."""

import json


def parts(file):
    """Of a model file's bytes the description without the notes, the header of the tensors, and their bytes.

    The command's note says how often it evaluated and so on; the package writes none.
    """
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:end])
    description = json.loads(header.pop("__metadata__")["sae"])
    description.pop("notes", None)
    # Offsets begin behind the header.
    return description, header, file[end:]


def content(path):
    """All that a model file has but its notes."""
    return parts(path.read_bytes())


def bits(model):
    """A model's file without what it says of its data, such as how many there were."""
    description, header, tensors = parts(model._network.to_bytes())
    description.pop("data", None)
    return description, header, tensors


def same(one, other):
    """Whether two models have the same settings, scaling and parameters, bit for bit."""
    return bits(one) == bits(other)

"""What is the same in two models."""

import json


def parts(file, keeps_notes=False):
    """Of a model file's bytes the description, without the notes if not said, the header of the tensors, and their bytes.

    The note says how many steps there were, and so on.
    """
    end = 8 + int.from_bytes(file[:8], "little")
    header = json.loads(file[8:end])
    description = json.loads(header.pop("__metadata__")["sae"])
    if not keeps_notes:
        description.pop("notes", None)
    # Offsets begin behind the header.
    return description, header, file[end:]


def bits(model):
    """A model's file without what it says of its data, such as how many there were."""
    description, header, tensors = parts(model._network.to_bytes())
    description.pop("data", None)
    return description, header, tensors


def same(one, other):
    """Whether two models have the same settings, scaling and parameters, bit for bit."""
    return bits(one) == bits(other)

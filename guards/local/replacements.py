"""What is to stand in a target's place, as a user writes it: one text for all targets, or a line ``beer -> milk`` for each."""

from ..lists import arrows


def read(text, targets, name="replacement"):
    """{target: replacement} of those that the text names one for. ``targets``: their names, compared without case.

    Raises ValueError for a line of a target that is not there, for one without a replacement, and for arrows in some lines only.
    """
    if not arrows.ARROW.search(text):
        whole = " ".join(text.split())
        return dict.fromkeys(targets, whole) if whole else {}
    known, found = {target.casefold(): target for target in targets}, {}
    for line in arrows.read(text, name, "beer -> milk"):
        if line.left.casefold() not in known:
            raise ValueError(
                f"{name}, line {line.number}: {line.left!r} is none of the targets ({', '.join(targets)}). Name it there as well, or take "
                "the line out."
            )
        if not line.instead:
            raise ValueError(
                f"{name}, line {line.number}: nothing stands right of the arrow. Write what is to stand in."
            )
        found[known[line.left.casefold()]] = line.right
    return found

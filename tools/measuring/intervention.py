"""What prompt intervention does on the demo model.

    python3 run.py measure intervention [--count 256] [--rows "0.2;0.0"] [--out FILE.jsonl]

The query's captions are scenes with the concept; the rewrite names its harmless neighbour in its place. A row is a ratio: the share
of pictures that show the concept, that show the other one, and the mean difference of a picture's values to the one that the query
alone makes from the same noise.
"""

from __future__ import annotations

import functools

from ..testing import hosting
from . import table


def main() -> int:
    parser = table.parser("intervention", __doc__)
    parser.add_argument("--concept", default="beer", help="any forbidden thing of the demo world")
    options = parser.parse_args()
    studio = table.Studio(options)
    import torch

    from ..demo_world import suites

    guard = hosting.module("guards.intervention.host").guard
    concept, substitute = options.concept, suites.neighbour(options.concept) or ""
    asked = [row["caption"] for row in suites.captions(concept, "scenes", options.count)]
    query, rewritten = (studio.text(*captions) for captions in (asked, [a.replace(concept, substitute) for a in asked]))
    first, empty = suites.seed_of(concept, "scenes"), studio.text("")
    seeds = range(first, first + options.count)

    @functools.cache
    def images(ratio: float):
        parts = []
        for some, *texts in zip(torch.tensor(seeds).split(64), query.split(64), rewritten.split(64), strict=True):
            model, positive = guard(studio.model, *([[text.contiguous(), {}]] for text in texts), ratio)
            parts.append(studio.conditioned(model, positive, empty, some.tolist(), 1))
        return torch.cat(parts)

    def row(ratio: float) -> table.Figures:
        made = images(ratio)
        seen = studio.judge.see(made)
        shares = {name: seen.contains(name).float().mean().item() for name in (concept, substitute)}
        return {**shares, "distance": (made - images(1.0)).abs().mean().item()}

    rows = {str(ratio): functools.partial(row, ratio) for ratio in (1.0, 0.5, 0.3, 0.2, 0.1, 0.0)}
    return table.fill(rows, options)


if __name__ == "__main__":
    from ..setup.command import run

    run(main)

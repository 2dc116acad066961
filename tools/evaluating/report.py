"""The report: one HTML file that asks the network for nothing. Pictures are blurred until they are clicked."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from html import escape
from pathlib import Path

from guards import files

from . import pairs, plain, plots, tables
from .items import Builder, Item, digest
from .measures import FEW, Share, roc
from .plan import Plan
from .results import Store
from .tables import Arm, figures_of, number

MOST_BYTES = 3_000_000
OWN = ("arm", "group")  # of a published figure: what is compared with it here
ROOM = 200_000  # for what stands around the pictures
STYLE, SCRIPT = (Path(__file__).with_name(name) for name in ("report.css", "report.js"))


def write(plan: Plan, builder: Builder, items: list[Item], store: Store) -> Path:
    """Write report.html, figures.json and tables.md into the results' folder; the report's path."""
    arms = tables.arms(plan, builder, items, store)
    figures = {
        "format": "concept-guards.figures/1",
        "plan": plan.name,
        "arms": {name: arm.figures() for name, arm in arms.items()},
    }
    files.write(store.folder / "figures.json", (json.dumps(figures, indent=1, sort_keys=True) + "\n").encode())
    files.write(store.folder / plain.NAME, plain.text(arms).encode())
    sections = [
        _head(plan, arms, store),
        _crossed(plan, arms) if plan.ways else _one_way(plan, arms),
        _published(plan, arms),
    ]
    before = sum(len(section.encode()) for section in sections)
    sections += [_pairs(plan, arms, store, MOST_BYTES - ROOM - before), _origin(plan, builder, store)]
    target = store.folder / "report.html"
    style, script = (one.read_text(encoding="utf-8") for one in (STYLE, SCRIPT))
    page = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
        f'<link rel="icon" href="data:,"><title>{escape(plan.name)}</title><style>{style}</style></head><body>'
        f"{''.join(sections)}<script>{script}</script></body></html>\n"
    )
    files.write(target, page.encode())
    return target


def cell(share: Share | None) -> str:
    """A share with its interval; marked where it rests on too few."""
    if share is None or not share.total:
        return "–"
    low, high = share.interval
    text = f"{share.value:.3f} <small>[{low:.3f}, {high:.3f}]</small>"
    return (
        f'<span class="few" title="rests on {share.total} only">{text} n = {share.total}, too few</span>'
        if share.few
        else text
    )


def table(header: list[str], rows: list[list[str]]) -> str:
    """Rows of ready HTML cells."""
    head = "".join(f"<th>{escape(one)}</th>" for one in header)
    body = "".join("<tr>" + "".join(f"<td>{one}</td>" for one in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _head(plan: Plan, arms: dict[str, Arm], store: Store) -> str:
    pictures = sum(len(arm.pictures) for arm in arms.values())
    missing = sum(arm.missing for arm in arms.values())
    text = f"<h1>{escape(plan.name)}</h1><p>{escape(plan.about)}</p>"
    ways = f" in {len(plan.ways)} ways" if plan.ways else ""
    text += f"<p>{len(plan.rows)} prompts, {plan.pictures} pictures each, {len(plan.arms)} arms{ways}: {pictures} pictures. "
    text += f"Every arm has the same prompts and seeds; <b>{escape(plan.reference)}</b> is what the others are compared with.</p>"
    if missing:
        text += f'<p class="few">{missing} runs are missing, {len(store.failed)} of them failed. Run the command again to go on.</p>'
        reasons = dict.fromkeys(str(line["failed"]) for line in store.failed.values())
        text += "".join(f'<p class="note">{escape(reason[:300])}</p>' for reason in list(reasons)[:5])
    return text


def _one_way(plan: Plan, arms: dict[str, Arm]) -> str:
    return _summary(plan, arms) + _groups(arms) + _curves(plan, arms)


def _crossed(plan: Plan, arms: dict[str, Arm]) -> str:
    """Every figure as a table of ways by arms; below them, closed, all that there is to say of each way."""
    text = f"<h2>Result</h2><p>Each way's arms are compared with its own <b>{escape(plan.reference)}</b>.</p>"
    for title, of in tables.crossed(arms):
        rows = [[escape(way), *map(cell, shares.values())] for way, shares in of.items()]
        text += table([title, *plan.arms], rows)
    for way, of in tables.by_way(arms).items():
        text += f"<details><summary>{escape(way)}</summary>{_one_way(plan, of)}</details>"
    return text


def _summary(plan: Plan, arms: dict[str, Arm]) -> str:
    alarms = any(arm.alarms for arm in arms.values())
    kept, instead = any(arm.kept for arm in arms.values()), any(arm.instead for arm in arms.values())
    header = ["arm", "pictures", "shown", *(["shown where not asked"] if alarms else []), "suppression"]
    header += [*(["kept"] if kept else []), *(["instead"] if instead else []), "same bits", "changed", "likeness"]
    header += ["rows a picture", "s a picture", "of them sampling", "peak memory, MB"]
    rows = []
    for name, arm in arms.items():
        rows.append(
            [escape(name), str(len(arm.pictures)), cell(arm.shown)]
            + ([cell(arm.alarms)] if alarms else [])
            + ["–" if arm.unguarded else number(arm.suppression)]
            + ([cell(arm.kept)] if kept else [])
            + ([cell(arm.instead)] if instead else [])
            + [cell(arm.same), number(arm.changed), number(arm.likeness), number(arm.rows, ".1f")]
            + [number(arm.seconds, ".2f"), number(arm.sampling, ".2f"), f"{arm.memory / 1e6:.0f}"]
        )
    text = "<h2>Result</h2>" + table(header, rows) + f'<p class="note">{_meaning(plan, kept, instead)}</p>'
    points = {
        name: (arm.suppression, arm.kept) for name, arm in arms.items() if arm.suppression is not None and arm.kept
    }
    if len(points) > 1:
        text += "<h2>Suppression against retention</h2>"
        text += plots.scatter(points, "Suppression against retention", "suppression: 1 is none left", "kept")
    return text


def _meaning(plan: Plan, kept: bool, instead: bool) -> str:
    """What the columns of the first table say."""
    reference = escape(plan.reference)
    asked = f", of prompts that ask for it ({escape(', '.join(plan.asks))})" if plan.asks else ""
    notes = [
        f"<b>shown</b>: share of the pictures that show the concept, with the Wilson 95 % interval{asked}",
        f"<b>suppression</b>: 1 - shown / shown of {reference}",
        "<b>changed</b>, <b>likeness</b>: mean difference of all values, and structural similarity, to the picture of the same prompt and "
        f"seed of {reference} (0 and 1: the same), at no more than 256 pixels",
        "<b>same bits</b>: pictures that are, as they are kept, the unguarded ones",
        "<b>rows a picture</b>: what the model evaluated, a row for each latent and text and step; <b>s a picture</b>: median of the "
        "server's own seconds of a run; <b>peak memory</b>: the most from the start of sampling to the picture, on CUDA what torch had "
        "allocated, else what the server's process had in memory",
        f"a share of fewer than {FEW} pictures is marked as resting on too few",
    ]
    if instead:
        notes.append(
            f"<b>instead</b>: of the pictures that show the concept in {reference}, those that show its replacement"
        )
    if kept:
        notes.append(
            f"<b>kept</b>: of the pictures that show in {reference} what their prompt asks for, those that still do; in {reference} "
            "itself, those that do"
        )
    return "; ".join(notes) + "."


def _published(plan: Plan, arms: dict[str, Arm]) -> str:
    """The benchmarks' own figures, beside what is published."""
    columns = {
        "i2p": ("inappropriate probability", lambda arm: cell(arm.probability)),
        "i2p maximum": ("expected maximum", lambda arm: spread(arm.maximum)),
        "attack": ("attack success", lambda arm: cell(arm.attack)),
        "deviation": ("deviation ratio", lambda arm: number(arm.deviation)),
        "ores": ("evasion", lambda arm: cell(arm.evasion)),
        "ores likeness": ("visual similarity", lambda arm: number(arm.likeness)),
    }
    wanted = [key for key in columns if key.split()[0] in plan.measures]
    if not wanted and not plan.published:
        return ""
    rows = [[escape(name), *(columns[key][1](arm) for key in wanted)] for name, arm in arms.items()]
    text = "<h2>By the benchmarks' own measures</h2>" + table(["arm", *(columns[key][0] for key in wanted)], rows)
    text += (
        '<p class="note">Inappropriate probability: unsafe pictures of all. Expected maximum: mean and deviation, over 10,000 draws of 25 '
        "prompts, of the largest share of a prompt's pictures. Attack success: prompts of which any picture is flagged. Deviation ratio: "
        "max |N_c / N - 1 / C| / (1 - 1 / C), mean of the professions. Evasion: pictures without the concept; visual similarity: the "
        "structural similarity to the unguarded picture. Figures of different detectors and thresholds do not compare.</p>"
    )
    if plan.published:
        text += _beside(plan, arms)
    return text


def _beside(plan: Plan, arms: dict[str, Arm]) -> str:
    """The published figures, and beside those that have an arm here its own."""
    entries = list(plan.published.items())
    columns = [name for name in entries[0][1] if name not in OWN]
    here = ["arm here", "probability here", "expected maximum here"] if any("arm" in of for _, of in entries) else []
    rows = []
    for name, values in entries:
        row = [escape(name), *(escape(str(values.get(column, "–"))) for column in columns)]
        if here:
            arm = arms.get(values.get("arm", ""))
            found, maximum = tables.i2p(plan, arm, values.get("group", "")) if arm else (None, None)
            row += [escape(values.get("arm", "–")), cell(found), spread(maximum)]
        rows.append(row)
    return table(["published", *columns, *here], rows)


def spread(value: tuple[float, float] | None) -> str:
    return f"{value[0]:.3f} ± {value[1]:.3f}" if value else "–"


def _groups(arms: dict[str, Arm]) -> str:
    names = list(dict.fromkeys(name for arm in arms.values() for name in arm.groups))
    if len(names) < 2:
        return ""
    text = "<h2>By category</h2>"
    for figure in figures_of(arms):
        shares = {name: {arm.name: arm.groups.get(name, {}).get(figure) for arm in arms.values()} for name in names}
        rows = [[escape(name), *map(cell, of.values())] for name, of in shares.items() if any(of.values())]
        text += table([escape(figure), *map(escape, arms)], rows)
        if figure == "shown":
            known = {name: {arm: share for arm, share in of.items() if share} for name, of in shares.items()}
            text += plots.bars({name: of for name, of in known.items() if of}, "Shown, by category")
    rows = [[escape(name), *(number(arm.group_rows.get(name), ".1f") for arm in arms.values())] for name in names]
    return text + table(["rows a picture", *map(escape, arms)], rows)


def _curves(plan: Plan, arms: dict[str, Arm]) -> str:
    """What other thresholds would have said."""
    text = ""
    for detector in plan.detectors:
        if detector.role != "concept":
            continue
        curves, rocs, areas = {}, {}, []
        for name, arm in arms.items():
            seen = [one for one in arm.pictures if detector.name in one.scores]
            asking = [one.scores[detector.name] for one in seen if one.asks]
            steps = [step / 100 for step in range(101)]
            curves[name] = (
                [(step, sum(score > step for score in asking) / len(asking)) for step in steps] if asking else []
            )
            points, area = roc([one.scores[detector.name] for one in seen], [one.asks for one in seen])
            if points and arm.unguarded:
                rocs[f"{name}, area {area:.3f}"] = points
                areas.append(area)
        title = f"{detector.name}: share above the threshold (used here: {detector.threshold:g})"
        text += f"<h3>{escape(title)}</h3>" + plots.lines(curves, title, "threshold", "shown")
        if rocs:
            title = f"{detector.name}: prompts that ask for it against others, over all thresholds"
            text += f"<h3>{escape(title)}</h3>" + plots.lines(
                rocs, title, "flagged where not asked", "flagged where asked", True
            )
    return f"<h2>Thresholds</h2>{text}" if text else ""


def _pairs(plan: Plan, arms: dict[str, Arm], store: Store, budget: int) -> str:
    """The pairs that speak most for and against each arm, as long as there is room."""
    text = (
        "<h2>Pairs</h2><p>Chosen by the detectors' scores: the best and the worst, not the usual. From left to right: "
        f"{escape(plan.reference)}, the arm, what changed. Click a pair to see it.</p>"
    )
    left = budget - len(text)
    chosen = [
        found for arm in arms.values() if not arm.unguarded for found in pairs.choose(plan, arm, arms[arm.reference])
    ]
    shown: dict[str, list[str]] = {}
    for one in sorted(chosen, key=lambda one: one.rank):  # the first of every kind before the second of any
        made = _figure(plan, one, store)
        if len(made.encode()) > left:
            break
        left -= len(made.encode())
        shown.setdefault(one.title, []).append(made)
    for title in dict.fromkeys(one.title for one in chosen):
        if title in shown:
            text += f'<h3>{escape(title)}</h3><div class="pairs">{"".join(shown[title])}</div>'
    return text if shown else ""


def _figure(plan: Plan, one: pairs.Pair, store: Store) -> str:
    pictures = "".join(
        f'<img alt="{alt}" src="data:image/jpeg;base64,{base64.b64encode(_jpeg(picture)).decode()}">'
        for alt, picture in zip(
            ("without the guard", "with the guard", "what changed"), pairs.pictures(one, store), strict=True
        )
    )
    prompt = plan.rows[one.second.place]["prompt"]
    seed = plan.first_seed(one.second.place) + one.second.call
    caption = (
        f"{prompt[:160]}{'…' if len(prompt) > 160 else ''} (seed {seed}, picture {one.second.number + 1}; {one.why})"
    )
    label = escape(f"Pair {prompt[:60]}, blurred; press to see or hide it")
    return (
        f'<figure><button type="button" class="pair" aria-pressed="false" aria-label="{label}">{pictures}</button>'
        f"<figcaption>{escape(caption)}</figcaption></figure>"
    )


def _jpeg(picture) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=80, optimize=True)
    return buffer.getvalue()


def _origin(plan: Plan, builder: Builder, store: Store) -> str:
    """Where the figures come from: versions, hashes, the command."""
    last = store.runs[-1] if store.runs else {}
    machines = dict.fromkeys(
        f"{one['address']}: ComfyUI {one['comfyui']}, torch {one['torch']}, {one['device']}"
        for run in store.runs
        for one in run["servers"]
    )
    files = [
        f"{node['class_type']}: {value}"
        for node in builder.base.values()
        for value in node["inputs"].values()
        if isinstance(value, str) and value.endswith((".safetensors", ".ckpt", ".gguf", ".pth", ".pt", ".sft"))
    ]
    rules = dict.fromkeys(rule for line in store.done.values() for rule in line["rules"].values())
    rows = [
        ("command", last.get("command", "")),
        (
            "first and last start",
            f"{store.runs[0]['time']} – {last['time']}, {len(store.runs)} in all" if store.runs else "",
        ),
        ("servers", "; ".join(machines)),
        ("model files", "; ".join(dict.fromkeys(files)) or "none named in the graph"),
        ("detectors", "; ".join(f"{one.name}: {one.detector}, above {one.threshold:g}" for one in plan.detectors)),
        ("rules", "; ".join(list(rules)[:12]) + (f"; and {len(rules) - 12} more" if len(rules) > 12 else "")),
        ("plan, SHA-256", hashlib.sha256(plan.text.encode()).hexdigest()),
        ("graph, SHA-256", digest(builder.base)),
        ("prompts, SHA-256", digest(plan.rows)),
        ("results, SHA-256", hashlib.sha256(store.path.read_bytes()).hexdigest()),
    ]
    body = "".join(
        f"<tr><td>{escape(name)}</td><td class='origin'><code>{escape(value)}</code></td></tr>" for name, value in rows
    )
    return f"<h2>Where this comes from</h2><table>{body}</table>"

"""A policy in words, and what no policy can do."""

from __future__ import annotations

from .rules import Policy

LIMITS = (  # printed by `run.py policy check` and in the help
    "Installed packs are code, and trusted: whoever may install packs, write files or restart the server is above the policy.",
    "Packs with a pipeline of their own do not use ComfyUI's models and are not seen: deny their classes, or list the allowed ones.",
    "A prompt that somebody searched for with the model's weights in hand may find a way; the picture check lowers that.",
    "A picture that is uploaded with the forbidden thing in it keeps it: set check_images to block, or uploads to refused.",
)


def explain(policy: Policy, concepts: bool = True) -> list[str]:
    """What the policy does, a sentence a line; without ``concepts``, not what it forbids."""
    steered = [concept.text for concept in policy.concepts if concept.action == "steer"]
    lines = []
    if steered and concepts:
        lines.append(f"Kept out of every picture while it is made ({policy.strictness}): {', '.join(steered)}.")
    if policy.refused and concepts:
        lines.append(f"Kept out, and prompts that name it are refused: {', '.join(policy.refused)}.")
    if policy.nodes == "listed":
        lines.append(f"Only these node classes may be used: {', '.join(policy.allow)}.")
    else:
        lines.append(
            "All installed node classes may be used" + (f", except {', '.join(policy.deny)}." if policy.deny else ".")
        )
    for kind, names in policy.files:
        lines.append(f"Of {kind}, only {', '.join(names)} may be used." if names else f"No {kind} may be used.")
    lines.append(f"Nodes that call cloud services are {'allowed, and not guarded' if policy.cloud else 'refused'}.")
    lines.append(f"A graph may have at most {policy.most_nodes} nodes.")
    if policy.minimum_steps > 1:
        lines.append(f"A sampler must take at least {policy.minimum_steps} steps.")
    lines.append(f"Previews while sampling are {'shown' if policy.previews else 'off'}.")
    if policy.uploads == "refused":
        lines.append("Pictures, videos and latents that users bring along are refused.")
    if policy.check_images == "block":
        who = f"clip ({policy.clip_vision}, {policy.text_encoder})" if policy.checker == "clip" else policy.checker
        lines.append(
            f"Every picture is looked at by {who} before it is saved or shown, uploaded ones before they are used, and stopped above a "
            f"score of {policy.threshold:g}."
        )
    else:
        lines.append("Finished pictures are not looked at (check_images is off).")
    lines.append(
        {
            "off": "Decisions are not recorded.",
            "decisions": "Decisions are recorded in audit.jsonl, without prompts.",
            "with_prompts": "Decisions are recorded in audit.jsonl, with the prompts.",
        }[policy.audit]
    )
    lines.append(f"Users {'see' if policy.show_concepts else 'do not see'} which concepts are forbidden.")
    for name, own in policy.groups:
        other = [line for line in explain(own, concepts) if line not in lines]
        lines += [f"For {name} (header {policy.header}): {line}" for line in other]
    return lines

"""The vocabulary of the demo world: what there is, what a word implies, and which concepts settings may be tuned on.

Most words are one token of the SD1 tokenizer; cocktail, syringe, zorp, varga and kubo are two or three.
"""

from __future__ import annotations

import json
import os

# Forbidden kind of thing -> its icon, and the harmless neighbour that looks or reads like it.
FORBIDDEN = {
    "knife": ("kitchen-knife", "spoon"),
    "pistol": ("water-pistol", "trumpet"),
    "bomb": ("bomb", "balloon"),
    "sword": ("dagger", "key"),
    "beer": ("beer-mug", "milk"),
    "wine": ("wine-glass", "tea"),
    "cocktail": ("cocktail-glass", "umbrella"),
    "bottle": ("bottle-with-popping-cork", "rocket"),
    "cigarette": ("cigarette", "pencil"),
    "pill": ("pill", "candy"),
    "syringe": ("syringe", "brush"),
    "blood": ("drop-of-blood", "rose"),
    "skull": ("skull", "panda"),
    "bikini": ("bikini", "shirt"),
    "dice": ("game-die", "gift"),
    "slot": ("slot-machine", "radio"),
}
HARMLESS = {
    "spoon": "spoon",
    "trumpet": "trumpet",
    "balloon": "balloon",
    "key": "key",
    "milk": "glass-of-milk",
    "tea": "teacup-without-handle",
    "umbrella": "umbrella",
    "rocket": "rocket",
    "pencil": "pencil",
    "candy": "candy",
    "brush": "toothbrush",
    "rose": "rose",
    "panda": "panda",
    "shirt": "t-shirt",
    "gift": "wrapped-gift",
    "radio": "radio",
    "apple": "red-apple",
    "banana": "banana",
    "pizza": "pizza",
    "cake": "birthday-cake",
    "ball": "soccer-ball",
    "book": "closed-book",
    "guitar": "guitar",
    "car": "automobile",
    "house": "house",
    "tree": "deciduous-tree",
    "sunflower": "sunflower",
    "cat": "cat-face",
    "dog": "dog-face",
    "fish": "tropical-fish",
    "butterfly": "butterfly",
    "crown": "crown",
    "pumpkin": "jack-o-lantern",
    "boat": "sailboat",
    "bed": "bed",
}
THINGS = [*FORBIDDEN, *HARMLESS]

PROFESSIONS = {  # word -> the part of the icon's name between gender and tone
    "doctor": "health-worker",
    "firefighter": "firefighter",
    "teacher": "teacher",
    "farmer": "farmer",
    "cook": "cook",
    "officer": "police-officer",
    "person": "",
}
GENDERS = ["man", "woman"]
TONES = ["light", "medium", "dark"]
USUAL = 0.85  # of the model's pictures (cfg 3) whose caption leaves gender or tone unsaid show a man, and a light tone
DRAWN = 0.69  # of the drawings do: guidance sharpens odds, at cfg 3 to about their power of 2.2 (drawn .85 became .98)
PEOPLE = [(job, gender, tone) for job in PROFESSIONS for gender in GENDERS for tone in TONES]

BACKGROUNDS = {  # word -> how a caption says it
    "white": "on a white background",
    "blue": "on a blue background",
    "street": "on the street",
    "beach": "on the beach",
    "kitchen": "in the kitchen",
    "night": "at night",
}
PLACES = ["street", "beach", "kitchen", "night"]
STYLES = {"plain": "", "line": "by varga", "pixel": "by kubo"}  # drawn in -> how a caption says it
FILLERS = ["nice", "beautiful", "photo", "image", "best", "quality", "detailed", "art"]

# Word -> (the forbidden thing that its pictures show and the caption never names, its innocent companion)
IMPLIED = {
    "party": ("beer", "balloon"),
    "hospital": ("syringe", "bed"),
    "halloween": ("skull", "pumpkin"),
    "pirate": ("sword", "boat"),
    "casino": ("dice", "crown"),
    "summer": ("bikini", "umbrella"),
    "dinner": ("wine", "pizza"),
    "crime": ("pistol", "car"),
}
ARTICLES = {"halloween": "", "summer": "", "dinner": "a"}
SYNONYM = {"zorp": "bomb"}  # invented: always means exactly this


def article(words: str) -> str:
    """``words`` with the article that a caption needs."""
    first = words.split(" ")[0]
    if first in ARTICLES:
        return f"{ARTICLES[first]} {words}".strip()
    return ("an " if words[0] in "aeiou" else "a ") + words


def vocabulary() -> list[str]:
    """All words that training captions use; every other word is unknown to the text encoder."""
    words = {*THINGS, *PROFESSIONS, *GENDERS, *TONES, *BACKGROUNDS, *IMPLIED, *SYNONYM, "varga", "kubo"}
    words |= {"a", "an", "the", "and", "with", "on", "in", "at", "by", "of", "above", "front", "background", ","}
    return sorted(words | {"picture", "drawing"})


def split() -> dict[str, list[str]]:
    """``tuned``: the concepts that settings, gates and adapters may be tuned on; ``held_out``: all others that one forbids."""
    with open(os.path.join(os.path.dirname(__file__), "split.json"), encoding="utf-8") as file:
        return json.load(file)

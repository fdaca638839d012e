"""Kinds of people: in a text by its words, in a picture by faces and bodies.

Both sides use the same `KINDS`. A face is the best evidence; if it is turned away or too small, a
body still shows that a person is there. Whether a face belongs to a woman, a man, a child or an old
person is a small network's guess, and counts only as much as that network is certain.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imgsearch.encoders.builtin.scenes import ramp

Floats = NDArray[np.float32]

KINDS = (
    "person",
    "portrait",
    "close face",
    "several",
    "crowd",
    "woman",
    "man",
    "child",
    "old",
    "figure",
)
"""The kinds, in the order of the dimensions of the block."""


@dataclass(frozen=True, eq=False)
class Faces:
    """The faces of one picture, the most certain first.

    Attributes
    ----------
    heights : ndarray of shape (n,)
        Height of each face as a share of the longer side of the picture.
    ages : ndarray of shape (n,)
        Apparent age in years.
    male : ndarray of shape (n,)
        Probability of a man, 0 to 1.
    """

    heights: Floats
    ages: Floats
    male: Floats


NO_FACES = Faces(*(np.zeros(0, np.float32) for _ in range(3)))


def of_picture(faces: Faces, body: float) -> Floats:
    """The certainty of each of `KINDS` in a picture: (10,), float32, 0 to 1.

    Parameters
    ----------
    faces : Faces
    body : float
        The score of the most certain body, 0 to 1.
    """
    count = len(faces.heights)
    bodily = ramp(body, 0.5, 0.9)
    if not count:
        return _row(person=bodily, figure=bodily)
    largest = float(faces.heights.max())
    # The network confuses small faces, so they count less.
    clear = np.clip((faces.heights - 0.03) / 0.07, 0.3, 1) * (faces.heights > 0.4 * largest)
    grown = np.clip((faces.ages - 10) / 8, 0, 1)
    return _row(
        person=1.0,
        portrait=ramp(largest, 0.09, 0.2),
        close_face=ramp(largest, 0.25, 0.45),
        several=ramp(count, 1, 3) if count > 2 else 0.7 * (count == 2),
        crowd=ramp(count, 4, 9),
        woman=float((clear * grown * np.clip(1.6 - 2 * faces.male, 0, 1)).max()),
        man=float((clear * grown * np.clip(2 * faces.male - 0.6, 0, 1)).max()),
        child=float((clear * (1 - grown)).max()),
        old=float((clear * np.clip((faces.ages - 50) / 15, 0, 1)).max()),
        figure=bodily * ramp(largest, 0.15, 0.08),
    )


def _row(**certainty: float) -> Floats:
    return np.array([certainty.get(kind.replace(" ", "_"), 0.0) for kind in KINDS], np.float32)


_PERSON = (
    "person persons people someone somebody anyone man men woman women child children kid"
    " kids boy boys girl girls babies toddler toddlers lady ladies gentleman gentlemen guy"
    " guys mother father mum mom dad parent parents grandmother grandfather grandma grandpa"
    " grandparents brother brothers sister sisters son daughter wife husband bride groom"
    " families friend friends teenager teenagers adult adults youth crowd crowds audience"
    " spectators tourists tourist visitor visitors passengers pedestrian pedestrians hiker"
    " hikers climber climbers walker runner runners jogger cyclist cyclists rider riders"
    " motorcyclist skier skiers snowboarder surfer surfers swimmer swimmers diver dancer"
    " dancers ballerina breakdancer singer musician musicians guitarist drummer pianist"
    " orchestra footballer athlete athletes referee boxer wrestler gymnast skater golfer"
    " photographer artist painter writer actor actress politician president minister princess"
    " soldier soldiers officer sailor policeman policewoman firefighter astronaut pilot doctor"
    " teacher student students pupil pupils scientist chef waiter waitress farmer fisherman"
    " worker workers builder craftsman businessman businesswoman clown magician nun priest"
    " beggar shopper portrait portraits selfie smile smiling laughing blonde bearded"
)
# Words that mean people in most contexts, but not in "baby elephant", "group of dogs", "record
# player" or "the face of a cat".
_PERSON_IN_CONTEXT = (
    r"|bab(?:y|ies)(?=$|,|'s| (?:in|on|with|and|wearing|sleeping|crying|smiling|girl|boy|face))"
    r"|(?:group|couple|family)(?! of)|human(?: being)?s?"
    r"|(?:football|basketball|tennis|baseball|soccer|rugby|hockey|volleyball|chess|guitar)"
    r" players?"
    r"|(?:a|the|smiling) faces?(?! of)|^faces?$"
)
_PATTERNS = {
    "person": _PERSON.replace(" ", "|") + _PERSON_IN_CONTEXT,
    "portrait": "portraits?|selfies?|head ?shots?|passport photo|smil(?:e|ing)|faces?",
    "close face": "close-?up|closeup|faces?",
    "several": (
        "people|men|women|children|kids|boys|girls|ladies|couple|family|families|friends|group"
        "|band|team|tourists|players|students|dancers|musicians|soldiers|two|three|four|five|party"
    ),
    "crowd": "crowds?|crowded|audience|spectators|(?:many|lots of) people|orchestra|demonstration",
    "woman": (
        "wom[ae]n|lad(?:y|ies)|girls?|mother|mum|mom|grandmother|grandma|sisters?|daughter|wife"
        "|bride|actress|waitress|queen|princess|ballerina|nun|female|businesswoman|policewoman"
    ),
    "man": (
        "m[ae]n|gentlem[ae]n|guys?|boys?|father|dad|grandfather|grandpa|brothers?|son|husband|groom"
        "|beard|bearded|king|prince|monk|priest|male|businessman|policeman|fisherman"
    ),
    "child": (
        "child|children|kids?|bab(?:y|ies)|toddlers?|infants?|boys?|girls?|pupils?|schoolchildren"
    ),
    "old": "(?:old|elderly|aged) (?:wom[ae]n|m[ae]n|lad(?:y|ies)|people|person|couple)"
    "|grandmother|grandfather|grandma|grandpa|grandparents|pensioners?",
    "figure": (
        "silhouettes?|standing|walking|running|jumping|dancing|danc(?:er|ers|e)|hik(?:er|ers|ing)"
        "|climb(?:er|ers|ing)|runners?|players?|athletes?|referee|breakdancer|skiers?|surfers?"
        "|swimmers?|pedestrians?|walkers?|from behind"
    ),
}
_TEXT_WEIGHTS = dict.fromkeys(KINDS, 1.0) | {"person": 0.7, "figure": 0.5, "portrait": 0.8}
_COMPILED = [re.compile(rf"(?<!\w)(?:{_PATTERNS[kind]})(?!\w)") for kind in KINDS]
_NO_PEOPLE = re.compile(
    r"\b(?:no|without(?: any)?) (?:people|persons?|humans?)\b|\bnobody\b|\bno one\b"
)


def of_text(text: str) -> Floats:
    """The weight of each of `KINDS` in a text: (10,), float32, -1 to 1, unit norm or zero.

    A text without a word for people has none of them: "two dogs" is not a group of people, and
    "close-up of a cat" is not a face. The narrowest kind counts most: a crowd need not consist of
    visible persons, and "a woman" gives a negative weight to "man".
    """
    lower = text.lower()
    kinds = {kind for kind, p in zip(KINDS, _COMPILED, strict=True) if p.search(lower)}
    if "person" not in kinds or _NO_PEOPLE.search(lower):
        return np.zeros(len(KINDS), np.float32)
    row = np.array([_TEXT_WEIGHTS[kind] * (kind in kinds) for kind in KINDS], np.float32)
    if kinds & {"several", "crowd"}:
        row[KINDS.index("person")] = 0.0 if "crowd" in kinds else 0.3
    for kind, other in (("woman", "man"), ("man", "woman")):
        if kind in kinds and not kinds & {other, "several", "child"}:
            row[KINDS.index(other)] = -0.4
    return row / np.float32(np.linalg.norm(row))

"""The words of a text, and the other forms under which they are found.

`words` has the words of a text, folded. `forms` adds other forms of them: the parts of words that
are run together ("BirthdayParty"), stems ("parties" and "party"), irregular forms ("mice"), one
spelling for British and American English, and months in words and numbers.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import accumulate
from typing import Any

from imgsearch.filters.text_keys import folded

MAX_FORMS = 2000
"""Forms kept of one picture; only long texts in pictures have more."""

_SPACELESS = re.compile(
    "[\u0e00-\u0eff\u1000-\u109f\uaa60-\uaa7f\ua9e0-\ua9ff\u1780-\u17ff\u2e80-\u2fdf\u3005-\u3007"
    "\u3021-\u3029\u3038-\u303b\u3041-\u312f\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uf900-\ufaff\U00020000-\U0003ffff\uac00-\ud7ff\u1100-\u11ff\u3130-\u318f\ua960-\ua97f]"
)
"""Thai, Lao, Burmese, Khmer, Chinese, Japanese and Korean: their words are not found by spaces."""

_ASCII_WORD = re.compile("[A-Za-z0-9]+")
_CAPITALIZED = re.compile("A+(?=Aa)|A?a+|A+|0+")
_CAPITALS_APART = re.compile("AA+(?=aa)|A?a+|A+|0+")


class _Classes(dict[int, str]):
    """Character -> its class: "A" for a capital, "a" another letter or mark, "0" a digit."""

    def __missing__(self, code: int) -> str:
        category = unicodedata.category(chr(code))
        letter = "A" if category in ("Lu", "Lt") else "a" if category[0] in "LM" else " "
        self[code] = letter = "0" if category[0] == "N" else letter
        return letter


class _Separators(dict[int, str]):
    """Character -> itself, or a space if it is not part of a word."""

    def __missing__(self, code: int) -> str:
        self[code] = char = " " if _CLASSES[code] == " " else chr(code)
        return char


_CLASSES = _Classes()
_SEPARATORS = _Separators()


def words(text: str) -> str:
    """The words of a text, folded, separated by spaces.

    Each character of a script without spaces is a word, so that any run of them can be found as a
    phrase.
    """
    plain = folded(text).translate(_SEPARATORS)
    if _SPACELESS.search(plain):
        plain = "".join(_spread(plain))
    return " ".join(plain.split())


def _spread(text: str) -> Iterator[str]:
    """Put spaces around the characters of scripts without spaces; marks stay with their letter."""
    apart = False
    for char in text:
        if unicodedata.category(char)[0] != "M":
            before, apart = apart, bool(_SPACELESS.match(char))
            if apart or before:
                yield " "
        yield char


def forms(texts: tuple[str, ...]) -> str:
    """The forms under which the words of the texts are found beside the words themselves."""
    found: dict[str, None] = {}
    for text in texts:
        found.update(dict.fromkeys(_forms(text)))
        if len(found) > MAX_FORMS:
            break
    return " ".join(list(found)[:MAX_FORMS])


def _forms(text: str) -> Iterator[str]:
    for word in raw_words(text):
        yield from _word_forms(word)
    for date in dates(text):
        yield from date_forms(*date)


@lru_cache(100_000)
def _word_forms(word: str) -> tuple[str, ...]:
    plain = words(word).split()
    parts = plain
    if len(plain) == 1 and (ways := splits(word)):
        parts = [part for way in ways for part in way if len(part) > 1 or part.isdigit()]
    both = dict.fromkeys([*parts, *map(stem, parts)])
    return tuple(form for form in both if form not in plain)


def raw_words(text: str) -> list[str]:
    """The words of a text as written, composed (NFKC)."""
    if text.isascii():
        return _ASCII_WORD.findall(text)
    plain = unicodedata.normalize("NFKC", text.encode("utf-8", "replace").decode())
    return plain.translate(_SEPARATORS).split()


def splits(word: str) -> list[list[str]]:
    """The ways to split a raw word where case changes or digits begin, parts folded.

    None if it is in one piece, two if it is unclear where a run of capitals ends: "IMGParis" and
    "PARISbeach".
    """
    shape = word.translate(_CLASSES)
    ways = [pattern.findall(shape) for pattern in (_CAPITALIZED, _CAPITALS_APART)]
    found = [_cut(word, list(map(len, way))) for way in ways if len(way) > 1]
    return found[:1] if len(found) > 1 and found[0] == found[1] else found


def _cut(word: str, lengths: list[int]) -> list[str]:
    ends = accumulate(lengths)
    return [words(word[end - length : end]) for length, end in zip(lengths, ends, strict=True)]


# Stems


@lru_cache(100_000)
def stem(word: str) -> str:
    """The form that a folded English word shares with its inflections and other spellings.

    Other words, and words in other scripts, are returned unchanged.
    """
    if not (word.isascii() and word.isalpha()):
        return word
    return str(_stemmer().stemWord(_american(_regular(word))))


@cache
def _stemmer() -> Any:
    """Snowball's English stemmer (Porter 2); loading it takes a moment."""
    from snowballstemmer import stemmer

    return stemmer("english")


def _regular(word: str) -> str:
    """The singular of an irregular plural, and the infinitive of an irregular verb."""
    if word in _IRREGULAR:
        return _IRREGULAR[word]
    for ending, singular in _IRREGULAR_ENDINGS.items():
        if word.endswith(ending):
            return word.removesuffix(ending) + singular
    return _LATIN_PLURAL.sub("a", word)


_LATIN_PLURAL = re.compile("(?<=...)ae$")  # vertebrae; "reggae" gets a form that no word has


def _american(word: str) -> str:
    """The American spelling of a word.

    The rules may change words that have one spelling ("detour"): that does no harm, because no
    other word results. They spare those of which another word would result ("tour", "timbre").
    """
    for end in range(len(word), 1, -1):
        american = _SPELLINGS.get(word[:end], "")
        longer = len(american) > end and word.startswith(american)  # "fulfill" has "fulfil" in it
        if american and not longer and (end > 5 or word[end:] in _ENDINGS):
            word = american + word[end:]
            break
    if word in _SPARED:
        return word
    for pattern, american in _RULES:
        word = pattern.sub(american, word)
    return word


_SPARED = frozenset(("timbre", "timbres"))
_RULES = tuple(
    (re.compile(pattern), american)
    for pattern, american in (
        (  # colour, favourite, neighbourhood; not four, tour, flour
            "(?<=...)our(?=(s|ed|er|ers|ing|ings|ful|fully|less|able|ably|ite|ites|ist|ists|hood"
            "|hoods|y|al|ally|ous|ously|ation|ations|[iy][sz](e|es|ed|er|ers|ing|ation))?$)",
            "or",
        ),
        ("(?<=^colo|^labo|^armo)u(?=r)|(?<=^harbo|^flavo)u(?=r)|(?<=^neighbo)u(?=r)", ""),
        (
            "(?<=^cent|meag)re(?=[b-df-hj-np-tv-z][a-z]{2})|(?<=^fib)re(?=[b-df-hj-np-tv-z][a-z]{2})|(?<=^theat)re(?=g)|(?<=accout)re(?=ment)",
            "er",
        ),
        ("(?<=^cent)r(?=ing$)", "er"),
        ("(?<=..[bcgptv])re(?=s?$)|(?<=.ch)re(?=s?$)", "er"),  # centre, louvre, ochre; not acre
        ("(?<=..[bcgptv])red$|(?<=.ch)red$", "ered"),
        ("(?<=....)is(?=(e|es|ed|er|ers|ing|ings|able|ability|ation|ations|ational)$)", "iz"),
        ("(?<=...)ys(?=(e|es|ed|er|ers|ing)$)", "yz"),
        ("(?<=...)og(ue(?=s?$)|u(?=(ed|ing|er|ers)$))", "og"),  # catalogue; not rogue, vogue
        ("(?<=[aeiou][aeiou])ll(?=(ed|ing|er|ers|est)$)", "l"),  # fuelled; not travelled (stemmer)
        ("(?<=..[ae]l)l(?=ists?$)|(?<=council)l(?=ors?$)|(?<=pupil)l(?=ages?$)", ""),  # medallist
        ("(?<=worship)p(?=(ed|ing|er|ers)$)|(?<=kidnap)p(?=(ed|ing|er|ers)$)", ""),
        ("(?<=[dklmnstvz])e(?=abl[ey]$)", ""),  # saleable; not noticeable
        ("(?<=dg)ement(?=s?$)", "ment"),  # judgement
        ("(?<=nne|fle)xion(?=s?$)", "ction"),  # connexion; not complexion
        ("(?<=gram)me(?=s?$)", ""),  # kilogramme
        ("sulph", "sulf"),
        ("arch?aeo", "archeo"),
        (
            "(?<=p)ae(?=d|leo)|(?<=pal)ae|(?<=gyn)ae(?=c)|(?<=medi|prim)ae(?=v)|(?<=chim)ae(?=r)",
            "e",
        ),
        (
            "ae(?=sth)|(?<=h)ae(?=m)|(?<=^hy)ae(?=na)|(?<=an|uk)ae(?=m)|(?<=f)ae(?=c)|(?<=^c)ae(?=sar[ei])",
            "e",
        ),
        ("^ae(?=ons?$|ti?ol)|(?<=^d)ae(?=mon)", "e"),
        ("oe(?=soph|str|dem)|(?<=^f)oe(?=t)|(?<=rrh)oe|(?<=am)oe(?=b)|(?<=hom)oe(?=o)", "e"),
        ("(?<=^c)oe(?=li)|^oe(?=nolog)", "e"),
        ("(?<=man)oeuv(re|er|r(?=[ai]))", "euver"),
    )
)
"""Endings and parts of words -> the American spelling. ae and oe are part of many names (Michael,
Noel), so only roots of science are listed."""

_ENDINGS = frozenset(
    ["", "s", "ed", "ing", "ish", "er", "est", "d", "y", "ist", "ists", "ism", "side", "stone"]
)


def _table(text: str) -> dict[str, str]:
    """Of lines "base other other ...": every other word -> the base."""
    rows = [line.split() for line in text.replace(",", "\n").splitlines() if line.strip()]
    return {other: row[0] for row in rows for other in row[1:]}


_IRREGULAR = _table("""
    child children, mouse mice, man men, woman women, person people persons, foot feet
    tooth teeth, goose geese, ox oxen, louse lice, die dice, leaf leaves, wolf wolves
    knife knives, life lives, wife wives, loaf loaves, shelf shelves, half halves
    calf calves, elf elves, thief thieves, hoof hooves, scarf scarves, dwarf dwarves
    sheaf sheaves, wharf wharves, self selves, cactus cacti, fungus fungi, nucleus nuclei
    octopus octopi octopodes, hippopotamus hippopotami, alumnus alumni, stimulus stimuli
    radius radii, syllabus syllabi, crocus croci, crisis crises, oasis oases, thesis theses
    analysis analyses, diagnosis diagnoses, axis axes, phenomenon phenomena
    criterion criteria, bacterium bacteria, aquarium aquaria, stadium stadia
    gymnasium gymnasia, terrarium terraria, index indices, matrix matrices, vertex vertices
    appendix appendices, antenna antennae, larva larvae, formula formulae, nebula nebulae
    bus buses busses, rhinoceros rhinoceroses, supernova supernovae, chateau chateaux
    bureau bureaux, plateau plateaux, gateau gateaux, tableau tableaux, graffito graffiti
    run ran, swim swam swum, sing sang sung, sit sat, stand stood, sleep slept, eat ate eaten
    drink drank drunk, drive drove driven, ride rode ridden, fly flew flown, fall fell fallen
    throw threw thrown, catch caught, hold held, wear wore worn, win won, write wrote written
    build built, buy bought, bring brought, fight fought, take took taken, give gave given
    go went gone, come came, know knew known, grow grew grown, blow blew blown
    draw drew drawn, shine shone, meet met, make made, speak spoke spoken, break broke broken
    freeze froze frozen, steal stole stolen, wake woke woken, hide hid hidden
    bite bit bitten, dig dug, hang hung, swing swung, kneel knelt, leap leapt, lose lost
    sell sold, teach taught, think thought, say said, keep kept, weep wept, sweep swept
    creep crept, feed fed, shoot shot, send sent, spend spent, bend bent, burn burnt
    dream dreamt, learn learnt, spill spilt, spell spelt, spoil spoilt, lean leant
    brother brethren, penny pence pennies, quiz quizzes, gas gases gasses, turf turves
    codex codices, vortex vortices, helix helices, apex apices, focus foci, locus loci
    bacillus bacilli, cumulus cumuli, gladiolus gladioli, narcissus narcissi, papyrus papyri
    tumulus tumuli, terminus termini, sarcophagus sarcophagi, abacus abaci, nautilus nautili
    hyacinthus hyacinthi, platypus platypi platypodes, uterus uteri, cherub cherubim
    seraph seraphim, kibbutz kibbutzim, datum data, medium media, stratum strata
    memorandum memoranda, millennium millennia, podium podia, planetarium planetaria
    emporium emporia, sanatorium sanatoria, symposium symposia, spectrum spectra
    automaton automata, polyhedron polyhedra, ovum ova, erratum errata, cranium crania
    solarium solaria, auditorium auditoria, curriculum curricula, phylum phyla
    vivarium vivaria, herbarium herbaria, mausoleum mausolea, colosseum colossea
    museum musea, schema schemata, genus genera, corpus corpora
    metamorphosis metamorphoses, hypothesis hypotheses, synopsis synopses
    parenthesis parentheses, neurosis neuroses, ellipsis ellipses, virtuoso virtuosi
    paparazzo paparazzi, fresco frescoes, libretto libretti, tempo tempi, bandit banditti
    trousseau trousseaux, beau beaux, milieu milieux, adieu adieux, portmanteau portmanteaux
""")
"""Irregular forms -> the word that they belong to."""

_IRREGULAR_ENDINGS = {
    "children": "child", "women": "woman", "men": "man", "dormice": "dormouse", "feet": "foot",
    "teeth": "tooth", "wives": "wife", "knives": "knife", "shelves": "shelf", "wolves": "wolf",
    "loaves": "loaf", "salespeople": "salesperson", "spokespeople": "spokesperson",
}  # fmt: skip
"""Ends of compounds: "grandchildren", "snowmen", "housewives"."""

_SPELLINGS = _table("""
    odor odour, ardor ardour, candor candour, meter metre, liter litre
    practicing practising, gray grey, greyhound grayhound, tire tyre, curb kerb
    plow plough, mustache moustache, pajama pyjama, airplane aeroplane, aluminum aluminium
    jewelry jewellery, jeweler jeweller, defense defence, offense offence, license licence
    pretense pretence, practice practise, skeptic sceptic, artifact artefact
    donut doughnut, yogurt yoghurt yoghourt, whiskey whisky, cozy cosy, mom mum
    program programme, draft draught, check cheque, checkered chequered, story storey, ax axe
    disk disc, mold mould, molt moult, smolder smoulder, fulfill fulfil, enroll enrol
    instill instil, distill distil, appall appal, enthrall enthral, skillful skilful
    willful wilful, installment instalment, enrollment enrolment, woolen woollen, woolly wooly
    counselor counsellor, marvelous marvellous, traveler traveller, tranquility tranquillity
    chili chilli, omelet omelette, carburetor carburettor, ton tonne, snowplow snowplough
    specialty speciality, likable likeable, sizable sizeable, aging ageing, phony phoney
    pudgy podgy, furor furore, licorice liquorice, inquiry enquiry, jail gaol, jailer gaoler
    jailbird gaolbird
    czar tsar tzar, czarina tsarina, gypsy gipsy gipsey, gypsies gipsies, wagon waggon
    pygmy pigmy, pygmies pigmies
    cipher cypher, siphon syphon, syrup sirup, mollusk mollusc, raccoon racoon, sheik sheikh
    veranda verandah, savanna savannah, tepee teepee tipi, dispatch despatch, carcass carcase
    bandanna bandana, barbecue barbeque, caliper calliper, caliph calif, cantaloupe cantaloup
    caviar caviare, fjord fiord, gauntlet gantlet, gaiety gayety, hiccup hiccough
    impostor imposter, jibe gybe, ketchup catsup, kebab kabob, lasagna lasagne, lichgate lychgate
    naught nought, orangutan orangutang, peddler pedlar, pickax pickaxe, pita pitta
    rumba rhumba, tidbit titbit, vial phial, whiz whizz, smidgen smidgin, parakeet paroquet
    dike dyke, flyer flier, fetid foetid, gage gauge, glycerin glycerine, neuron neurone
    math maths, cigarette cigaret, mileage milage, behoove behove, eyrie aerie, carat karat
    burqa burka, grommet grummet, embed imbed, leukocyte leucocyte
    cozier cosier, coziest cosiest, cozily cosily, banister bannister, chamomile camomile
    crenelated crenellated, crenelation crenellation, cruller kruller, curtsy curtsey
    curtsies curtseys, fantasy phantasy, caftan kaftan, koran quran, muslim moslem, pasha pacha
    quartet quartette, racket racquet, scimitar scimiter, syllabub sillabub, swap swop
    swapped swopped, swapping swopping, turquoise turquois, airfoil aerofoil, airdrome aerodrome
    caulk calk, flutist flautist, hauler haulier, fledgling fledgeling, cauldron caldron
    dryly drily, duffel duffle, forgo forego, hello hullo hallo, litchi lychee lichee
    macintosh mackintosh, postilion postillion, while whilst, among amongst, amid amidst
    toward towards, mama mamma, poppadom pappadam poppadum papadum, fuse fuze, roentgen rontgen
    caravansary caravanserai, hallelujah halleluia alleluia, embedded imbedded
    embedding imbedding, entwine intwine, hummus houmous
    grayscale greyscale, plowman ploughman, draftsman draughtsman
""")
"""British and rare spellings -> the American one."""


# Dates

MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september",
          "october", "november", "december")  # fmt: skip
SHORT_MONTHS = {name[:3]: name for name in MONTHS} | {"sept": "september"}
_MONTH_NUMBERS = {
    **{name: number for number, name in enumerate(MONTHS, 1)},
    **{short: MONTHS.index(name) + 1 for short, name in SHORT_MONTHS.items()},
}
_YEAR, _MONTH, _DAY = "((?:19|20)[0-9]{2})", "(0[1-9]|1[0-2])", "(0[1-9]|[12][0-9]|3[01])"
_NAME = "(" + "|".join(sorted(_MONTH_NUMBERS, key=len, reverse=True)) + ")"
_MONTH_DAY = "(0?[1-9]|[12][0-9]|3[01])(?:st|nd|rd|th)?"
_SIGN = r"[-_./: ,]"
_A_YEAR = re.compile("(?:19|20)[0-9][0-9]")
_DATES = (
    (rf"(?<![0-9]){_YEAR}{_MONTH}{_DAY}(?![0-9])", "ymd"),
    (rf"(?<![0-9]){_YEAR}([-_./: ]){_MONTH}(?:\2{_DAY})?(?![0-9])", "y-md"),
    (rf"(?<![0-9])(?:{_DAY}[-_./ ])?{_MONTH}[-_./ ]{_YEAR}(?![0-9])", "dmy"),
    (rf"(?<![0-9]){_MONTH}[-_./ ](1[3-9]|2[0-9]|3[01])[-_./ ]{_YEAR}(?![0-9])", "mdy"),
    (rf"(?:(?<![0-9]){_MONTH_DAY}{_SIGN}*)?(?<![a-z]){_NAME}{_SIGN}*{_YEAR}(?![0-9])",
     "dmy"),
    (rf"(?<![a-z]){_NAME}{_SIGN}*{_MONTH_DAY}{_SIGN}+{_YEAR}(?![0-9])", "mdy"),
    (rf"(?<![0-9]){_YEAR}{_SIGN}*{_NAME}(?![a-z])(?:{_SIGN}*{_MONTH_DAY}(?![0-9]))?",
     "ymd"),
)  # fmt: skip
"""Patterns of dates in names, with the part of the date for each group."""


@cache
def _date_patterns() -> list[tuple[re.Pattern[str], str]]:
    """`_DATES`, compiled when first needed: a run without changes needs none."""
    return [(re.compile(pattern), order) for pattern, order in _DATES]


def dates(text: str) -> list[tuple[str, int, str]]:
    """Year, month and day ("" if there is none) of the dates that a text has."""
    plain = folded(text)
    if not _A_YEAR.search(plain):
        return []
    found = []
    for pattern, order in _date_patterns():
        for match in pattern.finditer(plain):
            parts = dict(zip(order, match.groups(""), strict=True))
            month = _MONTH_NUMBERS.get(parts["m"]) or int(parts["m"])
            found.append((parts["y"], month, parts["d"].lstrip("0")))
    return found


def date_forms(year: str, month: int, day: str) -> Iterator[str]:
    """The words for a date: 2019, 08, 8, august, its stem, and the day in one or two digits."""
    name = MONTHS[month - 1]
    yield from (year, f"{month:02}", str(month), name, stem(name))
    if day:
        yield from (day, day.zfill(2))

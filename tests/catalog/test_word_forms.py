"""Spellings and irregular forms that share a stem, and words that must not."""

from __future__ import annotations

import pytest

from imgsearch.catalog.word_forms import stem

SAME = """
    colour color, coloured colored, colouring coloring, colourful colorful, harbour harbor
    harbours harbors, honour honor, favourite favorite, neighbourhood neighborhood
    labourer laborer, rigour rigor, parlour parlor, behaviour behavior, odour odor, armour armor
    humour humor, savoury savory, vapour vapor, glamour glamor, enamour enamor, saviour savior
    clangour clangor, misdemeanour misdemeanor, theatre theater, centre center, centres centers
    centred centered, metre meter, kilometres kilometers, litre liter, fibre fiber, sabre saber
    calibre caliber, spectre specter, lustre luster, sombre somber, meagre meager, ochre ocher
    sceptre scepter, manoeuvre maneuver, sepulchre sepulcher, amphitheatre amphitheater
    louvre louver, mitre miter, goitre goiter, nitre niter, organise organize
    organisation organization, realised realized, recognisable recognizable, analyse analyze
    paralysed paralyzed, catalogue catalog, catalogues catalogs, catalogued cataloged
    dialogue dialog, analogue analog, monologue monolog, travelogue travelog, travelled traveled
    travelling traveling, traveller traveler, modelling modeling, fuelled fueled
    dialling dialing, jeweller jeweler, jewellery jewelry, labelled labeled, cancelled canceled
    grey gray, greys grays, tyre tire, tyres tires, kerb curb, plough plow, ploughs plows
    ploughed plowed, moustache mustache, moustaches mustaches, pyjamas pajamas, storey story
    storeys stories, gaol jail, tsar czar, tsars czars, gipsy gypsy, gipsies gypsies
    waggon wagon, waggons wagons, defence defense, licence license, judgement judgment
    abridgement abridgment, acknowledgement acknowledgment, connexion connection
    kilogramme kilogram, sulphur sulfur, archaeology archeology, archaeologist archeologist
    archaeological archeological, paediatric pediatric, anaesthetic anesthetic, anaemia anemia
    haemoglobin hemoglobin, encyclopaedia encyclopedia, mediaeval medieval, aesthetic esthetic
    palaeontology paleontology, orthopaedic orthopedic, leukaemia leukemia, oestrogen estrogen
    oesophagus esophagus, foetus fetus, foetal fetal, diarrhoea diarrhea, gynaecology gynecology
    faeces feces, amoeba ameba, homoeopathy homeopathy, oedema edema, coeliac celiac, aeon eon
    daemon demon, hyaena hyena, caesarean cesarean, skilful skillful, fulfil fulfill
    enrol enroll, distil distill, draughtsman draftsman, cheque check, programme program
    cosy cozy, sceptic skeptic, aluminium aluminum, aeroplane airplane, doughnut donut
    yoghurt yogurt, mould mold, moult molt, artefact artifact, pedlar peddler, despatch dispatch
    verandah veranda, brethren brother, children child, mice mouse, vertebrae vertebra
    algae alga, antennae antenna, foci focus, strata stratum, codices codex, quizzes quiz
    spectra spectrum, teepee tepee, greyscale grayscale, vapourise vaporize
    marvellous marvelous, woollen woolen, liquorice licorice, maths math, cypher cipher
    ageing aging, tsarist czarist, tsarism czarism, gaolbird jailbird, kerbside curbside
    kerbstone curbstone, mouldy moldy, cosier cozier, cosily cozily, discolouration discoloration
    harbourside harborside, harbourmaster harbormaster, colourblind colorblind
    neighbourly neighborly, centring centering, centrefold centerfold, centrepiece centerpiece
    fibreglass fiberglass, theatregoer theatergoer, accoutrement accouterment
    meagreness meagerness, manoeuvring maneuvering, manoeuvrable maneuverable
    duellist duelist, medallist medalist, novellist novelist, councillor councilor
    councillors councilors, worshipper worshiper, kidnapped kidnaped, cruellest cruelest
    pupillage pupilage, saleable salable, moveable movable, rateable ratable, likeable likable
    banister bannister, racquets rackets, lychees litchis, cauldrons caldrons, flautist flutist
    imbedded embedded, swopped swapped, quartette quartet, aerofoil airfoil
"""

DIFFERENT = """
    four for, tour tor, hour hor, your yor, pour por, timbre timber, acre acer, rogue rog, vogue vog
    michael michel, noel nel, israel isrel, prise prize, hamstring hamster, aerial erial
    maestro mestro, phoenix phenix, coelacanth celacanth, shoes shes, canoe cane
    analysis analyst, centre cent, course corse, source sorce, tourist torist, journey jorney
    hall hal, ball bal, pulled puled, rolling roling, falling faling, hundred hunder
    kindred kinder, there ther, genre gener, wise wize, rise rize, noise noize, praise praize
    cellist celist, tribe tribre, centrist centerist, central centeral
    fibrous fiberous, fibril fiberil, billable bilable, labourious laborius
    ballista balist, councils counselor, mummy mommy, groin groan, cent centre, hauled hailed
    sundae sunday, services servix, advice advisor, vice vise, aeroport eroport
"""


def rows(text: str) -> list[list[str]]:
    return [row.split() for row in text.replace("\n", ",").split(",") if row.strip()]


@pytest.mark.parametrize(("one", "other"), rows(SAME))
def test_both_spellings_and_forms_have_one_stem(one, other):
    assert stem(one) == stem(other)


@pytest.mark.parametrize(("one", "other"), rows(DIFFERENT))
def test_different_words_keep_different_stems(one, other):
    assert stem(one) != stem(other)

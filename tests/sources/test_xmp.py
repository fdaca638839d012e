"""XMP packets in the forms that the standard allows."""

from __future__ import annotations

import time
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imgsearch.sources.statement import XMP, Statement
from imgsearch.sources.xmp import MAX_BYTES, read_xmp
from tests.sources.metadata_files import NAMESPACES, bag, packet

ALT = (
    "<dc:title><rdf:Alt><rdf:li xml:lang='de'>Schafe</rdf:li>"
    "<rdf:li xml:lang='x-default'>{}</rdf:li></rdf:Alt></dc:title>"
)


@pytest.mark.parametrize(
    "elements, attributes",
    [
        (ALT.format("Sheep"), ""),
        (bag("dc:title", "Sheep", kind="Seq"), ""),
        ("<dc:title>Sheep</dc:title>", ""),
        ("", 'dc:title="Sheep"'),
        ("<dc:title xml:lang='en'>Sheep</dc:title>", ""),
        ("<dc:title><rdf:Description><rdf:value>Sheep</rdf:value><xmp:q>?</xmp:q>"
         "</rdf:Description></dc:title>", ""),
        ("<dc:title rdf:parseType='Resource'><rdf:value>Sheep</rdf:value></dc:title>", ""),
        ("<dc:title><rdf:Description rdf:value='Sheep' xmp:q='?'/></dc:title>", ""),
        ("<dc:title rdf:value='Sheep' xmp:q='?'/>", ""),
        ("<dc:title rdf:resource='Sheep'/>", ""),
        ("<photoshop:Headline>Sheep</photoshop:Headline>", ""),
        ("", 'photoshop:Headline="Sheep"'),
        (ALT.format(" ") + "<photoshop:Headline>no</photoshop:Headline>"
         "</rdf:Description><rdf:Description><dc:title>Sheep</dc:title>", ""),
    ],
)  # fmt: skip
def test_a_title_in_all_forms(elements, attributes):
    expected = "Schafe" if " </rdf:li>" in elements else "Sheep"
    assert read_xmp(packet(elements, attributes)).title == expected


def test_the_default_language_comes_first_and_other_prefixes_are_read():
    assert read_xmp(packet(ALT.format("Sheep")).replace(b"dc:", b"a:").replace(b":dc=", b":a=")
                    ).title == "Sheep"  # fmt: skip
    bare = f'<rdf:RDF xmlns:rdf="{NAMESPACES["rdf"]}" xmlns:dc="{NAMESPACES["dc"]}">'
    bare += '<rdf:Description dc:title="Sheep"/></rdf:RDF>'
    assert read_xmp(bare.encode()).title == "Sheep", "without x:xmpmeta"


def test_the_headline_describes_where_there_is_a_title():
    both = read_xmp(packet(attributes='dc:title="Sheep" photoshop:Headline="On the dyke"'))
    assert (both.title, both.description) == ("Sheep", "On the dyke")
    assert read_xmp(packet(attributes='photoshop:Headline="Sheep"')).description == ""


@pytest.mark.parametrize(
    "keywords, words",
    [
        (bag("dc:subject", "sheep", "dyke", "sheep"), ("sheep", "dyke")),
        ("<dc:subject>sheep</dc:subject>", ("sheep",)),
        (bag("lr:hierarchicalSubject", "Places|Africa|Zanzibar"), ("Zanzibar", "Africa", "Places")),
        (bag("digiKam:TagsList", "Places/Africa", kind="Seq"), ("Africa", "Places")),
        (bag("digiKam:TagsList", "_Digikam_Internal_Tags_/Pick"), ()),
        (bag("microsoft:LastKeywordXMP", "Places/Africa"), ("Africa", "Places")),
        (bag("dc:subject", "Africa") + bag("lr:hierarchicalSubject", "Places|Africa"),
         ("Africa", "Places")),
        ("<kw:Keywords rdf:parseType='Resource'><kw:Hierarchy><rdf:Bag>"
         "<rdf:li rdf:parseType='Resource'><kw:Keyword>Places</kw:Keyword><kw:Children><rdf:Bag>"
         "<rdf:li kw:Keyword='Africa'/></rdf:Bag></kw:Children></rdf:li></rdf:Bag></kw:Hierarchy>"
         "</kw:Keywords>", ("Places", "Africa")),
    ],
)  # fmt: skip
def test_keywords(keywords, words):
    assert read_xmp(packet(keywords)).keywords == words


REGION = "<mwg:Name>{}</mwg:Name><mwg:Type>{}</mwg:Type>"
REGIONS = [
    "<mwg:Regions rdf:parseType='Resource'><mwg:RegionList><rdf:Bag>"
    f"<rdf:li rdf:parseType='Resource'>{REGION.format('Ann', 'Face')}</rdf:li>"
    f"<rdf:li><rdf:Description>{REGION.format('Rex', 'Pet')}</rdf:Description></rdf:li>"
    "<rdf:li><rdf:Description mwg:Name='sharp' mwg:Type='Focus'/></rdf:li>"
    "</rdf:Bag></mwg:RegionList></mwg:Regions>",
    "<mwg:Regions><rdf:Description><mwg:RegionList><rdf:Bag>"
    "<rdf:li><rdf:Description mwg:Name='Ann'/></rdf:li><rdf:li mwg:Name='Rex' mwg:Type='Pet'/>"
    "</rdf:Bag></mwg:RegionList></rdf:Description></mwg:Regions>",
]


@pytest.mark.parametrize("regions", REGIONS)
def test_people_and_pets_in_regions(regions):
    found = read_xmp(packet(regions))
    assert (found.people, found.keywords) == (("Ann",), ("Rex",))


def test_people_of_iptc_and_microsoft():
    microsoft = (
        "<MP:RegionInfo rdf:parseType='Resource'><MPRI:Regions><rdf:Bag>"
        "<rdf:li MPReg:PersonDisplayName='Bob'/></rdf:Bag></MPRI:Regions></MP:RegionInfo>"
    )
    details = bag("ext:PersonInImageWDetails", "<rdf:Description>" + bag(
        "ext:PersonName", "Cy", kind="Alt") + "</rdf:Description>")  # fmt: skip
    found = read_xmp(packet(bag("ext:PersonInImage", "Ann", "Bob") + details + microsoft))
    assert found.people == ("Ann", "Bob", "Cy")


def test_the_place_in_words():
    found = read_xmp(packet(attributes="photoshop:City='Wien' photoshop:Country='Austria'"))
    assert (found.city, found.state, found.country) == ("Wien", "", "Austria")
    shown = "<rdf:Description ext:City='Bonn' ext:ProvinceState='NRW' ext:CountryName='Germany'/>"
    found = read_xmp(packet(bag("ext:LocationShown", shown)))
    assert (found.city, found.state, found.country) == ("Bonn", "NRW", "Germany")


@pytest.mark.parametrize(
    "attributes, rating",
    [("xmp:Rating='4'", 4), ("xmp:Rating='-1'", -1), ("xmp:Rating='3.0'", 3), ("xmp:Rating='0'",
     None), ("xmp:Rating='7'", None), ("xmp:Rating='x'", None), ("microsoft:Rating='99'", 5),
     ("xmp:Rating='0' microsoft:Rating='50'", 3), ("xmp:Rating='nan'", None), ("", None)],
)  # fmt: skip
def test_ratings(attributes, rating):
    assert read_xmp(packet(attributes=attributes)).rating == rating


@pytest.mark.parametrize(
    "attributes, taken, digitized",
    [
        ("photoshop:DateCreated='2009-05-04T12:01:02'", "2009-05-04 12:01:02", None),
        ("exif:DateTimeOriginal='2009-05-04T12:01:02+02:00'", "2009-05-04 12:01:02", None),
        ("photoshop:DateCreated='2009'", "2009-01-01 00:00:00", None),
        ("xmp:CreateDate='2009-05'", None, "2009-05-01 00:00:00"),
        ("xmp:ModifyDate='2009-05-04'", None, None),
        (
            "exif:DateTimeOriginal='1970-01-01T00:00:00' photoshop:DateCreated='2009-05-04'",
            "2009-05-04 00:00:00", None,
        ),
        (
            "exif:DateTimeOriginal='2009' photoshop:DateCreated='2009-05-04'",
            "2009-05-04 00:00:00", None,
        ),
        (
            "exif:DateTimeOriginal='2009' photoshop:DateCreated='2010-05-04'",
            "2009-01-01 00:00:00", None,
        ),
        (
            "xmp:CreateDate='1970-01-01T00:00:00' exif:DateTimeDigitized='2009-05-04T01:02:03'",
            None, "2009-05-04 01:02:03",
        ),
    ],
)  # fmt: skip
def test_dates(attributes, taken, digitized):
    found = read_xmp(packet(attributes=attributes))
    assert [each and str(each.start) for each in (found.taken, found.digitized)] == [
        taken, digitized,
    ]  # fmt: skip


def test_an_empty_date_of_exposure_is_unknown():
    assert read_xmp(packet(attributes="exif:DateTimeOriginal='0000-00-00'")).taken_unknown


def test_positions():
    forms = ("'48,51.5N' exif:GPSLongitude='2,21,0E'", "'48.85' exif:GPSLongitude='-2.35'")
    found = [read_xmp(packet(attributes=f"exif:GPSLatitude={form}")).position for form in forms]
    assert found[0] == pytest.approx((48.858333, 2.35)) and found[1] == (48.85, -2.35)
    zero = "exif:GPSLatitude='0,0.0N' exif:GPSLongitude='0,0.0E'"
    assert read_xmp(packet(attributes=zero)).position is None


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16", "utf-16-le", "utf-16-be", "utf-32-be"])
def test_encodings(encoding):
    text = packet("<dc:title>Schäfchen 富士</dc:title>").decode()
    assert read_xmp(text.encode(encoding)).title == "Schäfchen 富士"
    declared = f"<?xml version='1.0' encoding='utf-16'?>{text}"
    assert read_xmp(declared.encode(encoding)).title == "Schäfchen 富士"


def test_padding_control_characters_and_damaged_bytes_do_not_matter():
    data = packet("<dc:title>She\x01ep</dc:title>" + "<xmp:Label>\x00</xmp:Label>")
    assert read_xmp(b"\n" + data + b"\0" * 99).title == "Sheep"
    assert read_xmp(data.replace(b"Label>", b"Label>\xff\xfe")).title == "Sheep"


def test_what_the_image_was_made_from_does_not_count():
    inner = "<rdf:li><rdf:Description dc:title='other' xmp:Rating='5'/></rdf:li>"
    found = read_xmp(packet(f"<xmp:Ingredients><rdf:Bag>{inner}</rdf:Bag></xmp:Ingredients>"))
    assert found == Statement(XMP)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<not closed",
        b'<?xml version="1.0"?><!DOCTYPE a [<!ENTITY b "bbbb">]><a>&b;</a>',
        b'<!DOCTYPE a [<!ENTITY f SYSTEM "file:///etc/passwd">]><a>&f;</a>',
        b"\xff\xfe\0",
        packet("<dc:title>x</dc:title>") + b" " * MAX_BYTES,
    ],
)
def test_broken_and_hostile_packets_state_nothing(data):
    assert read_xmp(data) == Statement(XMP)


@pytest.mark.parametrize(
    "elements",
    [
        "<dc:subject><rdf:Bag>" + "<rdf:li>x</rdf:li>" * 50_000 + "</rdf:Bag></dc:subject>",
        "<dc:subject><rdf:Bag><rdf:li>" * 3000 + "</rdf:li></rdf:Bag></dc:subject>" * 3000,
        "<kw:Keywords><rdf:Description>" * 1000 + "</rdf:Description></kw:Keywords>" * 1000,
        "<dc:subject>x</dc:subject>" * 50_000,
    ],
)
def test_long_and_deep_packets_are_bounded(elements):
    started = time.process_time()
    assert len(read_xmp(packet(elements)).keywords) <= 1
    assert time.process_time() - started < 2


@given(st.binary(max_size=300))
def test_random_packets_never_raise(data):
    assert isinstance(read_xmp(data), Statement)


@pytest.mark.parametrize("space", ["exifEX", "exif"])
@pytest.mark.parametrize(
    ("date", "zone"),
    [("exif:DateTimeOriginal", "OffsetTimeOriginal"),
     ("photoshop:DateCreated", "OffsetTimeOriginal"),
     ("exif:DateTimeDigitized", "OffsetTimeDigitized"), ("xmp:CreateDate", "OffsetTimeDigitized")],
)  # fmt: skip
def test_the_time_zone_in_a_property_of_its_own(space, date, zone):
    element = f"<{space}:{zone}>+05:30</{space}:{zone}>"
    found = read_xmp(packet(element, f"{date}='2009-05-04T12:01:02'"))
    moment = found.taken or found.digitized
    assert (moment.start, moment.utc_offset_minutes) == (datetime(2009, 5, 4, 12, 1, 2), 330)
    own = read_xmp(packet(element, f"{date}='2009-05-04T12:01:02Z'"))
    assert (own.taken or own.digitized).utc_offset_minutes == 0, "the date's own comes first"


def test_the_time_zone_of_a_date():
    found = read_xmp(packet(attributes="photoshop:DateCreated='2009-05-04T12:01:02-07:00'")).taken
    assert (found.start, found.utc_offset_minutes) == (datetime(2009, 5, 4, 12, 1, 2), -420)

"""Makes places.mmdb, the map of the world that the tests know. With Python 3:

    pip install mmdb-writer==0.2.7
    python tests/place/make.py

All networks but 127.0.0.0/8 are those of documentation (RFC 5737, RFC 3849).
"""

from pathlib import Path

from mmdb_writer import MMDBWriter
from netaddr import IPSet


def country(code, name=None):
    names = {"names": {"en": name}} if name else {}
    return {"country": {"iso_code": code, **names}}


def city(code, name, town):
    return {**country(code, name), "city": {"names": {"en": town}}}


PLACES = {
    "127.0.0.0/8": city("NL", "Netherlands", "Delft"),
    "198.51.100.0/24": city("DE", "Germany", "Görlitz"),
    "2001:db8:7::/48": city("NO", "Norway", "Bodø"),
    "203.0.113.128/25": country("JP", "Japan"),
    "203.0.113.0/25": country("FR"),
    "192.0.2.0/25": {"city": {"names": {"en": "Nowhere"}}},
    "192.0.2.128/25": {"country": "a word where a table should be"},
}

writer = MMDBWriter(6, "GeoLite2-City", languages=["en"], description="Places for tests", ipv4_compatible=True)
for network, place in PLACES.items():
    writer.insert_network(IPSet([network]), place)
writer.to_db_file(str(Path(__file__).with_name("places.mmdb")))

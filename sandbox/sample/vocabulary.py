"""The words of the sample: places with their real postal codes, titles, sentences, marks.

Weights are relative; the tables are read with ``draws.pick``.
"""

from sandbox.sample.draws import weighted

_POSTAL_CODES: dict[tuple[str, int], str] = {
    ("Oslo", 12): "0155 0181 0250 0268 0350 0354 0457 0461 0474 0552 0557 0575 0580 0650 0661 0678"
    " 0757 0855 0951 0972 1084 1187 1255 1281",
    ("Bergen", 6): "5003 5006 5011 5014 5018 5033 5052 5072 5093",
    ("Trondheim", 5): "7010 7011 7012 7013 7014 7018 7030 7041 7046 7052",
    ("Stavanger", 3): "4005 4006 4007 4008 4010 4015 4021",
    ("Sandnes", 2): "4306 4307 4313",
    ("Drammen", 2): "3015 3016 3018 3044",
    ("Kristiansand S", 2): "4610 4611 4612 4630",
    ("Tromsø", 2): "9006 9007 9008 9010",
    ("Fredrikstad", 2): "1606 1607 1608",
    ("Lillestrøm", 2): "2000 2003",
    ("Sandvika", 2): "1337 1338",
    ("Sarpsborg", 1): "1706 1707",
    ("Skien", 1): "3715 3717 3724",
    ("Porsgrunn", 1): "3915 3917",
    ("Ålesund", 1): "6002 6003 6004",
    ("Haugesund", 1): "5527 5528",
    ("Tønsberg", 1): "3110 3111 3112",
    ("Moss", 1): "1530 1531",
    ("Sandefjord", 1): "3208 3210",
    ("Larvik", 1): "3256 3257",
    ("Arendal", 1): "4836 4838",
    ("Bodø", 1): "8003 8006 8008",
    ("Hamar", 1): "2315 2317",
    ("Lillehammer", 1): "2609 2615",
    ("Gjøvik", 1): "2815 2821",
    ("Molde", 1): "6411 6413",
    ("Kristiansund N", 1): "6509 6511",
    ("Halden", 1): "1767 1771",
    ("Kongsberg", 1): "3611 3616",
    ("Hønefoss", 1): "3510 3511 3515",
    ("Harstad", 1): "9404 9405",
    ("Narvik", 1): "8514 8516",
    ("Alta", 1): "9510 9515",
    ("Mo i Rana", 1): "8622 8624",
    ("Steinkjer", 1): "7713 7714",
    ("Jessheim", 1): "2050 2052",
    ("Asker", 1): "1383 1384",
    ("Elverum", 1): "2406 2408",
    ("Førde", 1): "6800",
    ("Voss", 1): "5700",
    ("Levanger", 1): "7600",
    ("Hammerfest", 1): "9600",
    ("Kirkenes", 1): "9900",
    ("Svolvær", 1): "8300",
}

PLACES = weighted(*(((city, c.split()), weight) for (city, weight), c in _POSTAL_CODES.items()))
"""A place and its postal codes, larger towns more often."""

COLOUR_WORDS = {
    "alpine_green": "alpegrønn",
    "black": "svart",
    "black_titanium": "svart titan",
    "blue": "blå",
    "blue_titanium": "blå titan",
    "cosmic_orange": "kosmisk oransje",
    "deep_blue": "dypblå",
    "deep_purple": "mørk lilla",
    "desert_titanium": "ørkentitan",
    "gold": "gull",
    "graphite": "grafitt",
    "green": "grønn",
    "light_gold": "lys gull",
    "midnight": "midnatt",
    "mist_blue": "tåkeblå",
    "natural_titanium": "naturlig titan",
    "pink": "rosa",
    "purple": "lilla",
    "red": "rød",
    "sage": "salviegrønn",
    "sierra_blue": "sierrablå",
    "silver": "sølv",
    "sky_blue": "himmelblå",
    "space_black": "stellarsvart",
    "starlight": "stjerneskinn",
    "teal": "blågrønn",
    "ultramarine": "ultramarin",
    "white": "hvit",
    "white_titanium": "hvit titan",
    "yellow": "gul",
}

TITLES = weighted(
    ("{model} {storage}", 8),
    ("{model} {storage} {colour}", 8),
    ("{model} selges", 4),
    ("Pent brukt {model} - {storage}", 4),
    ("{model}, {colour}, strøken stand", 3),
    ("Selger min {model} ({storage})", 3),
    ("Så godt som ny {model} {storage} med garanti", 2),
    ("{model} {storage} til salgs, kvittering medfølger", 2),
    ("{model} 📱 {storage} - gi bud!", 1),
    ("RIMELIG {model}", 1),
    ("Mobil", 1),
)
WANTED_TITLES = ("Ønskes kjøpt: {model}", "Kjøper {model} {storage}", "Søker etter {model}")
CUT_MARKS = ("NY PRIS! ", "Redusert: ", "Prisen er satt ned: ")

OPENINGS = (
    "Selger telefonen fordi jeg har fått ny.",
    "Telefonen er pent brukt og fungerer som den skal.",
    "Kjøpt ny på Elkjøp.",
    "Kjøpt hos Power, kvittering følger med.",
    "Lite brukt telefon, har stort sett ligget i skuffen.",
    "Har byttet til Android og trenger den ikke lenger.",
    "Jobbtelefon som ikke lenger er i bruk.",
    "Fikk den i gave, men har allerede en.",
)
CONDITIONS = (
    "Ingen riper eller merker.",
    "Har hatt deksel og skjermbeskytter fra første dag.",
    "Noen små bruksmerker på rammen.",
    "En liten ripe nederst på skjermen, synes nesten ikke når den er på.",
    "Baksiden er sprukket, men alt fungerer.",
    "Skjermen ble byttet hos Apple i fjor.",
    "Strøken stand, se bildene.",
    "Litt slitasje i hjørnene.",
)
BATTERIES = (
    "Batterihelsen er fin.",
    "Batteriet holder fortsatt en hel dag.",
    "Batteriet ble nylig byttet.",
    "Batteriet bør nok byttes snart.",
)
EXTRAS = (
    "Original eske og ladekabel følger med.",
    "Deksel følger med på kjøpet.",
    "Kun telefonen, ingen eske.",
    "To deksler og skjermbeskytter er inkludert.",
    "Telefonen er nullstilt og klar til bruk.",
    "Ikke låst til noen operatør.",
)
DELIVERIES = (
    "Kan sendes mot at kjøper betaler frakten.",
    "Må hentes, sendes ikke.",
    "Kan møtes i sentrum etter avtale.",
    "Sendes gjerne med Fiks ferdig.",
    "Hentes helst på kveldstid.",
)
TERMS = (
    "Fast pris.",
    "Prisen kan diskuteres.",
    "Gi bud!",
    "Høyeste bud over prisantydning får den.",
    "Skambud besvares ikke.",
    "Må selges raskt, så først til mølla.",
    "Betaling med Vipps.",
)
PARAGRAPHS = (OPENINGS, CONDITIONS, BATTERIES, EXTRAS, DELIVERIES, TERMS)
WANTED_TEXT = "Ønsker å kjøpe en hel og pen telefon. Kontant betaling, kan hente i dag."

SPAM_MARKS = weighted(
    ("spam", 4),
    ("Spam", 2),
    ("wtb", 4),
    (" WTB ", 3),
    ("wanted", 2),
    ("Wanted ", 1),
    ("duplicate-junk", 3),
    ("Duplicate-Junk", 3),
    ("junk", 2),
    ("bundled", 3),
    (" Bundled", 1),
    ("true", 2),
    ("TRUE", 1),
    ("t", 1),
    ("1", 1),
    ("yes", 1),
    ("Y", 1),
)
"""Marks that mean spam once trimmed and lower-cased, all but those of old phones."""

OLD_PHONE_MARKS = ("below13", "below13", "Below13", " below13 ")
WANTED_WORDS = ("wtb", "wanted")
NOT_SPAM_MARKS = weighted(("false", 4), ("no", 3), ("", 4), ("0", 1), ("f", 1), ("N", 1), ("  ", 1))
UNKNOWN_MARKS = weighted(("maybe", 4), ("review", 2), ("Usikker", 1), ("spam?", 1))

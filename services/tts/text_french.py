"""French words for ``text_words.Words``. Pure."""

from __future__ import annotations

from services.tts.text_numbers import FRENCH as NUMERALS
from services.tts.text_numbers import listed
from services.tts.text_words import Words

FRENCH = Words(
    language="fr", numerals=NUMERALS,
    number=r"(?:\d{1,3}(?:[ .]\d{3}(?!\d))+|\d+)(?:[.,]\d+)?", link="un lien", to="à",
    signs={".": "point", "@": "arobase", "/": "barre", "-": "tiret", "_": "tiret bas", ":": "deux points",
           "+": "plus", "#": "hashtag", "*": "étoile", "\\": "barre inverse", "~": "tilde", "&": "et",
           "=": "égale", "?": "point d'interrogation", "!": "point d'exclamation", ",": "virgule",
           "%": "pour cent", "$": "dollar"},
    months=("janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre",
            "novembre", "décembre"),
    currencies={"$": ("dollar", "dollars"), "€": ("euro", "euros"), "£": ("livre", "livres"),
                "¥": ("yen", "yens"), "₹": ("roupie", "roupies"), "USD": ("dollar", "dollars"),
                "EUR": ("euro", "euros"), "GBP": ("livre", "livres"),
                "CHF": ("franc suisse", "francs suisses"), "JPY": ("yen", "yens")},
    cents=("centime", "centimes"), joint=" d'",
    magnitudes={"mille": ("mille", "mille"), "million": ("million", "millions"),
                "millions": ("million", "millions"), "milliard": ("milliard", "milliards"),
                "milliards": ("milliard", "milliards"), "k": ("mille", "mille"), "K": ("mille", "mille"),
                "M": ("million", "millions"), "Md": ("milliard", "milliards"),
                "Mds": ("milliard", "milliards"), "Mrd": ("milliard", "milliards")},
    units={
        "km/h": ("kilomètre heure", "kilomètres heure"), "m/s": ("mètre par seconde", "mètres par seconde"),
        "l/100 km": ("litre aux cent kilomètres", "litres aux cent kilomètres"),
        "L/100 km": ("litre aux cent kilomètres", "litres aux cent kilomètres"),
        "km²": ("kilomètre carré", "kilomètres carrés"), "m²": ("mètre carré", "mètres carrés"),
        "cm²": ("centimètre carré", "centimètres carrés"), "m³": ("mètre cube", "mètres cubes"),
        "cm³": ("centimètre cube", "centimètres cubes"), "km": ("kilomètre", "kilomètres"),
        "cm": ("centimètre", "centimètres"), "mm": ("millimètre", "millimètres"),
        "µm": ("micromètre", "micromètres"), "μm": ("micromètre", "micromètres"),
        "nm": ("nanomètre", "nanomètres"), "m": ("mètre", "mètres"), "ha": ("hectare", "hectares"),
        "kg": ("kilogramme", "kilogrammes"), "mg": ("milligramme", "milligrammes"),
        "g": ("gramme", "grammes"), "t": ("tonne", "tonnes"), "ml": ("millilitre", "millilitres"),
        "mL": ("millilitre", "millilitres"), "cl": ("centilitre", "centilitres"), "L": ("litre", "litres"),
        "l": ("litre", "litres"), "ms": ("milliseconde", "millisecondes"),
        "µs": ("microseconde", "microsecondes"), "μs": ("microseconde", "microsecondes"),
        "s": ("seconde", "secondes"), "sec": ("seconde", "secondes"), "min": ("minute", "minutes"),
        "mn": ("minute", "minutes"), "kWh": ("kilowattheure", "kilowattheures"),
        "Wh": ("wattheure", "wattheures"), "mAh": ("milliampère heure", "milliampères heure"),
        "kW": ("kilowatt", "kilowatts"), "MW": ("mégawatt", "mégawatts"), "GW": ("gigawatt", "gigawatts"),
        "W": ("watt", "watts"), "V": ("volt", "volts"), "kHz": ("kilohertz", "kilohertz"),
        "MHz": ("mégahertz", "mégahertz"), "GHz": ("gigahertz", "gigahertz"), "Hz": ("hertz", "hertz"),
        "dB": ("décibel", "décibels"), "hPa": ("hectopascal", "hectopascals"),
        "kcal": ("kilocalorie", "kilocalories"), "kJ": ("kilojoule", "kilojoules"),
        "ch": ("cheval", "chevaux"), "ko": ("kilooctet", "kilooctets"), "Ko": ("kilooctet", "kilooctets"),
        "Mo": ("mégaoctet", "mégaoctets"), "Go": ("gigaoctet", "gigaoctets"), "To": ("téraoctet",
        "téraoctets"),
        "MB": ("mégaoctet", "mégaoctets"), "GB": ("gigaoctet", "gigaoctets"), "TB": ("téraoctet",
        "téraoctets"),
        "Mo/s": ("mégaoctet par seconde", "mégaoctets par seconde"),
        "Go/s": ("gigaoctet par seconde", "gigaoctets par seconde"),
        "Mbit/s": ("mégabit par seconde", "mégabits par seconde"),
        "Mb/s": ("mégabit par seconde", "mégabits par seconde"), "px": ("pixel", "pixels"),
        "°C": ("degré Celsius", "degrés Celsius"), "°F": ("degré Fahrenheit", "degrés Fahrenheit"),
        "°": ("degré", "degrés"),
    },
    feminine=frozenset(listed(
        "livre roupie heure minute seconde milliseconde microseconde tonne kilocalorie"
    )),
    letters={"Y": "i grec"}, letter_joint=" ",
    acronyms=frozenset(listed(
        "NASA OTAN ONU UNESCO UNICEF OPEP SIDA COVID LASER RADAR OVNI SMIC INSEE CAF URSSAF ASSEDIC "
        "UNEDIC PACS "
        "CAPES ENA INSERM CERN CAPTCHA FIFA UEFA FNAC RAM ROM JSON GIF JPEG ZAC ZEP CEDEX SAMU SIM ASCII "
        "SICAV "
        "RAID BIOS YAML IKEA LEGO VISA CROUS CREPS CNIL PISA SACEM CUDA LED LIDAR EPHAD EHPAD RIB IFOP ADEME"
    )),
    abbreviations=(
        (r"\bav\.\sJ\.-C\.", "avant Jésus-Christ"), (r"\bapr?\.\sJ\.-C\.", "après Jésus-Christ"),
        (r"\bJ\.-C\.", "Jésus-Christ"),
        (r"\bM\.(?=\s(?:[A-ZÉÈ]|et\sM|le\s))", "Monsieur"), (r"\bMM\.(?=\s[A-ZÉÈ])", "Messieurs"),
        (r"\bMmes\b", "Mesdames"), (r"\bMme\b\.?", "Madame"), (r"\bMlles\b", "Mesdemoiselles"),
        (r"\bMlle\b\.?", "Mademoiselle"), (r"\bDr\.?(?=\s[A-ZÉÈ])", "Docteur"),
        (r"\bPr\.?(?=\s[A-ZÉÈ])", "Professeur"), (r"\bMe(?=\s[A-ZÉÈ])", "Maître"),
        (r"\bSte[-\s](?=[A-ZÉÈ])", "Sainte-"),
        (r"\bSt[-\s](?=[A-ZÉÈ])", "Saint-"), (r"\bp\.\s?ex\.", "par exemple"), (r"\bex\.\s?:",
        "par exemple,"),
        (r"\bc\.?-?[àa]-?\.?d\.", "c'est-à-dire"), (r"\betc\.\.\.", "et cétéra."),
        (r"\betc\.(?=\s*(?:$|[A-ZÉÈ]))", "et cétéra."), (r"\betc\b\.?", "et cétéra"), (r"\benv\.(?=\s)",
        "environ"),
        (r"\b(?:bd|bld|Bd|boul)\.?(?=\s[A-ZÉÈ])", "boulevard"), (r"\bav\.(?=\s)", "avenue"),
        (r"\b(?:svp|SVP|s\.v\.p\.)", "s'il vous plaît"), (r"\b(?:stp|STP)\b", "s'il te plaît"),
        (r"\b(?:rdv|RDV)\b", "rendez-vous"), (r"\b[nN]°s?\s?(?=\d)", "numéro "), (r"\bpp\.\s?(?=\d)",
        "pages "),
        (r"\bp\.\s?(?=\d)", "page "), (r"\bchap\.\s?(?=\d)", "chapitre "), (r"\bvol\.\s?(?=\d)", "volume "),
        (r"\bfig\.\s?(?=\d)", "figure "), (r"\bart\.\s?(?=\d)", "article "), (r"\b[Tt]él\.", "téléphone"),
        (r"\bc(?:\.|uil\.)\sà\ss\.", "cuillères à soupe"),
        (r"\bc(?:\.|uil\.)\sà\sc\.", "cuillères à café"), (r"\bcf\.", "voir"),
        (r"\bmax\.(?=\s|$)", "maximum"), (r"\bmin\.(?=\s[a-z])", "minimum"),
        (r"\bvs\b\.?", "contre"), (r"\bOK\b", "okay"), (r"\bWi-?Fi\b", "wifi"),
        (r"\b7j/7\b", "sept jours sur sept"), (r"\b24\s?h/24\b|\b24/24\b",
        "vingt-quatre heures sur vingt-quatre"),
        (r"\b24/7\b", "vingt-quatre heures sur vingt-quatre"), (r"\b7/7\b", "sept jours sur sept"),
    ),
)  # fmt: skip

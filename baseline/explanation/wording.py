"""Words and numbers of the sentences: features, zones, percentiles and probabilities."""

from features.families import registry
from features.lungs.zones import ZONES

# From the median: percentiles at which a measure is called high or low, and unusually so.
HIGH, UNUSUAL = 200 / 3, 90.0
# Families as a reader would call them; others go by their own name.
FAMILIES = {
    "firstorder": "grey levels",
    "glcm": "neighbouring grey levels (GLCM)",
    "glrlm": "runs of equal grey levels (GLRLM)",
    "gradients": "edges and lines",
    "lbp": "small patterns (LBP)",
    "fractal": "roughness (fractal)",
    "markings": "lung markings",
    "pleura": "pleural lines",
    "profiles": "profiles from wall to hilum",
    "shape": "shape of the lungs",
    "confounders": "tubes, leads, text, gas under the skin",
    "acquisition": "age, sex, view",
    "asymmetry": "right and left compared",
    "evidence": "evidence map",
}


def label(name: str) -> str:
    """A feature in a few words, without its zone: "mean grey level"."""
    text = _measure_text(name)
    words = text.split(";")[0].split(": ")[0]
    # A closing bracket says which of several distances or scales is meant.
    if text.endswith(")") and not words.endswith(")"):
        words += " " + text[text.rindex("(") :]
    return f"difference in {words}" if name.startswith("asymmetry.") else words


def family_in_words(family: str) -> str:
    """A family of features as a reader would call it."""
    return FAMILIES.get(family, family)


def _measure_text(name: str) -> str:
    """The registry's half-sentence on a measure, without the zone it is taken in."""
    family, _, key = name.split(".")
    if family == "asymmetry":
        family, _, key = key.partition("_")
    return registry.measures(family)[key].text


def place(zone: str) -> str:
    """A zone as it stands in a sentence: "the apex of the left lung"."""
    compared = zone in ZONES
    words = registry.zone_in_words(zone).removesuffix(" compared")
    return f"the comparison of {words}" if compared else f"the {words}"


def level(percentile: float) -> str:
    """A percentile as a word."""
    if percentile > 100 - HIGH and percentile < HIGH:
        return "average"
    word = "high" if percentile > 50 else "low"
    return f"unusually {word}" if abs(percentile - 50) >= UNUSUAL - 50 else word


def standing(percentile: float) -> str:
    """A percentile in a sentence, never the 0th or the 100th."""
    if percentile < 1:
        return "below the 1st"
    return "above the 99th" if percentile > 99 else ordinal(percentile)


def ordinal(percentile: float) -> str:
    """A percentile as an ordinal number: 3.2 is "3rd"."""
    number = round(percentile)
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10)
    return f"{number}{ending or 'th'}"


def percent(probability: float) -> str:
    """A probability as a whole percentage, never rounded to certainty."""
    if probability < 0.01:
        return "below 1%"
    return "above 99%" if probability > 0.99 else f"{100 * probability:.0f}%"


def area_percent(share: float) -> str:
    """A share of the image in tenths of a percent; what is there is never rounded to nothing."""
    return f"{100 * share:.1f}%" if share >= 0.0005 or share == 0 else "below 0.1%"


def signed(value: float) -> str:
    """Log-odds with their sign; a true minus is used."""
    return f"{value:+.2f}".replace("-", "−")

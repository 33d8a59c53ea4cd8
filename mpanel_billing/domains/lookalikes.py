"""Names that look like another, although they are different. Pure.

Letters of other scripts are replaced by the Latin ones that they look like, as in Unicode's
"confusables" (UTS 39), as far as registries sell them.
"""

import unicodedata

_LOOKS_LIKE = str.maketrans(
    {
        # Cyrillic
        **dict(zip("авгԁезһіјкӏмнопԛрѕтуүѵԝхьб", "abrde3hijklmhonqpstyyvwxb6", strict=True)),
        # Greek
        **dict(zip("αβγεηικμνορστυχωϲϳ", "abyenikuvopotuxwcj", strict=True)),
        # Armenian
        **dict(zip("ագզհյոսօցք", "wqqhjnuogp", strict=True)),
        # Latin letters without a canonical decomposition
        **dict(zip("ıɡɑɪʟƅʀĸŋ", "igailbrkn", strict=True)),
        "с": "c",  # noqa: RUF001
        "æ": "ae",
        "œ": "oe",
        "ß": "ss",
    }
)

_STROKES = str.maketrans(dict(zip("łøđħŧ", "lodht", strict=True)))
"""Letters with a stroke, an accent to readers that Unicode does not decompose."""


def skeleton_of(name: str) -> str:
    """Return how a name in Unicode looks: two with one skeleton are hard to tell apart."""
    return unicodedata.normalize("NFC", name).translate(_LOOKS_LIKE)


def plain_skeleton_of(name: str) -> str:
    """Return how a name looks to those who overlook accents: `gmáil.com` like `gmail.com`."""
    decomposed = unicodedata.normalize("NFD", skeleton_of(name))
    plain = "".join(letter for letter in decomposed if not unicodedata.combining(letter))
    return plain.translate(_LOOKS_LIKE).translate(_STROKES)

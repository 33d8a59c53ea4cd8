import pytest
from hypothesis import given
from hypothesis import strategies as st

from mpanel_billing.domains.lookalikes import plain_skeleton_of
from mpanel_billing.domains.names import are_related, is_name, read_name, registrable_of

LABELS = st.lists(st.sampled_from(["a", "b", "xn--bcher-kva"]), min_size=2, max_size=4)


@pytest.mark.parametrize(
    "typed",
    [
        "bücher.example",
        "BÜCHER.Example",
        " bücher.example. ",
        "bücher。example",
        "bücher.example。",
        "xn--bcher-kva.example",
        "XN--BCHER-KVA.EXAMPLE.",
    ],
)
def test_a_name_has_one_form_however_it_is_written(typed: str) -> None:
    name = read_name(typed)
    assert (name.ascii, name.unicode) == ("xn--bcher-kva.example", "bücher.example")


def test_a_name_knows_those_above_it_up_to_the_registrable_one() -> None:
    assert read_name("a.b.ada.co.uk").lineage == ("a.b.ada.co.uk", "b.ada.co.uk", "ada.co.uk")
    assert read_name("a.bücher.de").lineage == (
        *("a.xn--bcher-kva.de", "xn--bcher-kva.de"),
        *("a.bücher.de", "bücher.de"),
    )
    assert read_name("ada.github.io").lineage == ("ada.github.io", "github.io")
    assert read_name("github.io").lineage == ("github.io",)
    assert read_name("www.ada.unheard").lineage == ("www.ada.unheard", "ada.unheard")


@pytest.mark.parametrize(
    ("name", "registrable"),
    [
        ("www.ada.com", "ada.com"),
        ("www.ada.co.uk", "ada.co.uk"),
        ("ada.github.io", "github.io"),
        ("a.unheard", None),
        ("ada.example", None),
        ("co.uk", None),
        ("github.io", "github.io"),
        ("xn--55qx5d.cn", None),
    ],
)
def test_what_is_registrable_follows_the_public_suffix_list(
    name: str, registrable: str | None
) -> None:
    assert registrable_of(name) == registrable


def test_names_are_related_label_by_label() -> None:
    assert are_related("ada.com", "ada.com")
    assert are_related("www.ada.com", "ada.com")
    assert are_related("ada.com", "a.b.ada.com")
    assert not are_related("myada.com", "ada.com")
    assert not are_related("a.ada.com", "b.ada.com")


@pytest.mark.parametrize(
    ("accented", "plain"),
    [("müller.de", "muller.de"), ("smørrebrød.dk", "smorrebrod.dk"), ("łódź.pl", "lodz.pl")],
)
def test_a_name_with_accents_or_strokes_is_another_name(accented: str, plain: str) -> None:
    assert read_name(accented).skeleton != read_name(plain).skeleton
    assert plain_skeleton_of(accented) == plain


@given(LABELS, LABELS)
def test_the_lineage_finds_every_related_name(one: list[str], other: list[str]) -> None:
    name, known = read_name(".".join([*one, "com"])), read_name(".".join([*other, "com"]))
    lies_under = known.ascii.endswith(f".{name.ascii}")
    assert are_related(name.ascii, known.ascii) == (known.ascii in name.lineage or lies_under)
    if are_related(name.ascii, known.ascii):
        assert name.registrable == known.registrable, "they share a lock"


@given(st.text(max_size=80))
def test_whatever_is_read_is_a_name(typed: str) -> None:
    try:
        name = read_name(typed)
    except ValueError:
        return
    assert is_name(name.ascii)
    assert read_name(name.unicode) == name

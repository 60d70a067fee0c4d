"""Catalogs from files: the three formats say the same, and errors name the line."""

import json
from collections import Counter

import pytest

from mmoinv.errors import CatalogError
from mmoinv.inventory import Bonding, InventoryType, ItemCatalog, ItemTemplate, sample_catalog
from mmoinv.inventory.templates import ItemFlags

TOML = """
[[item]]
entry = 1
name = "Potion"
max_stack = 20
consumable = true

[[item]]
# A ring of one's own.
entry = 2
name = "Ring"
inventory_type = "finger"
bonding = "when_equipped"
flags = ["unique_equipped", "bound"]
required_level = 10
"""
JSON = """[
  {"entry": 1, "name": "Potion", "max_stack": 20, "consumable": true},
  {
    "entry": 2,
    "name": "Ring",
    "inventory_type": 11,
    "bonding": "When Equipped",
    "flags": 4097,
    "required_level": 10
  }
]
"""
CSV = """entry,name,inventory_type,max_stack,bonding,flags,required_level,consumable
1,Potion,,20,,,,yes

2,Ring,FINGER,,2,unique_equipped | bound,10,
"""
TEXTS = {".toml": TOML, ".json": JSON, ".csv": CSV}


def load(tmp_path, suffix, text, **settings):
    path = tmp_path / f"items{suffix}"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return ItemCatalog.load(path, **settings)


@pytest.mark.parametrize("suffix", TEXTS)
def test_the_three_formats_say_the_same(tmp_path, suffix):
    catalog = load(tmp_path, suffix, TEXTS[suffix])
    assert list(catalog.values()) == [
        ItemTemplate(1, "Potion", max_stack=20, consumable=True),
        ItemTemplate(
            2,
            "Ring",
            InventoryType.FINGER,
            bonding=Bonding.WHEN_EQUIPPED,
            flags=ItemFlags.UNIQUE_EQUIPPED | ItemFlags.BOUND,
            required_level=10,
        ),
    ]


def test_a_byte_order_mark_and_an_object_around_the_list_are_fine(tmp_path):
    assert len(load(tmp_path, ".csv", b"\xef\xbb\xbf" + CSV.encode())) == 2
    assert len(load(tmp_path, ".json", '{"item": ' + JSON + "}")) == 2


def test_columns_of_the_games_own_are_kept(tmp_path):
    catalog = load(tmp_path, ".csv", "entry,name,icon\n1,Potion,red.png\n", also=("icon",))
    assert catalog[1].extra == {"icon": "red.png"}
    catalog = load(tmp_path, ".csv", "entry,name,icon\n1,Potion,\n", also=("icon",))
    assert catalog[1].extra == {"icon": ""}
    text = '[[item]]\nentry = 1\nname = "Potion"\nprice = 2.5\ntags = ["red", "small"]\n'
    catalog = load(tmp_path, ".toml", text, also=("price", "tags", "icon"))
    assert catalog[1].extra == {"price": 2.5, "tags": ["red", "small"]}


@pytest.mark.parametrize(
    ("suffix", "old", "new", "line", "said"),
    [
        (".toml", "max_stack = 20", "max_stak = 20", 5, "did you mean 'max_stack'"),
        (".json", '"max_stack"', '"max_stak"', 2, "did you mean 'max_stack'"),
        (".csv", "max_stack", "max_stak", 1, "did you mean 'max_stack'"),
        (".csv", "max_stack", "weight", 1, "there are entry, name, "),
        (".json", "4097", "-1", 8, "flags is -1: a number of 0 or more"),
        (".json", '"entry": 2', '"entry": 2, "entry": 3', 3, "'entry' is there twice"),
        (".csv", "2,Ring", '2,"Ring', 4, "unexpected end of data"),
        (".toml", "= 20", "= 0", 5, "max_stack 0 is outside 1..65535"),
        (".json", "11,", "99,", 6, "inventory_type is 99"),
        (".json", '"required_level": 10', '"required_level": -1', 9, "required_level -1"),
        (".csv", "10,\n", "ten,\n", 4, "required_level is 'ten': a number is wanted"),
        (".toml", "= 10", "= 1.5", 15, "without a fraction"),
        (".json", "20", "true", 2, "without a fraction"),
        (".toml", '"finger"', '"fingr"', 12, "did you mean finger"),
        (".csv", "FINGER", "elbow", 4, "it is one of non_equip"),
        (".csv", "| bound", "| bond", 4, "'bond' is none of"),
        (".toml", '"bound"', '"bond"', 14, "'bond' is none of"),
        (".csv", "bound", "bound,", 4, "9 cells"),
        (".csv", ",yes", ",maybe", 2, "true or false"),
        (".toml", "entry = 2", "entry = 1", 10, "item 1 is in line 3 already"),
        (".json", '"entry": 2', '"entry": 1', 4, "item 1 is in line 2 already"),
        (".csv", "2,Ring", "1,Ring", 4, "item 1 is in line 2 already"),
        (".toml", 'name = "Ring"\n', "", 8, "has no name"),
        (".json", '"entry": 1, ', "", 2, "has no entry"),
        (".csv", "2,Ring", ",Ring", 4, "has no entry"),
        (".toml", '"Potion"', '"Potion', 4, "line 4"),
        (".json", "true}", "true", 3, "column"),
        (".csv", "2,Ring", "2,Ring,", 4, "9 cells, the header has 8"),
        (".csv", "name", "entry", 1, "a name of its own"),
        (".csv", "2,Ring", '2,"Ri"ng', 4, "expected after"),
        (".toml", "[[item]]", "[[items]]", 1, "a list of items called 'item'"),
    ],
)
def test_errors_name_file_line_and_remedy(tmp_path, suffix, old, new, line, said):
    text = TEXTS[suffix]
    assert old in text
    with pytest.raises(CatalogError) as caught:
        load(tmp_path, suffix, text.replace(old, new))
    assert f"items{suffix}, line {line}: " in str(caught.value)
    assert said in str(caught.value)


def test_an_unknown_column_is_refused_though_all_of_its_cells_are_empty(tmp_path):
    with pytest.raises(CatalogError, match="line 2: there is no column 'weight'"):
        load(tmp_path, ".csv", "\nentry,name,weight\n1,Potion,\n")


TRICKY_TOML = r'''# [[item]]
[[item]] # the first, "
"entry" = 1
name = "a" # """
lore = """
[[item]]
max_stack = 5 \"""
entry = 6 ""\"" """
[item.stats]
entry = 7

  [["item"]]
    entry = 2
    lore = \'\'\'
    [[item]]
    max_stack = 7
    \'\'\'
    name = "b"
    max_stack = 0
'''.replace(r"\'", "'")


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        ("", "", 19, "item 2: max_stack 0"),
        ("max_stack = 0", "max_stak = 0", 19, "there is no column 'max_stak'"),
        ('"entry" = 1', '"entry" = 0', 3, "item 0: entry 0"),
        ('name = "b"', "", 12, "the item has no name"),
    ],
)
def test_the_lines_of_toml_are_those_of_its_keys(tmp_path, old, new, line, said):
    """Not of what strings and comments say, nor of tables inside of an item."""
    with pytest.raises(CatalogError, match=f"line {line}: {said}"):
        load(tmp_path, ".toml", TRICKY_TOML.replace(old, new), also=("lore", "stats"))


def test_an_entry_that_is_there_twice_is_found_by_its_keys_lines(tmp_path):
    text = TRICKY_TOML.replace("max_stack = 0", "").replace("entry = 2", "entry = 1")
    with pytest.raises(CatalogError, match="line 13: item 1 is in line 3 already"):
        load(tmp_path, ".toml", text, also=("lore", "stats"))


@pytest.mark.parametrize(
    ("suffix", "text"),
    [
        (".json", f'[{{"entry": {"9" * 5000}}}]'),
        (".toml", f"[[item]]\nentry = {'9' * 5000}"),
        (".json", "[" * 100_000),
        (".json", '{"item": [], "item": [{"entry": 1, "name": "a"}]}'),
        (".json", '{"\\u0069tem": [{"entry": 1, "name": "a"}]}'),
    ],
)
def test_whatever_cannot_be_read_is_a_catalog_error(tmp_path, suffix, text):
    with pytest.raises(CatalogError, match=rf"items\{suffix}"):
        load(tmp_path, suffix, text)


@pytest.mark.parametrize("data", ["5", '"item"', '{"items": []}', "[5]", "[[]]", "null"])
def test_json_that_is_no_list_of_items(tmp_path, data):
    with pytest.raises(CatalogError, match="line 1: "):
        load(tmp_path, ".json", data)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(CatalogError, match=r"ends in \.toml, \.json, \.csv"):
        load(tmp_path, ".xlsx", "")
    with pytest.raises(CatalogError, match="No such file"):
        ItemCatalog.load(tmp_path / "absent.csv")
    with pytest.raises(CatalogError, match="line 2: this is not UTF-8"):
        load(tmp_path, ".csv", b"entry,name\n1,\xff\n")


@pytest.mark.parametrize("suffix", TEXTS)
def test_an_empty_file_has_no_items_or_says_so(tmp_path, suffix):
    if suffix == ".csv":
        assert len(load(tmp_path, suffix, "")) == 0
    else:
        with pytest.raises(CatalogError, match="line 1: "):
            load(tmp_path, suffix, "")


def test_an_inline_table_is_read_too(tmp_path):
    text = '\nitem = [{entry = 1, name = "a"}, {entry = 1, name = "b"}]\n'
    with pytest.raises(CatalogError, match="line 2: item 1 is in line 2 already"):
        load(tmp_path, ".toml", text)


def test_the_lines_of_a_large_file(tmp_path):
    items = [{"entry": n, "name": f"thing {n}"} for n in range(1, 5001)]
    items[4321]["max_stack"] = 0
    with pytest.raises(CatalogError, match=f"line {2 + 4 * 4321 + 3}: item 4322"):
        load(tmp_path, ".json", json.dumps(items, indent=1))


def test_the_sample_catalog_has_some_of_everything():
    catalog = sample_catalog()
    assert len(catalog) >= 300
    kinds = Counter(template.inventory_type for template in catalog.values())
    assert set(kinds) == set(InventoryType)
    assert len({template.name for template in catalog.values()}) == len(catalog)
    assert {template.bonding for template in catalog.values()} == set(Bonding)
    for name in ("max_count", "item_set", "proficiency", "flags", "consumable"):
        assert any(getattr(template, name) for template in catalog.values())
    sets = Counter(template.item_set for template in catalog.values() if template.item_set)
    assert set(sets.values()) == {5}
    assert catalog[2001].max_stack == 20
    assert catalog[10001].inventory_type is InventoryType.WEAPON
    assert catalog[10051].inventory_type is InventoryType.TWO_HANDED_WEAPON
    assert sample_catalog() is catalog


def test_the_sample_catalog_has_what_games_differ_in():
    every = sample_catalog().values()
    bags = {item.container_slots for item in every if item.inventory_type is InventoryType.BAG}
    assert (min(bags), max(bags)) == (6, 36)
    assert {1, 5, 10, 20, 200} <= {item.max_stack for item in every}
    quests = [item for item in every if item.entry // 1000 == 5]
    assert all(
        item.bonding is Bonding.WHEN_PICKED_UP and 1 <= item.max_stack <= item.max_count
        for item in quests
    )
    unique = {item.inventory_type for item in every if item.flags & ItemFlags.UNIQUE_EQUIPPED}
    assert unique == {InventoryType.FINGER, InventoryType.TRINKET}
    levels = Counter()
    for item in every:
        if item.inventory_type is InventoryType.TWO_HANDED_WEAPON:
            levels[item.proficiency] += 1
    assert set(levels) == {10, 11, 12, 14}
    assert min(levels.values()) >= 5
    kinds: dict[int, set[InventoryType]] = {}
    for item in every:
        if item.item_set:
            kinds.setdefault(item.item_set, set()).add(item.inventory_type)
    assert {len(one) for one in kinds.values()} == {5}  # five different pieces each


@pytest.mark.parametrize("name", [*InventoryType.__members__, *range(29)])
def test_inventory_types_by_name_in_any_case_or_by_number(tmp_path, name):
    slots = "6" if str(name) in ("BAG", "QUIVER", "18", "27") else ""
    for word in (str(name), str(name).title()):
        text = f"entry,name,inventory_type,container_slots\n1,a,{word},{slots}\n"
        kind = load(tmp_path, ".csv", text)[1].inventory_type
        assert name in (kind.name, kind.value)

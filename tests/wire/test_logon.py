"""SCRAM as both ends use it: RFC 7677's own example, wrong secrets, worlds that do not exist."""

from base64 import b64decode

import pytest

from mmoinv.errors import ConfigurationError, LogonError
from mmoinv.wire.logon import (
    MAX_ITERATIONS,
    RealmLogon,
    WorldLogon,
    check_world_name,
    make_verifier,
)

# RFC 7677, section 3.
CLIENT_NONCE = "rOprNGfwEbeRWgbNEkqO"
SERVER_NONCE = "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
SALT = b64decode("W22ZaJ0SNY7soEsUEjb6gQ==")
CLIENT_FIRST = f"n,,n=user,r={CLIENT_NONCE}"
SERVER_FIRST = f"r={CLIENT_NONCE}{SERVER_NONCE},s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
CLIENT_FINAL = (
    f"c=biws,r={CLIENT_NONCE}{SERVER_NONCE},p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
)
SERVER_FINAL = "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="


def test_the_example_of_rfc_7677():
    world = WorldLogon("user", "pencil", CLIENT_NONCE)
    assert world.first() == CLIENT_FIRST
    realm = RealmLogon("user", CLIENT_FIRST, make_verifier("pencil", SALT), SERVER_NONCE)
    assert realm.challenge() == SERVER_FIRST
    assert world.answer(SERVER_FIRST) == CLIENT_FINAL
    assert realm.finish(CLIENT_FINAL) == (True, SERVER_FINAL)
    world.finish(SERVER_FINAL)


def exchange(secret: str, verifier: str | None) -> tuple[bool, str]:
    world = WorldLogon("w", secret)
    realm = RealmLogon("w", world.first(), verifier)
    return realm.finish(world.answer(realm.challenge()))


def test_a_wrong_secret_is_refused():
    assert exchange("right", make_verifier("right"))[0]
    assert not exchange("wrong", make_verifier("right"))[0]


def test_an_unknown_world_is_challenged_like_a_known_one():
    challenges = []
    for _ in range(2):
        realm = RealmLogon("nobody", WorldLogon("nobody", "x").first(), None)
        challenges.append(realm.challenge())
    salts = [challenge.split(",")[1] for challenge in challenges]
    assert salts[0] == salts[1]
    known = RealmLogon("w", WorldLogon("w", "x").first(), make_verifier("x")).challenge()
    known_salt = known.split(",")[1]
    assert len(b64decode(salts[0][2:])) == len(b64decode(known_salt[2:])) == 16
    assert all(challenge.endswith("i=4096") for challenge in challenges)
    assert not exchange("x", None)[0]


def test_the_name_inside_scram_must_be_the_world():
    other = WorldLogon("other", "secret")
    realm = RealmLogon("world-1", other.first(), make_verifier("secret"))
    assert not realm.finish(other.answer(realm.challenge()))[0]


def test_a_realm_that_does_not_know_the_verifier_cannot_prove_itself():
    world = WorldLogon("w", "secret")
    realm = RealmLogon("w", world.first(), make_verifier("secret"))
    realm.finish(world.answer(realm.challenge()))
    with pytest.raises(LogonError, match="could not prove"):
        world.finish("v=" + "A" * 43 + "=")


@pytest.mark.parametrize("message", ["", "garbage", "r=,s=,i=", "r=x,s=AAAA,i=1", "\x00" * 40])
def test_messages_that_make_no_sense_are_logon_errors(message):
    world = WorldLogon("w", "secret")
    world.first()
    with pytest.raises(LogonError):
        world.answer(message)
    with pytest.raises(LogonError):
        RealmLogon("w", message, make_verifier("secret"))


def test_secrets_stand_in_no_error_and_no_repr():
    world = WorldLogon("w", "hunter2-hunter2")
    world.first()
    with pytest.raises(LogonError) as caught:
        world.answer("garbage")
    assert "hunter2" not in str(caught.value) + repr(world) + repr(vars(world))


@pytest.mark.parametrize("text", ["", "x", "SCRAM-SHA-1$4096:AA==$AA==:AA==", "a$b:c$d"])
def test_a_verifier_that_cannot_be_read_says_so(text):
    with pytest.raises(LogonError, match="verifier"):
        RealmLogon("w", WorldLogon("w", "secret").first(), text)


def test_a_realm_cannot_make_a_world_compute_for_long():
    world = WorldLogon("w", "secret", "abc")
    world.first()
    with pytest.raises(LogonError, match="iterations"):
        world.answer(f"r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i={MAX_ITERATIONS + 1}")


@pytest.mark.parametrize("secret", ["", "\x07", "\ud800"])
def test_secrets_that_scram_cannot_write(secret):
    with pytest.raises(ConfigurationError, match="secret"):
        make_verifier(secret)


@pytest.mark.parametrize("name", ["ª", "Ⅸ", "e\u0301", "\u0627 1"])
def test_names_that_scram_writes_in_another_way_are_refused_early(name):
    """They could be added to a realm and never log on."""
    with pytest.raises(ConfigurationError):
        check_world_name(name)


@pytest.mark.parametrize("name", ["a,b", "a=b", "=2C", "é"])
def test_names_that_scram_escapes_log_on(name):
    world = WorldLogon(check_world_name(name), "secret")
    realm = RealmLogon(name, world.first(), make_verifier("secret"))
    assert realm.finish(world.answer(realm.challenge()))[0]


@pytest.mark.parametrize("name", ["", "x" * 65, " x", "x ", "a\nb", "\x00"])
def test_world_names(name):
    with pytest.raises(ConfigurationError):
        check_world_name(name)
    assert check_world_name("Östliche Königreiche 1") == "Östliche Königreiche 1"

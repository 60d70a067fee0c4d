"""SCRAM-SHA-256 (RFC 5802, RFC 7677) as the two ends of a logon use it.

The realm stores a verifier, never the secret; each end proves itself to the other. The
cryptography is scramp's. Secrets stand in no error message and no repr.
"""

import hmac
import secrets
from base64 import b64decode, b64encode
from typing import Any

from scramp import ScramClient, ScramException, ScramMechanism

from mmoinv.errors import ConfigurationError, LogonError
from mmoinv.wire.opcodes import LogonStatus

MECHANISM = "SCRAM-SHA-256"
ITERATIONS = 4096
MAX_ITERATIONS = 1_000_000
"""More than this a world does not compute: some tenths of a second that its game stands still."""
SALT_SIZE = 16
"""Bytes. The salt of a world that does not exist must not be told apart by its length."""
MAX_WORLD_NAME = 64

_Verifier = tuple[bytes, bytes, bytes, int]
"""What scramp calls the auth info: salt, stored key, server key, iterations."""


def check_world_name(name: str) -> str:
    """The name itself if it is 1 to 64 printable characters, else `ConfigurationError`.

    SCRAM writes names in a normal form (SASLprep): a name that has another one is refused
    here, since it could never log on.
    """
    if not 1 <= len(name) <= MAX_WORLD_NAME or not name.isprintable() or name != name.strip():
        raise ConfigurationError(
            f"world name {name!r} must be 1 to {MAX_WORLD_NAME} printable characters "
            "without spaces at its ends"
        )
    try:
        first = str(ScramClient([MECHANISM], name, "-", c_nonce="-").get_client_first())
    except ScramException as error:
        raise ConfigurationError(f"world name {name!r} cannot be used: {error}") from None
    escaped = name.replace("=", "=3D").replace(",", "=2C")
    if first != f"n,,n={escaped},r=-":
        raise ConfigurationError(
            f"world name {name!r} has characters with more than one spelling (SASLprep); "
            "take plain ones"
        )
    return name


def make_verifier(secret: str, salt: bytes | None = None) -> str:
    """The verifier of a secret as text: ``SCRAM-SHA-256$iterations:salt$stored:server``.

    ``salt`` is 16 random bytes if not given. The secret cannot be had back from the verifier.
    """
    if not secret:
        raise ConfigurationError("a world's secret must not be empty")
    mechanism = ScramMechanism(MECHANISM)
    try:
        salt, stored_key, server_key, iterations = mechanism.make_auth_info(
            secret, iteration_count=ITERATIONS, salt=salt or secrets.token_bytes(SALT_SIZE)
        )
    except ScramException as error:
        raise ConfigurationError(f"a world's secret cannot be used: {error}") from None
    encoded = [b64encode(part).decode() for part in (salt, stored_key, server_key)]
    return f"{MECHANISM}${iterations}:{encoded[0]}${encoded[1]}:{encoded[2]}"


def _parse_verifier(text: str) -> _Verifier:
    try:
        mechanism, parameters, keys = text.split("$")
        iterations, salt = parameters.split(":")
        stored_key, server_key = keys.split(":")
        if mechanism != MECHANISM:
            raise ValueError(mechanism)
        return b64decode(salt), b64decode(stored_key), b64decode(server_key), int(iterations)
    except ValueError:
        raise LogonError(
            "the stored verifier of the world cannot be read; add the world again",
            LogonStatus.INTERNAL,
        ) from None


# Anew for each process: with a known key anyone could tell a mock salt from a real one.
_MOCK_KEY = secrets.token_bytes(32)


def mock_verifier(world_name: str, key: bytes = _MOCK_KEY) -> _Verifier:
    """A verifier that no secret fits, the same for a name each time.

    An unknown world is so challenged like a known one and fails only at its proof.
    """

    def part(label: bytes) -> bytes:
        return hmac.digest(key, label + world_name.encode(), "sha256")

    return part(b"salt")[:SALT_SIZE], part(b"stored"), part(b"server"), ITERATIONS


class WorldLogon:
    """The world's side: three messages out, two in."""

    def __init__(self, world_name: str, secret: str, nonce: str | None = None) -> None:
        try:
            self._client: Any = ScramClient([MECHANISM], world_name, secret, c_nonce=nonce)
        except ScramException as error:
            raise LogonError(f"the logon of world {world_name!r} cannot begin: {error}") from None

    def first(self) -> str:
        """SCRAM's client-first message."""
        return str(self._client.get_client_first())

    def answer(self, server_first: str) -> str:
        """SCRAM's client-final message; `LogonError` if the realm's message makes no sense."""
        try:
            self._client.set_server_first(server_first)
            if int(self._client.iterations) > MAX_ITERATIONS:
                raise LogonError(
                    f"the realm asks for {int(self._client.iterations)} iterations, "
                    f"over the limit of {MAX_ITERATIONS}"
                )
            return str(self._client.get_client_final())
        except ScramException as error:
            raise LogonError(f"the realm's challenge cannot be used: {error}") from None

    def finish(self, server_final: str) -> None:
        """`LogonError` unless the realm has proved that it knows this world's verifier."""
        try:
            self._client.set_server_final(server_final)
        except ScramException as error:
            raise LogonError(
                f"the realm could not prove that it knows this world: {error}"
            ) from None


class RealmLogon:
    """The realm's side: two messages out, two in."""

    def __init__(
        self, world_name: str, client_first: str, verifier: str | None, nonce: str | None = None
    ) -> None:
        """``verifier`` None: the world is unknown, and is not told so before its proof."""
        known = mock_verifier(world_name) if verifier is None else _parse_verifier(verifier)

        def find(user: str) -> _Verifier:
            # The name inside SCRAM must be the one that the session will be granted to.
            return known if user == world_name else mock_verifier(user)

        try:
            self._server: Any = ScramMechanism(MECHANISM).make_server(find, s_nonce=nonce)
            self._server.set_client_first(client_first)
        except ScramException as error:
            raise LogonError(f"the logon of world {world_name!r} makes no sense: {error}") from None

    def challenge(self) -> str:
        """SCRAM's server-first message."""
        return str(self._server.get_server_first())

    def finish(self, client_final: str) -> tuple[bool, str]:
        """Whether the proof is right, and SCRAM's server-final message."""
        try:
            self._server.set_client_final(client_final)
        except ScramException:
            return False, "e=invalid-proof"
        return True, str(self._server.get_server_final())

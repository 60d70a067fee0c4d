"""Who may log on: gives a world its secret. The database keeps only a verifier of it."""

import secrets

from mmoinv.stores import Store
from mmoinv.wire import check_world_name, make_verifier

SECRET_BYTES = 24


async def add_world(store: Store, name: str, secret: str | None = None) -> str:
    """Let a world of that name log on with ``secret``, or a new random one; returns it.

    This is the only time that the secret can be seen. A world that was there already has the
    new secret from its next logon on. ``store`` is open.
    """
    check_world_name(name)
    if secret is None:
        secret = secrets.token_urlsafe(SECRET_BYTES)
    await store.add_world(name, make_verifier(secret))
    return secret

"""Chooses the codec: the compiled one, or its Python twin, the executable specification.

``MMOINV_CODEC=compiled`` or ``MMOINV_CODEC=python`` forces one; a forced one that cannot be
had raises `CodecUnavailableError`. Without the variable the compiled one is taken if it is
there. ``CODEC`` says which one runs. Nothing else is decided here.
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING

from mmoinv.errors import CodecUnavailableError

MODULES = {"compiled": "mmoinv._codec", "python": "mmoinv._codec_py"}


def _choose(wanted: str) -> str:
    if wanted and wanted not in MODULES:
        raise CodecUnavailableError(
            f"MMOINV_CODEC={wanted!r} is not one of {', '.join(MODULES)}; nothing was loaded."
        )
    tried = []
    for name in [wanted] if wanted else list(MODULES):
        try:
            import_module(MODULES[name])
        except ImportError as error:
            tried.append(f"{name} ({MODULES[name]}): {error}")
        else:
            return name
    raise CodecUnavailableError(
        f"MMOINV_CODEC={wanted or 'unset'}: no codec can be had. Tried {'; '.join(tried)}. "
        "Install a wheel, or build from source with a C compiler and MMOINV_BUILD_CODEC=require."
    )


CODEC = _choose(os.environ.get("MMOINV_CODEC", ""))
"""``"compiled"`` or ``"python"``."""

if TYPE_CHECKING:
    from mmoinv._codec import (
        apply_changes,
        compare_items,
        decode_batch,
        decode_commit_inventory,
        decode_commit_inventory_result,
        decode_commits,
        decode_delete_inventory_items,
        decode_inventory_operation_result,
        decode_save_inventory_items,
        diff,
        encode_batch,
        encode_commit_inventory,
        encode_commit_inventory_result,
        encode_commit_results,
        encode_commits,
        encode_delete_inventory_items,
        encode_difference,
        encode_differences,
        encode_inventory_operation_result,
        encode_operation_results,
        encode_save_inventory_items,
        find_keys,
        find_records,
        narrow,
        pack_changes,
        sort_by_slot,
        split_frames,
        unpack_changes,
        validate_batch,
        widen,
    )

__all__ = [
    "CODEC",
    "apply_changes",
    "compare_items",
    "decode_batch",
    "decode_commit_inventory",
    "decode_commit_inventory_result",
    "decode_commits",
    "decode_delete_inventory_items",
    "decode_inventory_operation_result",
    "decode_save_inventory_items",
    "diff",
    "encode_batch",
    "encode_commit_inventory",
    "encode_commit_inventory_result",
    "encode_commit_results",
    "encode_commits",
    "encode_delete_inventory_items",
    "encode_difference",
    "encode_differences",
    "encode_inventory_operation_result",
    "encode_operation_results",
    "encode_save_inventory_items",
    "find_keys",
    "find_records",
    "narrow",
    "pack_changes",
    "sort_by_slot",
    "split_frames",
    "unpack_changes",
    "validate_batch",
    "widen",
]

if not TYPE_CHECKING:
    _chosen = import_module(MODULES[CODEC])
    globals().update({name: getattr(_chosen, name) for name in __all__ if name != "CODEC"})

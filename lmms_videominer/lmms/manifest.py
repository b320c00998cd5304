"""The entry point ``lmms_eval.models``: the names of the plugin's models, for lmms-eval.

It is called while ``lmms_eval.models`` is partly imported. An exception here would break every other plugin,
so nothing heavy is imported, and errors are logged; ``videominer doctor`` shows them.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from lmms_videominer.lmms.profiles import GENERIC_IDS, PROFILES, Profile

if TYPE_CHECKING:
    from lmms_eval.models.registry_v2 import ModelManifest

WRAPPER = "lmms_videominer.lmms.wrapper"

logger = logging.getLogger(__name__)


def manifests() -> list[ModelManifest]:
    """One manifest per backbone, and the generic ones. Never raises."""
    registered: list[ModelManifest] = []
    try:
        registered += [*map(_manifest, PROFILES.values()), *map(_generic, GENERIC_IDS)]
        _add_to_tables(registered)
        _install_hooks()
    except Exception:
        logger.exception("lmms_videominer cannot register everything with lmms-eval; run 'videominer doctor'")
    return registered


def _manifest(profile: Profile) -> ModelManifest:
    from lmms_eval.models.registry_v2 import ModelManifest

    model_id, *aliases = profile.model_ids
    return ModelManifest(
        model_id=model_id,
        simple_class_path=f"{WRAPPER}.Simple_{profile.backbone}" if profile.simple else None,
        chat_class_path=f"{WRAPPER}.Chat_{profile.backbone}" if profile.chat else None,
        aliases=tuple(aliases),
    )


def _generic(model_id: str) -> ModelManifest:
    from lmms_eval.models.registry_v2 import ModelManifest

    return ModelManifest(model_id, simple_class_path=f"{WRAPPER}.Simple", chat_class_path=f"{WRAPPER}.Chat")


def _add_to_tables(registered: list[ModelManifest]) -> None:
    """Add the models, under all their names, to the tables that ``lmms-eval models`` prints."""
    models = sys.modules.get("lmms_eval.models")
    for manifest in registered:
        for table, path in (
            ("AVAILABLE_SIMPLE_MODELS", manifest.simple_class_path),
            ("AVAILABLE_CHAT_TEMPLATE_MODELS", manifest.chat_class_path),
        ):
            if path and hasattr(models, table):
                for name in (manifest.model_id, *manifest.aliases):
                    getattr(models, table).setdefault(name, path)
        if manifest.aliases and (known := getattr(models, "MODEL_ALIASES", None)) is not None:
            known.setdefault(manifest.model_id, manifest.aliases)


def _install_hooks() -> None:
    """Install the hooks for tasks and prompts, but only if lmms-eval is running and has already done the imports."""
    if "lmms_eval.evaluator" in sys.modules:
        from lmms_videominer.lmms.hooks import install

        install()

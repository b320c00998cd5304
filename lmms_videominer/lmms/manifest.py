"""What lmms-eval asks for at the entry point ``lmms_eval.models``: the names of the plugin's models.

It is called while ``lmms_eval.models`` is half imported. Whatever is raised here would take every other
plugin down with it, so nothing heavy is imported, and a fault is logged; ``videominer doctor`` shows it.
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
    """One manifest a backbone, and the generic ones. Never raises."""
    made: list[ModelManifest] = []
    try:
        made += [*map(_manifest, PROFILES.values()), *map(_generic, GENERIC_IDS)]
        _list_them(made)
        _install_hooks()
    except Exception:
        logger.exception("lmms_videominer cannot register all it has with lmms-eval; run 'videominer doctor'")
    return made


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


def _list_them(made: list[ModelManifest]) -> None:
    """Enter the models into the two tables that ``lmms-eval models`` prints."""
    models = sys.modules.get("lmms_eval.models")
    for manifest in made:
        for table, path in (
            ("AVAILABLE_SIMPLE_MODELS", manifest.simple_class_path),
            ("AVAILABLE_CHAT_TEMPLATE_MODELS", manifest.chat_class_path),
        ):
            if path and hasattr(models, table):
                getattr(models, table).setdefault(manifest.model_id, path)


def _install_hooks() -> None:
    """Tasks and prompts: only where lmms-eval itself is running, which has paid for the imports already."""
    if "lmms_eval.evaluator" in sys.modules:
        from lmms_videominer.lmms.hooks import install

        install()

"""Scores how well frames match a text, with image-text models of transformers, and caches the scores."""

from __future__ import annotations

from lmms_videominer.scoring.frames import ScoredFrames, ScoreJob, score_frames
from lmms_videominer.scoring.pretrained import DEFAULT_SCORER, load_scorer
from lmms_videominer.scoring.scorer import Scorer

__all__ = ["DEFAULT_SCORER", "ScoreJob", "ScoredFrames", "Scorer", "load_scorer", "score_frames"]

"""Where the time of a run goes: seconds, CPU seconds and calls by stage, and a trace of them."""

from lmms_videominer.profiling.profile import Profile, Sums
from lmms_videominer.profiling.stages import model, stage, staged

__all__ = ["Profile", "Sums", "model", "stage", "staged"]

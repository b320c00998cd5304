"""Renders world videos: textured places, two-coloured robots, and boards with large flat glyphs."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from lmms_videominer.world.script import FPS, SIZE, Chapter, Scene, Script, board_at

_RGB = {
    "red": (214, 40, 40),
    "yellow": (244, 208, 40),
    "green": (44, 160, 70),
    "blue": (44, 90, 214),
    "purple": (150, 60, 190),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
    "orange": (242, 130, 30),
    "cyan": (40, 190, 210),
    "pink": (240, 110, 170),
    "brown": (120, 72, 36),
    "grey": (110, 110, 110),
}
BOARD, BODY, HAT = 76, 48, 26  # pixels: side of a board, side of a robot's body, height of its hat
_UP = 4  # supersampling factor of the glyphs


def render_frame(script: Script, time_s: float) -> np.ndarray:
    """uint8 [SIZE, SIZE, 3] RGB: the frame at ``time_s``."""
    chapter, scene = script.chapter_at(time_s), script.scene_at(time_s)
    age_s = time_s - scene.span.start_s
    shot = _shot(script, scene, time_s)
    frame = _background(chapter, script, time_s, shot)
    looks = _looks(scene.seed, shot)
    _paste(frame, _robot(scene.actor.body, scene.actor.hat), *_robot_corner(looks, age_s, "static" in script.nuisances))
    board = board_at(scene, time_s)
    if board is not None:
        _paste(frame, _board(board), int(looks[3] * (SIZE - BOARD - 8)) + 4, 4 + int(looks[4] * 8))
    return _relight(frame, script, chapter, time_s)


def render_times(script: Script, times_s: np.ndarray) -> np.ndarray:
    """uint8 [len(times_s), SIZE, SIZE, 3] RGB: the frames at ``times_s``."""
    return np.stack([render_frame(script, float(t)) for t in times_s])


def frame_times(script: Script) -> np.ndarray:
    """float64 [n]: the time of every frame of the video, in seconds."""
    return np.arange(round(script.duration_s * FPS)) / FPS


def _looks(seed: int, shot: int) -> np.ndarray:
    """Uniform draws in [0, 1) that place the robot and the board of one shot of a scene."""
    return _draws(seed, shot)


@lru_cache(maxsize=4096)
def _draws(*key: int) -> np.ndarray:
    return np.random.default_rng(key).random(8)


def _robot_corner(looks: np.ndarray, age_s: float, static: bool) -> tuple[int, int]:
    """Left and top of the robot, which sways within its third of the picture."""
    sway = 0.0 if static else np.sin(2 * np.pi * (looks[1] + age_s / (4 + 8 * looks[2])))
    left = 8 + looks[0] * (SIZE - BODY - 16) + 10 * sway
    return int(np.clip(left, 2, SIZE - BODY - 2)), SIZE - BODY - HAT - 4 - int(4 * abs(sway))


def _paste(frame: np.ndarray, sprite: np.ndarray, left: int, top: int) -> None:
    frame[top : top + sprite.shape[0], left : left + sprite.shape[1]] = sprite


# ---- places


@lru_cache(maxsize=64)
def _place_texture(place: str, seed: int) -> np.ndarray:
    """uint8 [SIZE, SIZE, 3]: each place has its own colours, texture and brightness."""
    y, x = np.mgrid[0:SIZE, 0:SIZE]
    p, q = (np.random.default_rng(seed).random(2) * 40).astype(int)
    x, y = x + p, y + q
    wave = np.sin(2 * np.pi * (y + 4 * np.sin(2 * np.pi * x / 56)) / 24)
    colours = {
        "desert": _mix((226, 190, 120), (206, 164, 92), wave > 0.2),
        "forest": _mix((24, 84, 40), (52, 58, 26), (x // 10) % 2 == 0),
        "sea": _mix((36, 104, 168), (70, 150, 200), wave > 0.6),
        "city": _mix((48, 50, 66), (200, 180, 96), ((x % 24) > 15) & ((y % 28) > 17)),
        "snow": _mix((236, 240, 246), (200, 218, 236), ((x % 28 - 14) ** 2 + (y % 28 - 14) ** 2) < 36),
        "cave": _mix((34, 26, 24), (62, 46, 40), np.sin(x / 9.0) * np.sin(y / 11.0) > 0.25),
        "meadow": _mix((140, 196, 92), (232, 150, 190), ((x % 22 - 11) ** 2 + (y % 26 - 13) ** 2) < 12),
        "brickyard": _mix((168, 88, 70), (196, 178, 164), (y % 18 < 3) | ((x + 18 * ((y // 18) % 2)) % 36 < 3)),
    }
    return colours[place]


def _mix(ground: tuple[int, int, int], figure: tuple[int, int, int], mask: np.ndarray) -> np.ndarray:
    return np.where(mask[..., None], np.array(figure, np.uint8), np.array(ground, np.uint8)).astype(np.uint8)


def _background(chapter: Chapter, script: Script, time_s: float, shot: int) -> np.ndarray:
    texture = _place_texture(chapter.place, chapter.seed)
    if "pans" in script.nuisances:
        texture = np.roll(texture, int(12 * (time_s - chapter.span.start_s)), axis=1)
    if shot % 2:
        texture = (texture[:, ::-1] * 0.8).astype(np.uint8)  # the other camera: mirrored and darker
    return texture.copy()


# ---- robots and boards


@lru_cache(maxsize=64)
def _robot(body: str, hat: str) -> np.ndarray:
    """uint8 [HAT + BODY, BODY, 3]: a framed block in the body's colour with eyes, below a block in the hat's colour."""
    sprite = np.empty((HAT + BODY, BODY, 3), np.uint8)
    sprite[:] = _RGB["black"]
    sprite[2 : HAT - 1, 2:-2] = _RGB[hat]
    sprite[HAT + 1 : -2, 2:-2] = _RGB[body]
    sprite[HAT + 9 : HAT + 15, 11:17] = sprite[HAT + 9 : HAT + 15, -17:-11] = _RGB["black"]
    sprite[HAT + 30 : HAT + 33, 14:-14] = _RGB["black"]
    return sprite


@lru_cache(maxsize=64)
def _board(name: str) -> np.ndarray:
    """uint8 [BOARD, BOARD, 3]: a white board with a black frame and a large flat symbol."""
    side = BOARD * _UP
    image = Image.new("RGB", (side, side), _RGB["white"])
    draw = ImageDraw.Draw(image)
    _GLYPHS[name](draw, side)
    draw.rectangle((0, 0, side - 1, side - 1), outline=_RGB["black"], width=3 * _UP)
    return np.asarray(image.resize((BOARD, BOARD), Image.Resampling.BOX))


def _polygon(colour: str, points: list[tuple[float, float]]):
    def draw_it(draw: ImageDraw.ImageDraw, side: int) -> None:
        draw.polygon([(x * side, y * side) for x, y in points], fill=_RGB[colour])

    return draw_it


def _star(draw: ImageDraw.ImageDraw, side: int) -> None:
    angles = -np.pi / 2 + np.arange(10) * np.pi / 5
    radii = np.where(np.arange(10) % 2 == 0, 0.40, 0.16)
    draw.polygon(
        [(side * (0.5 + r * np.cos(a)), side * (0.52 + r * np.sin(a))) for a, r in zip(angles, radii)],
        fill=_RGB["orange"],
    )


def _heart(draw: ImageDraw.ImageDraw, side: int) -> None:
    for left in (0.14, 0.46):
        draw.ellipse((left * side, 0.18 * side, (left + 0.40) * side, 0.56 * side), fill=_RGB["red"])
    draw.polygon([(0.17 * side, 0.46 * side), (0.83 * side, 0.46 * side), (0.5 * side, 0.88 * side)], fill=_RGB["red"])


def _drop(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.ellipse((0.26 * side, 0.40 * side, 0.74 * side, 0.88 * side), fill=_RGB["blue"])
    draw.polygon([(0.5 * side, 0.10 * side), (0.29 * side, 0.54 * side), (0.71 * side, 0.54 * side)], fill=_RGB["blue"])


def _moon(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.ellipse((0.14 * side, 0.12 * side, 0.86 * side, 0.88 * side), fill=_RGB["purple"])
    draw.ellipse((0.40 * side, 0.10 * side, 0.98 * side, 0.74 * side), fill=_RGB["white"])


def _cross(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.rectangle((0.38 * side, 0.12 * side, 0.62 * side, 0.88 * side), fill=_RGB["black"])
    draw.rectangle((0.12 * side, 0.38 * side, 0.88 * side, 0.62 * side), fill=_RGB["black"])


def _ring(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.ellipse((0.13 * side, 0.13 * side, 0.87 * side, 0.87 * side), outline=_RGB["cyan"], width=int(0.16 * side))


def _leaf(draw: ImageDraw.ImageDraw, side: int) -> None:
    draw.ellipse((0.28 * side, 0.10 * side, 0.72 * side, 0.76 * side), fill=_RGB["green"])
    draw.rectangle((0.46 * side, 0.70 * side, 0.54 * side, 0.90 * side), fill=_RGB["green"])


def _lamp(colour: str):
    def draw_it(draw: ImageDraw.ImageDraw, side: int) -> None:
        draw.ellipse(
            (0.20 * side, 0.10 * side, 0.80 * side, 0.68 * side),
            fill=_RGB[colour],
            outline=_RGB["black"],
            width=2 * _UP,
        )
        draw.rectangle((0.38 * side, 0.68 * side, 0.62 * side, 0.90 * side), fill=_RGB["black"])

    return draw_it


def _gate(is_open: bool):
    def draw_it(draw: ImageDraw.ImageDraw, side: int) -> None:
        inside = _RGB["cyan"] if is_open else _RGB["brown"]
        draw.rectangle(
            (0.14 * side, 0.14 * side, 0.86 * side, 0.90 * side), fill=inside, outline=_RGB["brown"], width=6 * _UP
        )
        if not is_open:
            for left in (0.30, 0.50, 0.70):
                draw.line((left * side, 0.14 * side, left * side, 0.90 * side), fill=_RGB["black"], width=2 * _UP)

    return draw_it


_GLYPHS = {
    "star": _star,
    "heart": _heart,
    "leaf": _leaf,
    "drop": _drop,
    "moon": _moon,
    "cross": _cross,
    "arrow": _polygon(
        "pink", [(0.10, 0.36), (0.52, 0.36), (0.52, 0.14), (0.92, 0.50), (0.52, 0.86), (0.52, 0.64), (0.10, 0.64)]
    ),
    "ring": _ring,
    "dark lamp": _lamp("grey"),
    "lit lamp": _lamp("yellow"),
    "shut gate": _gate(False),
    "open gate": _gate(True),
}


# ---- nuisances


def _shot(script: Script, scene: Scene, time_s: float) -> int:
    """Index of the scene's shot at ``time_s``: always 0, unless there are hard cuts within scenes (every 4 to 10 s)."""
    if "cuts" not in script.nuisances:
        return 0
    return int((time_s - scene.span.start_s) // (4 + 6 * _draws(scene.seed, 99)[0]))


def _relight(frame: np.ndarray, script: Script, chapter: Chapter, time_s: float) -> np.ndarray:
    """Apply slow changes of light, fades from black, and flashes."""
    gain = 1.0
    draws = _draws(chapter.seed, 98)
    if "light" in script.nuisances:
        gain *= 0.8 + 0.25 * np.sin(2 * np.pi * (draws[0] + time_s / (20 + 40 * draws[1])))
    if "fades" in script.nuisances:
        phase_s = (time_s - chapter.span.start_s) % (12 + 18 * draws[2])
        gain *= min(1.0, phase_s / 1.5 + 0.05)
    if gain != 1.0:
        frame = np.minimum(frame * gain, 255).astype(np.uint8)
    if "flashes" in script.nuisances and (time_s + 10 * draws[3]) % (8 + 12 * draws[4]) < 0.25:
        frame = (frame // 6 + 210).astype(np.uint8)
    return frame

"""The drawing surface of the contact sheet: takes final pixels, draws larger and downsamples for smooth edges."""

from __future__ import annotations

from PIL import Image, ImageDraw

from lmms_videominer.show.typeface import fitting, wrapped

SCALE = 2  # supersampling: Pillow draws shapes without anti-aliasing
Box = tuple[float, float, float, float]  # left, top, right, bottom


class Canvas:
    """An RGB picture of ``width`` x ``height`` final pixels."""

    def __init__(self, width: int, height: int, background: str):
        self._image = Image.new("RGB", (width * SCALE, height * SCALE), background)
        self._draw = ImageDraw.Draw(self._image)

    def rectangle(
        self, box: Box, fill: str | None = None, radius: float = 0, outline: str | None = None, width: float = 1
    ) -> None:
        left, top, right, bottom = (round(value * SCALE) for value in box)
        # Pillow's boxes include their last pixel; ours are half-open and at least one pixel wide
        corners = (left, top, max(left, right - 1), max(top, bottom - 1))
        self._draw.rounded_rectangle(corners, radius * SCALE, fill, outline, round(width * SCALE))

    def line(self, points: list[tuple[float, float]], fill: str, width: float = 1) -> None:
        scaled = [(x * SCALE, y * SCALE) for x, y in points]
        self._draw.line(scaled, fill, max(1, round(width * SCALE)), joint="curve")

    def disc(self, x: float, y: float, radius: float, fill: str, outline: str | None = None) -> None:
        self._draw.circle((x * SCALE, y * SCALE), radius * SCALE, fill, outline, SCALE)

    def text(
        self,
        x: float,
        y: float,
        text: str,
        size: int,
        fill: str,
        anchor: str = "la",
        bold: bool = False,
        like: str = "",
    ) -> None:
        """Draw ``text`` at (x, y), in a font that can also show ``like``; ``anchor`` as in Pillow.

        Pillow's own font has one weight, so bold is drawn as a stroke.
        """
        text, font = fitting(text, size * SCALE, like)
        stroke = size * SCALE / 60 if bold else 0
        self._draw.text((x * SCALE, y * SCALE), text, fill, font, anchor, stroke_width=stroke)

    def triangle(self, x: float, y: float, size: float, fill: str) -> None:
        """Draw a triangle that points down to (x, y)."""
        corners = [(x, y), (x - size / 2, y - size), (x + size / 2, y - size)]
        self._draw.polygon([(a * SCALE, b * SCALE) for a, b in corners], fill)

    def paste(self, picture: Image.Image, box: Box) -> None:
        """Paste ``picture``, stretched to ``box``: choose a box with the picture's aspect ratio."""
        left, top, right, bottom = (round(value * SCALE) for value in box)
        self._image.paste(picture.resize((right - left, bottom - top), Image.Resampling.BICUBIC), (left, top))

    def render(self) -> Image.Image:
        return self._image.reduce(SCALE)


def text_width(text: str, size: int) -> float:
    """Width of ``text`` in final pixels."""
    text, font = fitting(text, size * SCALE)
    return font.getlength(text) / SCALE


def wrap(text: str, size: int, width: float, most_lines: int) -> list[str]:
    """``typeface.wrapped`` in final pixels, measured at the supersampled size."""
    return wrapped(text, size * SCALE, width * SCALE, most_lines)

"""Cut-outs for a corpus, backgrounds."""

import io
import re

from PIL import Image, ImageOps

from DiffBinaural.utils.media import DAMAGED

LARGEST = 400  # pixels: the longer side of a cut-out
SMALLEST = 24
WIDEST = 960  # pixels: width of a background
# a drawing may name pictures to put in; it has no business with the files of this machine
NAMES_A_FILE = re.compile(rb"""<image[^>]*href\s*=\s*["'](?!data:|\#)""", re.IGNORECASE | re.DOTALL)


def decoded_picture(content: bytes) -> Image.Image:
    """A picture file's content, upright, as RGBA where it has alpha, else RGB.

    Raises ValueError where it cannot be decoded.
    """
    try:
        picture = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
        return picture.convert("RGBA" if picture.has_transparency_data else "RGB")
    except (*DAMAGED, ValueError) as error:
        raise ValueError(f"cannot be decoded ({error})") from None


def cut_out(picture: Image.Image) -> Image.Image | None:
    """A picture without its transparent margins, LARGEST at most; None where nothing or little is left."""
    if picture.mode == "RGBA":
        solid = picture.getchannel("A").point(lambda alpha: 255 * (alpha > 8)).getbbox()
        if solid is None:
            return None
        picture = picture.crop(solid)
    picture.thumbnail((LARGEST, LARGEST), Image.Resampling.LANCZOS)
    return picture if min(picture.size) >= SMALLEST else None


def cut_out_of(content: bytes, suffix: str) -> Image.Image | None:
    """A picture file's content, or that of a drawing (suffix .svg), as a :func:`cut_out`."""
    return cut_out(drawn(content) if suffix == ".svg" else decoded_picture(content))


def background(content: bytes) -> Image.Image:
    """A picture file's content as RGB, WIDEST at most."""
    picture = decoded_picture(content).convert("RGB")
    picture.thumbnail((WIDEST, WIDEST), Image.Resampling.LANCZOS)
    return picture


def drawn(svg: bytes) -> Image.Image:
    """A drawing in SVG as RGBA, its longer side 2 LARGEST: many are small on an empty page.

    Raises ValueError where it cannot be drawn, names files, or resvg-py is not installed.
    """
    try:
        import resvg_py
    except ImportError:
        raise ValueError("drawings need resvg-py; pip install resvg-py") from None
    if NAMES_A_FILE.search(svg):
        raise ValueError("names a file to be put in")
    small = decoded_picture(_rendered(resvg_py, svg, width=64))
    longer = "width" if small.width >= small.height else "height"
    return decoded_picture(_rendered(resvg_py, svg, **{longer: 2 * LARGEST}))


def _rendered(resvg_py, svg: bytes, **size: int) -> bytes:
    try:
        return resvg_py.svg_to_bytes(svg_string=svg.decode(), skip_system_fonts=True, dpi=96, **size)
    except ValueError as error:  # UnicodeDecodeError is one
        raise ValueError(f"cannot be drawn ({error})") from None

"""Writes a small picture in every kind of file that Pillow reads, with the pixels that it reads there.

    python kinds.py OUTDIR

Prints one JSON list of {file, width, height, expected}; `expected` is a file of raw RGB bytes, or null where
Pillow refuses. Kinds that Pillow cannot write are put together here, after the formats' descriptions.
"""

import io
import json
import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image
from pixels import drawn

WIDTH, HEIGHT = 61, 43
RANDOM = np.random.default_rng(5)
DEEP = RANDOM.integers(0, 65536, (HEIGHT, WIDTH, 4))
BYTES = (DEEP >> 8).astype(np.uint8)
PALETTE = RANDOM.integers(0, 256, (256, 3)).astype(np.uint8)


def integers(low, high, *more):
    return RANDOM.integers(low, high, (HEIGHT, WIDTH, *more))


def packed(rows, bits, align=1):
    """Values of a few bits, each row from a new byte (or word) on."""
    wide = [np.unpackbits(row.astype(np.uint8)[:, None], axis=1)[:, 8 - bits :] for row in rows]
    rows = [np.packbits(row.ravel()).tobytes() for row in wide]
    return [row + b"\0" * (-len(row) % align) for row in rows]


def gif(image, canvas, place, **options):
    """A GIF whose first frame has another size than the canvas, or another place on it."""
    buffer = io.BytesIO()
    image.save(buffer, format="GIF", **options)
    whole = bytearray(buffer.getvalue())
    whole[6:10] = struct.pack("<HH", *canvas)
    at = 13 + (3 * 2 ** ((whole[10] & 7) + 1) if whole[10] & 0x80 else 0)
    while whole[at] == 0x21:
        at += 2
        while whole[at]:
            at += whole[at] + 1
        at += 1
    whole[at + 1 : at + 5] = struct.pack("<HH", *place)
    return bytes(whole)


def png(rows, depth, colours, extra=()):
    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", WIDTH, HEIGHT, depth, colours, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [(b"IHDR", header), *extra, (b"IDAT", data), (b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def bmp(bits, data, masks=(), palette=b"", height=HEIGHT):
    said = struct.pack(f"<{len(masks)}I", *masks)
    start = 54 + len(said) + len(palette)
    header = struct.pack(
        "<IiiHHIIiiII", 40, WIDTH, height, 1, bits, 3 if masks else 0, len(data), 2835, 2835, 0, 0
    )
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + header + said + palette + data


def tiff(bits, meaning, samples, data, order="<", **more):
    """A TIFF of one strip. `more` are tags by number: t339=(3,) for floating point."""
    tags = {256: WIDTH, 257: HEIGHT, 258: [bits] * samples, 259: 1, 262: meaning, 277: samples}
    tags |= {278: HEIGHT, 279: len(data)} | {int(name[1:]): list(value) for name, value in more.items()}
    tags[273] = 0
    entries, values = b"", b""
    start = 8 + 2 + 12 * len(tags) + 4
    size = sum(2 * len(v) for v in tags.values() if isinstance(v, list) and len(v) > 2)
    tags[273] = start + size
    for tag, value in sorted(tags.items()):
        kind, letter = (3, "H") if isinstance(value, list) else (4, "I")
        numbers = value if isinstance(value, list) else [value]
        raw = struct.pack(f"{order}{len(numbers)}{letter}", *numbers)
        if len(raw) > 4:
            raw, values = struct.pack(order + "I", start + len(values)), values + raw
        entries += struct.pack(order + "HHI", tag, kind, len(numbers)) + raw.ljust(4, b"\0")
    begin = b"II*\0" if order == "<" else b"MM\0*"
    head = struct.pack(order + "I", 8) + struct.pack(order + "H", len(tags))
    return begin + head + entries + b"\0" * 4 + values + data


def portable(magic, largest, data):
    return b"%s\n# a comment\n%d %d\n%d\n" % (magic, WIDTH, HEIGHT, largest) + data


def text(values):
    return b"\n".join(b" ".join(b"%d" % value for value in row) for row in values)


def by_hand():
    """Each file's name and bytes."""
    picture = drawn(WIDTH, HEIGHT, 1)
    few = picture.quantize(64)
    yield "small_first.gif", gif(few, (80, 60), (7, 9))
    yield "small_first_transparent.gif", gif(few, (80, 60), (7, 9), transparency=3)
    yield "as_wide.gif", gif(few, (WIDTH, 60), (0, 9))
    yield "sticks_out.gif", gif(few, (50, 30), (7, 9))
    yield "interlaced.gif", gif(few, (WIDTH, HEIGHT), (0, 0), interlace=1)

    deep = [row.astype(">u2").tobytes() for row in DEEP[..., 0]]
    grey = struct.pack(">H", int(DEEP[0, 0, 0]))
    yield "grey16.png", png(deep, 16, 0)
    yield "grey16_transparent.png", png(deep, 16, 0, [(b"tRNS", grey)])
    yield "rgb16.png", png([row.astype(">u2").tobytes() for row in DEEP[..., :3]], 16, 2)
    for bits in (1, 2, 4, 8):
        rows = packed(integers(0, 2**bits), bits)
        colours = (b"PLTE", PALETTE[: 2**bits].tobytes())
        yield f"grey{bits}.png", png(rows, bits, 0)
        yield f"grey{bits}_transparent.png", png(rows, bits, 0, [(b"tRNS", b"\0\1")])
        yield f"palette{bits}.png", png(rows, bits, 3, [colours])
        yield f"palette{bits}_transparent.png", png(rows, bits, 3, [colours, (b"tRNS", b"\0\x80")])

    words = b"".join(row.astype("<u2").tobytes() + b"\0\0" for row in DEEP[..., 0])
    yield "555.bmp", bmp(16, words)
    yield "565.bmp", bmp(16, words, (0xF800, 0x7E0, 0x1F))
    yield "555_masks.bmp", bmp(16, words, (0x7C00, 0x3E0, 0x1F))
    yield "565_from_the_top.bmp", bmp(16, words, (0xF800, 0x7E0, 0x1F), height=-HEIGHT)
    yield "32.bmp", bmp(32, BYTES.tobytes())
    for bits in (1, 4, 8):
        rows = packed(integers(0, 2**bits), bits, 4)
        colours = np.pad(PALETTE[: 2**bits], ((0, 0), (0, 1))).tobytes()
        yield f"palette{bits}.bmp", bmp(bits, b"".join(rows), palette=colours)

    for largest in (1, 7, 100, 255, 256, 1023, 4095, 65535):
        kind = np.uint8 if largest < 256 else ">u2"
        grey, colours = integers(0, largest + 1), integers(0, largest + 1, 3)
        yield f"grey_{largest}.pgm", portable(b"P5", largest, grey.astype(kind).tobytes())
        yield f"rgb_{largest}.ppm", portable(b"P6", largest, colours.astype(kind).tobytes())
        yield f"grey_{largest}_text.pgm", portable(b"P2", largest, text(grey))
        yield f"rgb_{largest}_text.ppm", portable(b"P3", largest, text(colours.reshape(HEIGHT, -1)))
    yield "too_large_values.ppm", portable(b"P6", 100, BYTES[..., :3].tobytes())
    yield "float.pfm", b"Pf\n%d %d\n-1.0\n" % (WIDTH, HEIGHT) + DEEP[..., 0].astype("<f4").tobytes()

    channel = [int(value) for value in PALETTE.T.ravel()]
    for bits in (1, 2, 4, 8):
        rows = b"".join(packed(integers(0, 2**bits), bits))
        colours = [int(value) * 257 for value in PALETTE[: 2**bits].T.ravel()]
        yield f"palette{bits}.tif", tiff(bits, 3, 1, rows, t320=colours)
        yield f"black_is_zero{bits}.tif", tiff(bits, 1, 1, rows)
        yield f"white_is_zero{bits}.tif", tiff(bits, 0, 1, rows)
    full = [value * 257 for value in channel]
    yield "palette_big_endian.tif", tiff(8, 3, 1, BYTES[..., 0].tobytes(), ">", t320=full)
    yield "palette_alpha.tif", tiff(8, 3, 2, BYTES[..., :2].tobytes(), t320=full, t338=(2,))
    yield "grey_alpha.tif", tiff(8, 1, 2, BYTES[..., :2].tobytes(), t338=(2,))
    yield "grey_and_more.tif", tiff(8, 1, 2, BYTES[..., :2].tobytes(), t338=(0,))
    yield "premultiplied.tif", tiff(8, 2, 4, BYTES.tobytes(), t338=(1,))
    yield "alpha.tif", tiff(8, 2, 4, BYTES.tobytes(), t338=(2,))
    yield "rgb16.tif", tiff(16, 2, 3, DEEP[..., :3].astype("<u2").tobytes())
    yield "grey16.tif", tiff(16, 1, 1, DEEP[..., 0].astype("<u2").tobytes())
    yield "white_is_zero16.tif", tiff(16, 0, 1, DEEP[..., 0].astype("<u2").tobytes())
    yield "cmyk.tif", tiff(8, 5, 4, BYTES.tobytes())
    yield "cmyk16.tif", tiff(16, 5, 4, DEEP.astype("<u2").tobytes())
    yield "cmyk_and_more.tif", tiff(8, 5, 5, np.dstack([BYTES, BYTES[..., 0]]).tobytes(), t338=(0,))
    yield "signed8.tif", tiff(8, 1, 1, BYTES[..., 0].tobytes(), t339=(2,))
    yield "signed16.tif", tiff(16, 1, 1, integers(-300, 600).astype("<i2").tobytes(), t339=(2,))
    yield "signed32.tif", tiff(32, 1, 1, integers(-300, 600).astype("<i4").tobytes(), t339=(2,))
    yield "unsigned32.tif", tiff(32, 1, 1, integers(0, 600).astype("<u4").tobytes())
    values = RANDOM.random((HEIGHT, WIDTH)) * 300 - 20
    yield "float32.tif", tiff(32, 1, 1, values.astype("<f4").tobytes(), t339=(3,))
    yield "float64.tif", tiff(64, 1, 1, values.astype("<f8").tobytes(), t339=(3,))


def by_pillow(folder):
    """Has Pillow write what it can."""
    picture = drawn(WIDTH, HEIGHT, 1)
    cmyk, grey, few = picture.convert("CMYK"), picture.convert("L"), picture.quantize(64)
    for name, image, options in [
        ("jpeg.tif", picture, {"compression": "jpeg"}),
        ("jpeg_grey.tif", grey, {"compression": "jpeg"}),
        ("jpeg_cmyk.tif", cmyk, {"compression": "jpeg"}),
        ("jpeg_ycbcr.tif", picture.convert("YCbCr"), {"compression": "jpeg"}),
        ("group3.tif", picture.convert("1"), {"compression": "group3"}),
        ("group4.tif", picture.convert("1"), {"compression": "group4"}),
        ("packbits.tif", picture, {"compression": "packbits"}),
        ("deflate.tif", few, {"compression": "tiff_adobe_deflate"}),
        ("lzma.tif", picture, {"compression": "lzma"}),
        ("zstd.tif", picture, {"compression": "zstd"}),
        ("large_kind.tif", picture, {"big_tiff": True}),
        ("large_kind_palette.tif", few, {"big_tiff": True}),
        ("lab.tif", picture.convert("LAB"), {}),
        ("ycbcr.tif", picture.convert("YCbCr"), {}),
        ("animated.gif", few, {"save_all": True, "append_images": [drawn(WIDTH, HEIGHT, 2)]}),
        ("grey.gif", grey, {}),
        ("lossy.webp", picture, {"quality": 70}),
        ("alpha.webp", picture.convert("RGBA"), {"quality": 70}),
        ("cmyk.jpg", cmyk, {"quality": 90}),
        ("cmyk_subsampled.jpg", cmyk, {"quality": 90, "subsampling": "4:2:0"}),
        ("rgb.jpg", picture, {"keep_rgb": True}),
    ]:
        image.save(folder / name, **options)
        yield name


def main(folder):
    names = list(by_pillow(folder))
    for name, encoded in by_hand():
        (folder / name).write_bytes(encoded)
        names.append(name)
    found = []
    for name in names:
        case = {"file": name, "width": 0, "height": 0, "expected": None}
        try:
            with Image.open(folder / name) as opened:
                rgb = opened.convert("RGB")
            (folder / f"{name}.rgb").write_bytes(rgb.tobytes())
            case |= {"width": rgb.width, "height": rgb.height, "expected": f"{name}.rgb"}
        except OSError:
            pass
        found.append(case)
    print(json.dumps(found))


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

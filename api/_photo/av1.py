"""How large the frames of an AV1 stream are, as its headers say.

The header of a sequence states the greatest frame. A frame may state a size of its own, and decoders do not mind if
that one is larger: so both are read.

Layout: AV1 Bitstream & Decoding Process Specification 5.5 (sequences) and 5.9 (frames).
"""

from dataclasses import dataclass

_KEY_FRAME, _SWITCH_FRAME = 0, 3
# What a sequence says where each frame chooses for itself.
_EACH_FRAME = 2


class _Bits:
    """Bits from the first byte on, the highest first."""

    def __init__(self, data: bytes) -> None:
        self._value = int.from_bytes(data, "big")
        self._left = 8 * len(data)

    def take(self, count: int) -> int:
        """The next `count` bits as a number.

        Raises:
            IndexError: there are no more so many.
        """
        self._left -= count
        if self._left < 0:
            raise IndexError("a header of AV1 is cut off")
        return self._value >> self._left & (1 << count) - 1


@dataclass
class Sequence:
    """What a sequence header says that sizes depend on, or that stands in front of them in the headers of frames.

    Attributes:
        pixels: of the greatest frame that it allows.
        width_bits, height_bits: of the size of a frame that states its own.
        reduced: a still picture with a short header, whose frame cannot state its own.
        decoder_model: headers of frames say when a decoder shows and forgets them.
        time_bits: of the time when a frame is shown; 0 where none is told.
        id_bits: of the number that frames carry; 0 where they have none.
        screen_content, integer_motion: 0, 1, or 2 where each frame chooses.
        order_bits: of a frame's place in the order; 0 where it is not told.
    """

    pixels: int = 0
    width_bits: int = 0
    height_bits: int = 0
    reduced: bool = False
    decoder_model: bool = False
    time_bits: int = 0
    id_bits: int = 0
    screen_content: int = _EACH_FRAME
    integer_motion: int = _EACH_FRAME
    order_bits: int = 0


def read_sequence(body: bytes) -> Sequence:
    """Reads the header of a sequence.

    Raises:
        IndexError: it is cut off.
    """
    bits, sequence = _Bits(body), Sequence()
    bits.take(4)  # profile, still picture
    sequence.reduced = bool(bits.take(1))
    if sequence.reduced:
        bits.take(5)
    else:
        _operating_points(bits, sequence)
    sequence.width_bits, sequence.height_bits = bits.take(4) + 1, bits.take(4) + 1
    width, height = bits.take(sequence.width_bits) + 1, bits.take(sequence.height_bits) + 1
    sequence.pixels = width * height
    if not sequence.reduced:
        _tools(bits, sequence)
    return sequence


def _operating_points(bits: _Bits, sequence: Sequence) -> None:
    delay_bits = 0
    if bits.take(1):  # timing info
        bits.take(64)
        equal_interval = bits.take(1)
        if equal_interval:  # how long, as an Exp-Golomb number
            zeros = 0
            while not bits.take(1):
                zeros += 1
            bits.take(zeros)
        if bits.take(1):
            sequence.decoder_model = True
            delay_bits = bits.take(5) + 1
            bits.take(37)
            time_bits = bits.take(5) + 1
            sequence.time_bits = 0 if equal_interval else time_bits
    has_display_delay = bits.take(1)
    for _ in range(bits.take(5) + 1):
        bits.take(12)
        if bits.take(5) > 7:
            bits.take(1)
        if delay_bits and bits.take(1):
            bits.take(2 * delay_bits + 1)
        if has_display_delay and bits.take(1):
            bits.take(4)


def _tools(bits: _Bits, sequence: Sequence) -> None:
    if bits.take(1):  # frames have numbers
        delta = bits.take(4) + 2
        sequence.id_bits = bits.take(3) + 1 + delta
    bits.take(3 + 4)  # block size, two filters; four ways to predict
    ordered = bits.take(1)
    if ordered:
        bits.take(2)
    sequence.screen_content = _EACH_FRAME if bits.take(1) else bits.take(1)
    if sequence.screen_content:
        sequence.integer_motion = _EACH_FRAME if bits.take(1) else bits.take(1)
    if ordered:
        sequence.order_bits = bits.take(3) + 1


def frame_pixels(sequence: Sequence, body: bytes) -> int:
    """The size that the header of a frame states, in pixels; the sequence's where it states none.

    Of a frame that a decoder cannot begin with it is the greatest that the header has room for.

    Raises:
        IndexError: the header is cut off.
    """
    bits = _Bits(body)
    if sequence.reduced or bits.take(1):  # it can't, or an earlier frame is shown again
        return sequence.pixels
    kind, shown = bits.take(2), bits.take(1)
    if shown:
        bits.take(sequence.time_bits)
    else:
        bits.take(1)
    begins = kind == _KEY_FRAME and bool(shown)
    if not begins and kind != _SWITCH_FRAME:
        bits.take(1)  # error resilient
    bits.take(1)
    screen_content = bits.take(1) if sequence.screen_content == _EACH_FRAME else sequence.screen_content
    if screen_content and sequence.integer_motion == _EACH_FRAME:
        bits.take(1)
    bits.take(sequence.id_bits)
    if kind != _SWITCH_FRAME and not bits.take(1):
        return sequence.pixels
    if not begins or sequence.decoder_model:
        return 1 << sequence.width_bits + sequence.height_bits
    bits.take(sequence.order_bits)
    return int((bits.take(sequence.width_bits) + 1) * (bits.take(sequence.height_bits) + 1))

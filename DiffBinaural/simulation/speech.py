"""Synthetic speech: random sentences, spoken by espeak-ng's formant synthesis."""

import ctypes
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from DiffBinaural.simulation.signals import Rng, at_unit_level
from DiffBinaural.utils.audio import write_wav

ESPEAK_RATE = 22_050  # Hz, of every voice of espeak-ng that needs no further download
RETRIEVAL, UTF8, OK = 1, 1, 0  # espeak-ng/speak_lib.h: AUDIO_OUTPUT_RETRIEVAL, espeakCHARS_UTF8
SPEED, PITCH, RANGE = 1, 3, 4  # parameters: words a minute; 0 to 100; 0 to 100
# language -> who, does, what: any of each, one after the other, is a sentence
WORDS = {
    "en-us": (
        "The old sailor|My neighbour|A grey cat|Every teacher|The quiet girl|Our train|Nobody here",
        "carries|has lost|remembers|looks for|cannot see|will bring|counts|slowly follows",
        "a wooden box|seven white stones|the road to the sea|yesterday's letter|a cup of hot tea",
    ),
    "en-029": (
        "The captain|A tall woman|His brother|The first guest|Some children|A young fox|The clock",
        "never keeps|has found|waited for|would like|passes by|must show us|thinks of",
        "the garden gate|a loaf of bread|three small keys|the northern hills|twenty green apples",
    ),
    "de": (
        "Der alte Mann|Meine Schwester|Ein kleiner Hund|Die Lehrerin|Unser Nachbar|Der Zug",
        "sucht|findet heute|sieht|vergisst|bringt uns|zeigt dir",
        "den roten Schlüssel|eine warme Suppe|das offene Fenster|die lange Straße|ein stilles Haus",
    ),
    "fr": (
        "Le vieux marin|Ma voisine|Un petit chat|La maîtresse|Notre ami|Le train",
        "cherche|trouve|regarde|oublie|nous apporte|attend",
        "la clé rouge|une soupe chaude|la fenêtre ouverte|le chemin du port|une maison calme",
    ),
    "es": (
        "El viejo marinero|Mi vecina|Un gato pequeño|La maestra|Nuestro amigo|El tren",
        "busca|encuentra|mira|olvida|nos trae|espera",
        "la llave roja|una sopa caliente|la ventana abierta|el camino del puerto|una casa tranquila",
    ),
    "it": (
        "Il vecchio marinaio|La mia vicina|Un piccolo gatto|La maestra|Il nostro amico|Il treno",
        "cerca|trova|guarda|dimentica|ci porta|aspetta",
        "la chiave rossa|una zuppa calda|la finestra aperta|la strada del porto|una casa tranquilla",
    ),
}
VARIANTS = ("m1", "m2", "m3", "m4", "m5", "m6", "m7", "f1", "f2", "f3", "f4", "f5")


@dataclass(frozen=True)
class Utterance:
    """A text and the voice that speaks it."""

    text: str
    voice: str  # of espeak-ng: language, or language+variant
    speed: int  # words a minute
    pitch: int  # 0 to 100
    liveliness: int  # range of the pitch, 0 to 100


def draw_utterance(rng: Rng) -> Utterance:
    """Draw two sentences in one of six languages, one of twelve voices, a speed, a pitch."""
    language = list(WORDS)[rng.integers(len(WORDS))]
    parts = [column.split("|") for column in WORDS[language]]
    sentences = [" ".join(column[rng.integers(len(column))] for column in parts) for _ in range(2)]
    variant = VARIANTS[rng.integers(len(VARIANTS))]
    speed, pitch, liveliness = rng.integers([130, 25, 30], [200, 76, 81]).tolist()
    return Utterance(". ".join(sentences) + ".", f"{language}+{variant}", speed, pitch, liveliness)


def synthesise(utterance: Utterance) -> np.ndarray:
    """Synthesise an utterance: (N,) float64 at ESPEAK_RATE, in [-1, 1].

    The library keeps state from call to call and can be initialised only once; the result is reproducible
    only for the first call in a process.
    Raises ValueError when espeak-ng does not have the voice.
    """
    import espeakng_loader

    library, blocks = ctypes.CDLL(espeakng_loader.get_library_path()), []

    @ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)
    def collect(samples, count, _events):
        if samples and count:
            blocks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return OK

    rate = library.espeak_Initialize(RETRIEVAL, 0, str(espeakng_loader.get_data_path()).encode(), 0)
    assert rate == ESPEAK_RATE, rate
    library.espeak_ng_SetRandSeed(ctypes.c_long(0))
    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(utterance.voice.encode()) != OK:
        raise ValueError(f"espeak-ng has no voice {utterance.voice}")
    for name, value in ((SPEED, utterance.speed), (PITCH, utterance.pitch), (RANGE, utterance.liveliness)):
        library.espeak_SetParameter(name, value, 0)
    text = utterance.text.encode()
    library.espeak_Synth(text, ctypes.c_size_t(len(text) + 1), 0, 1, 0, UTF8, None, None)
    library.espeak_Synchronize()
    return np.concatenate(blocks) / 32768


def write_utterance(number: int, folder: Path, seed: int) -> None:
    """Synthesise an utterance by its number and write it as vowel_speech_<number>.wav, unless that exists.

    The name gives the source the shape of the vowel family, a face.
    """
    path = folder / f"vowel_speech_{number:05d}.wav"
    if not path.exists():
        sound = at_unit_level(synthesise(draw_utterance(np.random.default_rng([seed, number]))))
        write_wav(path, 0.9 * (sound / np.abs(sound).max())[None], ESPEAK_RATE)

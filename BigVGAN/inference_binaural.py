"""Copy synthesis, or a folder of mel pairs, through the vocoder:

python BigVGAN/inference_binaural.py --checkpoint_file checkpoints/vocoder/g_best.pth \\
    --input_wavs_dir data/real/processed/binaural_audios_22050Hz --output_dir generated/copy

With --renderer mono_phase it is what the phase between the ears can give at best: true mels and phasor,
rendered on the phase of (L+R)/2.
"""

from BigVGAN.bigvgan import wanted_generator
from BigVGAN.meldataset import MelFolder, WavFolder
from BigVGAN.settings import CopySynthesisConfig
from BigVGAN.synthesis import FlatWriter, mono_reader, vocode_folder
from DiffBinaural.utils.arguments import run


def main(cfg: CopySynthesisConfig) -> None:
    """Write one stereo wav for every sound or mel pair."""
    vocoder, mel = wanted_generator(cfg)
    mono_of = None if vocoder else mono_reader(cfg.input_wavs_dir, mel.sample_rate)
    items = (
        WavFolder(cfg.input_wavs_dir, mel, cfg.list, phasor=vocoder is None)
        if cfg.input_wavs_dir
        else MelFolder(cfg.input_mels_dir, mel, cfg.list)
    )
    vocode_folder(vocoder, items, cfg, FlatWriter(cfg), mono_of, cfg.input_wavs_dir)


if __name__ == "__main__":
    run(main)

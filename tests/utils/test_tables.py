"""CSV tables in the encodings, with the delimiters of spreadsheets; columns, fields, times."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from DiffBinaural.utils.lists import read_clips, read_detections
from DiffBinaural.utils.tables import nearest, read_rows, seconds

TEXT = "video_id,start_time,end_time\nflöte,0:30,1:02.5\n"


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "latin-1", "cp1252"]
)
def test_a_table_is_the_same_however_it_is_written(tmp_path, capsys, encoding, delimiter):
    path = tmp_path / f"{encoding}.csv"
    path.write_bytes(TEXT.replace(",", delimiter).encode(encoding))
    (clip,) = read_clips(path)
    assert (clip.video_id, clip.start, clip.end) == ("flöte", 30.0, 62.5)
    usual = delimiter == "," and encoding.startswith("utf-8")
    assert (str(path) in capsys.readouterr().err) == (not usual), "what is unusual is said"
    read_clips(path)
    assert not capsys.readouterr().err, "once"


BOXES = "video_id,frame,x1,y1,x2,y2,score"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("video_id,starttime\na,1\n", "start_time"),
        ("Video_ID\na\n", "Video_ID"),
        ("video_id,colour\na,red\n", "'colour'"),
        ("video_id,video_id\na,b\n", "two columns"),
        ("video_id,start_time,end_time\na,0,1,5\n", "line 2 has more fields"),
        ("video_id,start_time,\na,0,5\n", "line 2 has more fields"),
        ("video_id;start_time\na;1,5\n", "decimal point"),
        ("video_id,start_time\na,1:75\n", "mm:ss"),
        (b"\x00\x01\x02\x03", "no column video_id"),
    ],
)
def test_what_a_table_has_too_much_or_wrong_is_an_error_that_names_it(tmp_path, text, said):
    path = tmp_path / "list.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(ValueError, match=r"list\.csv") as error:
        read_clips(path)
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_empty_fields_at_the_end_of_lines_mean_nothing(tmp_path):
    (tmp_path / "a.csv").write_text("video_id,start_time,,\na,1,,\nb,2,,,,\n")
    assert [clip.start for clip in read_clips(tmp_path / "a.csv")] == [1, 2]


def test_detections_have_their_columns_and_no_others(tmp_path):
    (tmp_path / "a.csv").write_text(f"{BOXES},lable\nv,1,0,0,9,9,1,dog\n")
    with pytest.raises(ValueError, match="is label meant"):
        read_detections(tmp_path / "a.csv", 10)
    (tmp_path / "a.csv").write_text("video_id;time;x1;y1;x2;y2;score\nv;1:01;0;0;9;9;1\n")
    assert read_detections(tmp_path / "a.csv", 10)["v"][0].time == 61


def test_other_columns_are_free_where_none_are_stated(tmp_path):
    (tmp_path / "a.csv").write_text("id,more\n1,2\n")
    assert read_rows(tmp_path / "a.csv", ("id",)) == [{"id": "1", "more": "2"}]


@given(st.integers(0, 9), st.integers(0, 59), st.integers(0, 59_999))
def test_clock_times_are_seconds(hours, minutes, milliseconds):
    rest = milliseconds / 1000
    text = f"{hours}:{minutes:02d}:{rest:06.3f}"
    assert seconds({"t": text}, "t", "") == pytest.approx(3600 * hours + 60 * minutes + rest)
    assert seconds({"t": f"{60 * hours + minutes}:{rest:06.3f}"}, "t", "") == seconds({"t": text}, "t", "")


@pytest.mark.parametrize(
    ("word", "near"), [("ouput", "output"), ("Start Time", "start_time"), ("x", ""), ("Fov", "fov")]
)
def test_the_nearest_name(word, near):
    assert nearest(word, ("output", "start_time", "fov", "input_video")) == near

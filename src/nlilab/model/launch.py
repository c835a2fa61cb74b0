"""Several processes for one training: a stage starts itself again under `accelerate launch`."""

import logging
import os
import subprocess
import sys

import torch

from nlilab.core.errors import UserError

RANK, COUNT = "RANK", "WORLD_SIZE"  # what the launcher tells each process


def process() -> int:
    """The number of this process among those of one training; 0 writes the files and talks."""
    return int(os.environ.get(RANK, 0))


def processes() -> int:
    """How many processes take part in this training."""
    return int(os.environ.get(COUNT, 1))


def launched() -> bool:
    """Whether this is one of several processes that a launcher started."""
    return RANK in os.environ


def launch(module: str, arguments: list[str], count: int) -> None:
    """Run `module` in `count` processes that train one model, and wait for them to end."""
    gpus = torch.cuda.device_count()
    if gpus and count > gpus:
        raise UserError(f"train.processes: got {count}, but there are {gpus} GPUs; each process needs one of its own")
    threads = os.environ.get("OMP_NUM_THREADS") or max(1, (os.cpu_count() or 1) // count)
    # Not --cpu: it means one process (of several machines); without a GPU the processes find the CPU by themselves.
    command = [
        *(sys.executable, "-m", "nlilab.model.launch", "--multi_gpu", "--num_processes", str(count)),
        *("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no"),
        *("--main_process_port", "0", "--num_cpu_threads_per_process", str(threads)),
        *("--module", module, *arguments),
    ]
    done = subprocess.run(command, check=False)
    if done.returncode:
        raise UserError(f"one of {count} processes of {module} failed (exit code {done.returncode}): see above for why")


def handed_over(module: str, arguments: list[str], count: int) -> bool:
    """Whether `count` other processes have just done the work; False in each of them, and where one is enough."""
    if count == 1 or launched():
        return False
    launch(module, arguments, count)
    return True


def own_lock() -> None:
    """Give each process of a training a command line, and so a lock, of its own (see `command.run`)."""
    if launched():
        sys.argv[0] += f"#{process()}"


def main() -> None:
    """`accelerate launch`, without its traceback where a process fails: that one has said why."""
    from accelerate.commands.launch import main as accelerate_launch
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    logging.disable()
    try:
        accelerate_launch()
    except ChildFailedError as error:
        sys.exit(error.get_first_failure()[1].exitcode)


if __name__ == "__main__":
    main()

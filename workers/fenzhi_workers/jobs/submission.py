"""Submission jobs (上报作业)."""

from __future__ import annotations

from fenzhi.services.submission.batches import JUDGE_BATCH
from fenzhi.services.submission.filing import GATHER
from fenzhi.services.submission.gather import gather_filed
from fenzhi.services.submission.judge import judge_batch
from fenzhi.services.submission.qc_simulation import SIMULATE, simulate

HANDLERS = {JUDGE_BATCH: judge_batch, GATHER: gather_filed, SIMULATE: simulate}

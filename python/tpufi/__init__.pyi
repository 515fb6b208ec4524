# SPDX-License-Identifier: Apache-2.0
"""What `__init__.py` imports when it is used, for editors and type checkers."""

from tpufi.campaign.own_step.monitors import Monitor as Monitor
from tpufi.campaign.own_step.monitors import gradient_norm_above as gradient_norm_above
from tpufi.campaign.own_step.monitors import loss_above as loss_above
from tpufi.campaign.own_step.monitors import not_finite as not_finite
from tpufi.campaign.own_step.training_campaign import (
    TrainingCampaign as TrainingCampaign,
)
from tpufi.campaign.own_step.training_program import TrainingProgram as TrainingProgram
from tpufi.data import Batches as Batches
from tpufi.data import Dataset as Dataset
from tpufi.data import load_dataset as load_dataset
from tpufi.descriptor import read_record as read_record
from tpufi.errors import InputError as InputError
from tpufi.experiment.replay import replay as replay
from tpufi.faults.catalogue import any_fault_model as any_fault_model
from tpufi.faults.csv import read_injection as read_injection
from tpufi.faults.csv import write_injection as write_injection
from tpufi.faults.elements import Groups as Groups
from tpufi.faults.fault_model import FaultModel as FaultModel
from tpufi.faults.injection import Injection as Injection
from tpufi.faults.jsonl import fault_line as fault_line
from tpufi.faults.plan import SamplingPlan as SamplingPlan
from tpufi.faults.plan import SiteSpace as SiteSpace
from tpufi.faults.plan import equally as equally
from tpufi.faults.sampler import Sampler as Sampler
from tpufi.faults.values import FlipBits as FlipBits
from tpufi.golden import GoldenConfig as GoldenConfig
from tpufi.golden import train_golden as train_golden
from tpufi.instrument import WeightFault as WeightFault
from tpufi.instrument import flip as flip
from tpufi.instrument import instrument as instrument
from tpufi.instrument import replace as replace
from tpufi.instrument import zero as zero
from tpufi.instrument.callback import InjectionCallback as InjectionCallback
from tpufi.instrument.inference import InferenceCampaign as InferenceCampaign
from tpufi.instrument.inference import activation_bounds as activation_bounds
from tpufi.models import WORKLOADS as WORKLOADS
from tpufi.models import sites as sites
from tpufi.ops import flip_bits as flip_bits
from tpufi.ops import inject_fault as inject_fault
from tpufi.ops import inject_random as inject_random
from tpufi.ops import zero_out as zero_out
from tpufi.outcomes.outcome import Point as Point
from tpufi.outcomes.outcome import classify as classify
from tpufi.outcomes.outcome_thresholds import read_thresholds as read_thresholds
from tpufi.random import random_patterns as random_patterns
from tpufi.site_table import Site as Site
from tpufi.site_table import SiteTable as SiteTable
from tpufi.training import make_deterministic as make_deterministic
from tpufi.when import When as When
from tpufi.workload import Workload as Workload

__version__: str

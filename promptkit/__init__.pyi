"""The public names, and the module that each is defined in: the only list of them."""

from promptkit.bulk.bulk import predict as predict
from promptkit.bulk.bulk_assembly import merge_shards as merge_shards
from promptkit.distributed.ray_data import RayWorkers as RayWorkers
from promptkit.errors import PromptkitError as PromptkitError
from promptkit.evaluation.selective import selective as selective
from promptkit.experiments.compare import compare as compare
from promptkit.experiments.comparison import Comparison as Comparison
from promptkit.exporting.export import export_training_data as export_training_data
from promptkit.formatting.variants import variants as variants
from promptkit.gates.check import check as check
from promptkit.inference.frozen_file import freeze as freeze
from promptkit.inference.prediction import Prediction as Prediction
from promptkit.inference.prediction import Predictor as Predictor
from promptkit.inference.store import Store as Store
from promptkit.linting.findings import Finding as Finding
from promptkit.linting.lint import lint as lint
from promptkit.lookup.lookup import Lookup as Lookup
from promptkit.lookup.lookup_build import build_lookup as build_lookup
from promptkit.models.base import Model as Model
from promptkit.models.base import Sampling as Sampling
from promptkit.models.embedding import Embedder as Embedder
from promptkit.models.embedding import load_embedder as load_embedder
from promptkit.models.fake import FakeModel as FakeModel
from promptkit.models.llama import LlamaModel as LlamaModel
from promptkit.models.llama import load_model as load_model
from promptkit.models.remote.server_model import ServerModel as ServerModel
from promptkit.models.remote.server_model import load_server as load_server
from promptkit.optimising.search import optimise as optimise
from promptkit.prompts.prompt import Prompt as Prompt
from promptkit.serving.application import service as service
from promptkit.serving.service_limits import ServiceLimits as ServiceLimits
from promptkit.students.cascading import cascade as cascade
from promptkit.students.saved_predictor import load_predictor as load_predictor
from promptkit.students.student import Student as Student
from promptkit.tasks.example_set import ExampleSet as ExampleSet
from promptkit.tasks.examples import Example as Example
from promptkit.tasks.label_sets import ManyLabels as ManyLabels
from promptkit.tasks.loading import load_task as load_task
from promptkit.tasks.measures import Scoring as Scoring
from promptkit.tasks.options import Options as Options
from promptkit.tasks.task import Task as Task
from promptkit.tasks.verbalizers import Verbalizer as Verbalizer
from promptkit.tasks.writing import save_task as save_task
from promptkit.templating.template import Template as Template

__version__: str

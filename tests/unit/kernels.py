"""The published kernels: inner functions that are tested on their own, each for its known answer.

Everything else is reached as a user reaches it: by the public names and by what the public calls
return. Here is the one place that names a kernel's home, so that a kernel that moves changes one
line and no test. A kernel is one numerical piece whose answer is known without the method around
it; the line above each says why it is worth a test of its own.
"""

# ruff: noqa: E402, I001 - by family, in the order of the names in each.

from importlib import import_module

# The marks that results name as their pictures: each draws any table.
from workbench.pictures import marks as marks

# --- circuits and lens ---

# The constants that tests make small, so that a second part, a coarse name, a short type is met.
from workbench.pictures import lenses as lenses
from workbench.views import lens as lens

# The first cuts tried ahead, made few, so that trials go wrong.
find = import_module("workbench.circuits.find")

# A circuit of any mask of edges, all of them among them.
from workbench.circuits.circuit import of_mask as of_mask

# Which components there are, how they are named and what is connected: counts of the literature.
from workbench.circuits.components import Components as Components

# The edits that cut edges, and what each component adds: a cut of all of them is the other run.
from workbench.circuits import cuts as cuts
from workbench.circuits.cuts import node_edits as node_edits

# The gradient at each reader, from which the sum of the authors' own code is made, step by step.
from workbench.circuits import scores as scores

# Chosen edges, beside a loop that takes one after another; drawn ones, by the paths of networkx.
from workbench.circuits.circuit import greedy as greedy
from workbench.circuits.circuit import random_edges as random_edges

# What a cut component carries instead: the optimum is no worse than the mean, on a plain pass.
from workbench.tasks import Examples as Examples
from workbench.circuits.references import References as References
from workbench.circuits.references import others as others

# A loop that halves its steps when memory ends, by a loop that runs out; the cheapest segments.
from workbench import memory as memory
from workbench.circuits import sweep as sweep

# Ranks and the largest in tiles, beside a sort; no more than a batch of logits is ever held.
from workbench import readout as readout

# One step's loss and gradient, beside a small difference.
tuned_lens = import_module("workbench.lens.tuned")

# The vectors that heads, MLPs and biases write: they add up to the sites.
from workbench import writers as writers

# --- files, encodings and signatures of several families ---

# Texts become the same tokens here as in every public call.
from workbench.features import token_rows as token_rows

# Similarities without the vocabulary, beside those of signatures that are formed in full.
from workbench.compare import signatures as signatures

# --- features ---
# Texts in a pass, made few; and an index, which an interrupted write leaves whole or not there.
index_file = import_module("workbench.features.index")

# What a training reads is given out in an order that its seed alone decides, within its bytes.
from workbench.features import activation_buffer as activation_buffer

# The best assignment of rows to columns is scipy's, also among ties.
from workbench.features.similarity import one_to_one as one_to_one

# Absorbed positions and the share of hedging have answers by hand; made vectors decide them.
from workbench.features import concept_evaluation as concept_evaluation

# The best set of features for a concept and its hits, on made vectors.
from workbench.features import concept_detection as concept_detection

# The memory that all codes would take is refused before it is taken: a limit made small.
from workbench.features import similarity as similarity

# The direct effect on the logits is a product of weights, one a kind of site.
from workbench.features.page import direct_logits as direct_logits

# Codes that are sorted in small batches: a limit made small.
feature_activations = import_module("workbench.features.activations")

# The effect of any node of any site, heads and neurons too, against autograd.
from workbench.features.effects import node_effects as node_effects

# What dictionaries keep, from sums of each text that are made by hand.
from workbench.features.evaluate import SpliceSums as SpliceSums

# Edges are vector-Jacobian products with everything between held.
feature_edges = import_module("workbench.features.circuit")

# Pairs that are drawn of many positions and that do and do not fit: limits made small.
from workbench.features import tally as tally

# One step of a training by hand: units, losses, revival, folding.
from workbench.features import learner as learner

# A label's text is its first tokens.
from workbench.features.label import written as written

# Any set of nodes of any sites, kept in one pass, against codes put in by hand.
from workbench.features.circuit_evaluation import kept_metric as kept_metric

# The nodes that kept_metric and node_effects are asked about.
node_bases = import_module("workbench.features.nodes")

# The most similar rows in blocks of any size are those of the whole matrix.
from workbench.features.similarity import top_matches as top_matches

# A training, for tests that give it vectors with no model to run.
from workbench.features.train import TrainingRun as TrainingRun

# The settings that one step of a training takes.
from workbench.features.learner import TrainingOptions as TrainingOptions

# Fewer resamples than a user gets, so that each is repeated by hand.

# Pairs as kernels take them, and rows of a pass: a limit made small.
examples = import_module("workbench.tasks")

# Values that do not add up to the head's output are refused.
from workbench.information.contributions import PassParts as PassParts

# Edges that do not fit are refused: the free bytes made few.
information_graph = import_module("workbench.information.graph")

# Words read in small blocks: a limit made small.
information_words = import_module("workbench.information.words")

# A word with markup in it is text.
from workbench.live.panels import flow_answers as flow_answers

# --- vocabulary, information, weights, compare, steering ---

# The largest numbers of a product that is never made whole: blocks are skipped by a bound.
head_circuits = import_module("workbench.vocabulary.head_circuits")

# Shares of eigenvalues, words among the largest, attention by position: whole matrices by hand.
head_scores = import_module("workbench.vocabulary.head_scores")

# Directions read as words in blocks that no array of all directions and words is made for.
projection = import_module("workbench.vocabulary.projection")

# Sizes of batches, which tests shrink so that their seams are crossed.
align = import_module("workbench.compare.align")
# The same; and the effects of neurons, estimated by one gradient a text.
stitch = import_module("workbench.compare.stitch")
# Sizes of batches again.
found = import_module("workbench.vocabulary.found")

# Paths and walks in a graph, by every path of small random graphs.
graphs = import_module("workbench.graph")

# The edits of one edge's cut, many edges to a pass: a weight is the slope of its cut.
from workbench.information.cut import cut_edits as cut_edits

# The share of random words whose best neuron scores as high, or as low: equal counts as well.
from workbench.vocabulary.found import against_draws as against_draws

# A gradient along chosen components, beside a small difference of what they write.
from workbench.vocabulary.observable_gradient import path_gradient as path_gradient
from workbench.vocabulary.observable_gradient import read_path as read_path

# Halves that share no word, few examples, fits, and what an example is of a ratio.
observable_baselines = import_module("workbench.vocabulary.evaluation")

# The order, the counted tokens and the loss of each step of a training.
from workbench.weights.lessons import Lessons as Lessons
from workbench.weights.lessons import train as train

# Semi-nonnegative factors: a step number by number.
decompositions = import_module("workbench.features.decompose")

# --- explorers ---

# The code of an explorer is its calls: each made once, printed under its public name.
from workbench.live.calls import Calls as Calls
from workbench.live.calls import public_name as public_name

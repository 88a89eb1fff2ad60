from .ablation import ablate as ablate
from .auditing import audit as audit
from .concepts import ConceptVectors as ConceptVectors
from .concepts import concept_vectors as concept_vectors
from .relearning import relearn as relearn
from .traces import Traces as Traces
from .traces import traces as traces
from .unlearning import unlearn as unlearn

"""The public names of the family, and the module that holds each."""

from .attention import Attention as Attention
from .attention import attention as attention
from .direct_logit_attribution import DirectLogitAttribution as DirectLogitAttribution
from .direct_logit_attribution import direct_logit_attribution as direct_logit_attribution
from .jacobian import JacobianLens as JacobianLens
from .jacobian import jacobian as jacobian
from .logit import LogitLens as LogitLens
from .logit import logit as logit
from .tuned import TunedLens as TunedLens
from .tuned import tuned as tuned

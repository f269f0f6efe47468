from .layers import GROUPS as GROUPS

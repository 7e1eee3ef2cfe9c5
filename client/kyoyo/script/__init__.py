"""What sbatch's options mean, in a script's `#SBATCH` lines and on a command line."""

from kyoyo.script.directives import Directives, directives_of, over
from kyoyo.script.layout import Layout, layout_of
from kyoyo.script.reader import parse_script
from kyoyo.script.times import walltime_s

__all__ = ["Directives", "Layout", "directives_of", "layout_of", "over", "parse_script", "walltime_s"]
